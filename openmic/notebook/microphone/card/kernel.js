// The notebook's kernel as the card sees it: posts go out, answers come in, whichever way they travel
// (openmic/notebook/microphone/posts.py says what is in them).

const HELLO_MS = 10_000; // a post that was lost before the kernel listened is sent again
const SECOND_HELLO_MS = 1_000;
const PROBE = new Uint8Array([1, 2, 3, 4]);

export class Kernel {
  #send;
  #sockets = new Map();
  #last = 0;
  #greeting;
  #greeted;
  #timer;
  #primed = false;

  /** `send(post, buffers)`: hands a post to the front end. `alone`: whether no way past the kernel is to be tried. */
  constructor(send, { alone = false } = {}) {
    this.#send = send;
    this.alone = alone;
    this.page = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#greeting = new Promise((resolve) => {
      this.#greeted = resolve;
    });
    const hello = () => this.post({ kind: "hello" }, [PROBE]);
    this.#timer = setInterval(hello, HELLO_MS);
    hello();
  }

  /** Resolves to what the kernel says of the service: port, token, link, probe. */
  get service() {
    return this.#greeting;
  }

  post(content, buffers = []) {
    this.#send({ page: this.page, ...content }, buffers);
  }

  /** A number for a socket whose answers go to `taker(answer)`. */
  open(taker) {
    this.#last += 1;
    this.#sockets.set(this.#last, taker);
    return this.#last;
  }

  forget(number) {
    this.#sockets.delete(number);
  }

  /** Take what the kernel sent; other cards of the notebook hear it too. */
  receive(answer) {
    if (answer.page !== this.page) return;
    if (answer.kind === "hello") {
      clearInterval(this.#timer);
      this.#greeted(answer);
      // ipykernel 7 hands a comm's messages to where its last answer was made. By now JupyterLab has a subshell for them,
      // which answers beside a cell; the first answer was made in the main shell.
      if (!this.#primed) setTimeout(() => this.post({ kind: "hello" }, [PROBE]), SECOND_HELLO_MS);
      this.#primed = true;
    } else this.#sockets.get(answer.socket)?.(answer);
  }

  dispose() {
    clearInterval(this.#timer);
    this.post({ kind: "leave" });
  }
}
