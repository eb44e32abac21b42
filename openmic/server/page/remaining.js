// How long the final text still takes, guessed from how fast it has come along so far.

const LEAST_SECONDS = 2; // of watching before a guess is worth anything

export class Remaining {
  #first = null;

  /** Seconds that are left, or null while too little has been seen; `now` in seconds, `message` a progress message. */
  update({ done_seconds: done, total_seconds: total }, now) {
    if (!this.#first) {
      this.#first = { now, done };
      return null;
    }
    const [watched, walked] = [now - this.#first.now, done - this.#first.done];
    if (watched < LEAST_SECONDS || walked <= 0) return null;
    return (Math.max(0, total - done) / walked) * watched;
  }
}
