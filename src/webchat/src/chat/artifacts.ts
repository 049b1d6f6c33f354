/** Files that history names: fetched over the one connection, shown under addresses of this page. */
import { asNumber, asObject, asText, type Json } from '../gateway/frames';

/** Files that are kept, and bytes of them; what is shown for longest goes first. */
const MOST = 60;
const MOST_BYTES = 96 * 1_048_576;

/** Files that are asked for at one time: more of them would overrun a slow connection. */
const AT_ONCE = 2;

const PICTURES = /^image\/(png|jpeg|gif|webp)$/;

export interface Artifact {
  /** An address of this page; good until the file is let go. */
  url: string;
  name: string;
  mimeType: string;
  size: number;
  /** Base64, as it came. */
  content: string;
}

/** Asks for a file; bubbles from the element that shows it to the conversation, which answers. */
export interface ArtifactQuestion {
  id: string;
  answer: (file: Promise<Artifact>) => void;
}

export class Artifacts {
  #files = new Map<string, Promise<Artifact>>();
  #sizes = new Map<string, number>();
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(private readonly download: (sessionKey: string, artifactId: string) => Promise<unknown>) {}

  get(sessionKey: string, id: string): Promise<Artifact> {
    const known = this.#files.get(id);
    if (known !== undefined) {
      this.#files.delete(id);
      this.#files.set(id, known);
      return known;
    }
    const file = this.#inTurn(() => this.download(sessionKey, id)).then((answer) => readArtifact(asObject(answer)));
    this.#files.set(id, file);
    file.then(
      ({ size }) => {
        this.#sizes.set(id, size);
        this.#letGo(id);
      },
      () => this.#files.delete(id),
    );
    return file;
  }

  async #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#underWay >= AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#underWay += 1;
    try {
      return await ask();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }

  /** Forgets the oldest files; never the newest one. */
  #letGo(newest: string): void {
    let bytes = [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
    for (const [id, file] of this.#files) {
      if (this.#files.size <= MOST && bytes <= MOST_BYTES) return;
      if (id === newest) continue;
      bytes -= this.#sizes.get(id) ?? 0;
      this.#sizes.delete(id);
      this.#files.delete(id);
      void file.then(({ url }) => URL.revokeObjectURL(url)).catch(() => {});
    }
  }
}

function readArtifact(answer: Json): Artifact {
  const facts = asObject(answer['artifact']);
  const content = asText(answer['data']) ?? '';
  const told = asText(facts['mimeType']) ?? '';
  // Anything but a picture is only ever saved: as a page of this origin it could run.
  const mimeType = PICTURES.test(told) ? told : 'application/octet-stream';
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: mimeType }));
  return { url, name: asText(facts['title']) ?? 'file', mimeType: told, size: asNumber(facts['sizeBytes']) ?? bytes.length, content };
}
