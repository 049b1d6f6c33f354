/** When to try again: doubles from half a second to fifteen, with jitter so that many tabs do not come back as one. */
export class Backoff {
  static readonly FIRST_MS = 500;
  static readonly LONGEST_MS = 15_000;

  #failures = 0;

  constructor(private readonly random: () => number = Math.random) {}

  /** Failures in a row. */
  get attempt(): number {
    return this.#failures;
  }

  /** Counts a failure and returns the wait in milliseconds: between half of the step and the whole of it. */
  next(): number {
    const step = Math.min(Backoff.FIRST_MS * 2 ** this.#failures, Backoff.LONGEST_MS);
    this.#failures += 1;
    return Math.round(step * (0.5 + this.random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}
