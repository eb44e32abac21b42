// An object that is used like a WebSocket, and speaks through the notebook's kernel.
//
// A kernel that runs a cell answers when the cell ends: that is no lost connection. Frames wait here meanwhile, and the
// stream above hears a message of no meaning now and then, so that it does not take the silence for the end.

const POLL_MS = 150; // how often is asked what the service has said, where nothing is to be sent
const LOOK_MS = 50;
const MAX_UNANSWERED = 4; // posts; what comes meanwhile goes into the next one
const POST_BYTES = 128 * 1024;
const BUSY_MS = 1_500;
const BUSY_MESSAGE_MS = 5_000;
const LOST_MS = 20_000; // a post beyond the limit: should answers have been lost, the kernel says so
const GIVE_UP_MS = 1_800_000; // no cell that somebody speaks beside runs so long: the kernel is gone
const BROKEN = 1006;
const DELAYS = 9;

export class KernelSocket {
  readyState = WebSocket.CONNECTING;
  binaryType = "arraybuffer";
  onopen = null;
  onmessage = null;
  onclose = null;
  #kernel;
  #number;
  #binary;
  #on;
  #queue = [];
  #bytes = 0; // queued or posted, not answered
  #posted = []; // { n, bytes, at }, the oldest first
  #n = 0;
  #seen = 0;
  #delays = [];
  #busy = false;
  #heardAt = performance.now();
  #toldAt = 0;
  #probedAt = 0;
  #postedAt = 0;
  #timer;

  /**
   * `binary`: whether buffers arrive in the kernel; else bytes travel as base64. `on`: delay(milliseconds), busy(milliseconds
   * without an answer, 0 when it answers again).
   */
  constructor(kernel, binary, on) {
    this.#kernel = kernel;
    this.#binary = binary;
    this.#on = on;
    this.#number = kernel.open((answer) => this.#answered(answer));
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#post();
  }

  get bufferedAmount() {
    return this.#bytes;
  }

  send(frame) {
    if (this.readyState !== WebSocket.OPEN) return;
    this.#queue.push(frame);
    this.#bytes += frame.length;
    if (this.#posted.length < MAX_UNANSWERED) this.#post();
  }

  close() {
    if (this.readyState === WebSocket.CLOSED) return;
    this.#kernel.post({ kind: "close", socket: this.#number });
    this.#end();
  }

  #post() {
    const frames = [];
    const buffers = [];
    let bytes = 0;
    while (this.#queue.length && (!bytes || bytes + this.#queue[0].length <= POST_BYTES)) {
      const frame = this.#queue.shift();
      bytes += frame.length;
      if (typeof frame === "string") frames.push(frame);
      else if (this.#binary) frames.push({ buffer: buffers.push(frame.slice()) - 1 });
      else frames.push({ base64: toBase64(frame) });
    }
    this.#n += 1;
    this.#postedAt = performance.now();
    this.#posted.push({ n: this.#n, bytes, at: this.#postedAt });
    this.#kernel.post({ kind: "post", socket: this.#number, n: this.#n, frames }, buffers);
  }

  #answered({ n, first, frames, closed }) {
    const now = performance.now();
    let at = now;
    while (this.#posted.length && this.#posted[0].n <= n) {
      const post = this.#posted.shift();
      this.#bytes -= post.bytes;
      at = post.at;
    }
    this.#heardAt = now;
    if (this.#busy) this.#on.busy(0);
    else this.#measured(now - at);
    this.#busy = false;
    if (first !== this.#seen && !closed) return this.#closed(BROKEN); // an answer was lost: the session is resumed
    this.#seen += frames.length;
    if (this.readyState === WebSocket.CONNECTING && !closed) {
      this.readyState = WebSocket.OPEN;
      this.onopen?.();
    }
    for (const data of frames) this.onmessage?.({ data });
    if (closed) return this.#closed(closed[0]);
    if (this.#queue.length) this.#post();
    return undefined;
  }

  #look() {
    const now = performance.now();
    if (!this.#posted.length) {
      if (now - this.#postedAt >= POLL_MS) this.#post();
      return;
    }
    const silent = now - Math.max(this.#heardAt, this.#posted[0].at);
    if (silent < BUSY_MS) return;
    this.#busy = true;
    this.#on.busy(silent);
    if (silent > GIVE_UP_MS) this.#closed(BROKEN);
    else if (now - this.#toldAt > BUSY_MESSAGE_MS) {
      this.#toldAt = now;
      this.onmessage?.({ data: '{"type":"busy"}' });
    }
    if (now - Math.max(this.#posted.at(-1)?.at ?? now, this.#probedAt) > LOST_MS) {
      this.#probedAt = now;
      this.#post();
    }
  }

  #measured(milliseconds) {
    this.#delays.push(milliseconds);
    if (this.#delays.length > DELAYS) this.#delays.shift();
    this.#on.delay([...this.#delays].sort((one, other) => one - other)[Math.floor(this.#delays.length / 2)]);
  }

  #closed(code) {
    const told = this.onclose;
    this.#end();
    told?.({ code });
  }

  #end() {
    clearInterval(this.#timer);
    this.#kernel.forget(this.#number);
    this.readyState = WebSocket.CLOSED;
    this.onopen = this.onmessage = this.onclose = null;
    if (this.#busy) this.#on.busy(0);
    this.#busy = false;
  }
}

function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
