/**
 * What a screen reader says while an answer streams: whole sentences, each once. Announcing every delta would stutter,
 * announcing only the end would leave a listener waiting.
 */
export class Announcer {
  #key: string | null = null;
  #said = 0;

  /** The next piece to say of the text of answer `key`, or `null`. `done`: whatever is left is said too. */
  next(key: string, text: string, done: boolean): string | null {
    if (key !== this.#key) {
      this.#key = key;
      this.#said = 0;
    }
    if (text.length < this.#said) this.#said = 0;
    const rest = text.slice(this.#said);
    const end = done ? rest.length : lastSentenceEnd(rest);
    if (end === 0) return null;
    this.#said += end;
    return rest.slice(0, end).trim() || null;
  }
}

/** Behind the last sentence or line that is complete; a stop counts only when something follows it. */
function lastSentenceEnd(text: string): number {
  let end = 0;
  for (const match of text.matchAll(/[.!?。！？:][)"'”’]*\s|\n/g)) end = match.index + match[0].length;
  return end;
}
