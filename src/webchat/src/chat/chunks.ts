/** Cuts a long conversation into pieces whose bounds do not move when rows are added at either end. */

export const CHUNK = 40;

export interface Chunk<T> {
  key: string;
  rows: T[];
  /** The row before the first one. */
  before: T | null;
}

export class Chunker<T extends { readonly key: string }> {
  #starts = new Set<string>();

  /** Another conversation begins. */
  reset(): void {
    this.#starts.clear();
  }

  cut(rows: readonly T[]): Chunk<T>[] {
    const chunks: Chunk<T>[] = [];
    // Rows that were loaded in front of what is known are cut from their end, so that only the first piece is short.
    const known = rows.findIndex((row) => this.#starts.has(row.key));
    for (let at = known - CHUNK; at > 0; at -= CHUNK) this.#starts.add(rows[at]!.key);
    rows.forEach((row, index) => {
      const last = chunks.at(-1);
      if (last === undefined || last.rows.length >= CHUNK || this.#starts.has(row.key)) {
        this.#starts.add(row.key);
        chunks.push({ key: row.key, rows: [row], before: rows[index - 1] ?? null });
      } else {
        last.rows.push(row);
      }
    });
    return chunks;
  }
}
