/** Cuts a long conversation into pieces whose bounds do not move when rows are added at either end. */

/** So few that a piece is drawn within a frame. */
const CHUNK = 12;

export interface Chunk<T> {
  key: string;
  rows: T[];
  /** The row before the first one. */
  before: T | null;
}

export class Chunker<T extends { readonly key: string }> {
  #starts = new Set<string>();

  constructor(private readonly size = CHUNK) {}

  /** Another conversation begins. */
  reset(): void {
    this.#starts.clear();
  }

  cut(rows: readonly T[]): Chunk<T>[] {
    const chunks: Chunk<T>[] = [];
    // Rows that were loaded in front of what is known are cut from their end, so that only the first piece is short.
    const known = rows.findIndex((row) => this.#starts.has(row.key));
    for (let at = known - this.size; at > 0; at -= this.size) this.#starts.add(rows[at]!.key);
    rows.forEach((row, index) => {
      const last = chunks.at(-1);
      if (last === undefined || last.rows.length >= this.size || this.#starts.has(row.key)) {
        this.#starts.add(row.key);
        chunks.push({ key: row.key, rows: [row], before: rows[index - 1] ?? null });
      } else {
        last.rows.push(row);
      }
    });
    // Starts of rows that are gone are of no use any more.
    this.#starts = new Set(chunks.map((chunk) => chunk.key));
    return chunks;
  }
}
