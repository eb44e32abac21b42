// One stream of openmic.v1: bytes in, events out, and nothing lost when the connection drops.
//
// What was pushed is kept until the server has acknowledged it. A new connection resumes the session, and the server's
// `ready` says from which byte on; so recording never waits for the network.

const HIGH_WATER_BYTES = 512 * 1024; // in the browser's own send buffer
const KEPT_WATER_BYTES = 4 * 1024 * 1024; // not yet acknowledged, where the source can wait (a file; a voice cannot)
const PUMP_MS = 50;
const PING_MS = 10_000;
const SILENT_MS = 30_000; // a connection that says nothing for this long is dead, whatever the browser thinks
const BACKOFF_MS = [250, 500, 1_000, 2_000, 4_000, 8_000];
const FIRST_TRIES = 4; // before the very first `ready`
const GIVE_UP_MS = 180_000; // after a drop

// Close codes that mean "do not come back", and the problem each one is.
const FINAL_CODES = {
  1001: "shutdown",
  1009: "too_large",
  1013: "server_full",
  4400: "other",
  4401: "token",
  4403: "other",
  4404: "unknown_session",
  4408: "idle",
  4415: "audio",
};

// Errors behind 1013 that leave a session as it is: it can be resumed a little later.
const PASSING = ["too_many_connections", "too_many_unauthenticated", "too_many_wrong_tokens"];

/** A socket to the service that this page comes from. */
function openWebSocket(token) {
  const address = new URL("v1/stream", location.href.split(/[?#]/)[0]);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(address, ["openmic.v1", `token.${token}`]);
}

export class Stream {
  sessionId = null;
  #token;
  #open;
  #start;
  #on;
  #socket = null;
  #ready = false;
  #resumeToken = null;
  #lastSeq = 0;
  #kept = []; // Uint8Arrays from byte #acked on
  #acked = 0;
  #sent = 0;
  #pushed = 0;
  #maxMessageBytes = 256 * 1024;
  #finishing = false;
  #stopSent = false;
  #over = false;
  #tries = 0;
  #droppedAt = 0;
  #heardAt = 0;
  #tickedAt = 0;
  #lastError = null;
  #timers = new Set();

  /**
   * `start`: the fields of the start message. `on`: functions by name, each optional:
   * link("connecting" | "open" | "lost"), ready(message), ack(bytes), live(message), commit(message), progress(message), final(message),
   * notice(message), end(reason), problem({ code, message, hint, retryAfter }). After `end` or `problem` nothing follows.
   * `open`: gives for the token a new WebSocket, or an object that can be used like one; also for each reconnection.
   */
  constructor(token, start, on, open = openWebSocket) {
    this.#token = token;
    this.#open = open;
    this.#start = start;
    this.#on = on;
    this.#every(PUMP_MS, () => this.#pump());
    this.#every(PING_MS, () => this.#tick());
    addEventListener("online", this.#online);
    addEventListener("offline", this.#offline);
    this.#connect();
  }

  /** What opens this session, here and over HTTP; null until it has begun. */
  get resumeToken() {
    return this.#resumeToken;
  }

  /** Append bytes to the stream. */
  push(bytes) {
    if (this.#over || this.#finishing) return;
    this.#kept.push(bytes);
    this.#pushed += bytes.length;
    this.#pump();
  }

  /** Resolves to true when there is room for more, to false when the stream is over. For sources that can wait. */
  async room() {
    while (!this.#over && this.#pushed - this.#acked > KEPT_WATER_BYTES) await this.#sleep(PUMP_MS);
    return !this.#over;
  }

  /** No more bytes will come; the final follows when all of them have arrived. */
  finish() {
    this.#finishing = true;
    this.#pump();
  }

  #connect() {
    if (this.#over) return;
    this.#emit("link", this.#resumeToken ? "lost" : "connecting");
    this.#ready = false;
    this.#stopSent = false;
    let socket;
    try {
      socket = this.#open(this.#token);
    } catch {
      return this.#fail({ code: "token" }); // characters that no subprotocol may have: no token of ours
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#send(this.#hello());
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(code);
    this.#heardAt = performance.now();
  }

  #hello() {
    if (!this.#resumeToken) return { type: "start", ...this.#start };
    return { type: "resume", session_id: this.sessionId, resume_token: this.#resumeToken, after_seq: this.#lastSeq };
  }

  #receive(message) {
    this.#heardAt = performance.now();
    if (message.seq !== undefined && message.type !== "live") {
      if (message.seq <= this.#lastSeq) return; // sent again after a resume, and shown already
      this.#lastSeq = message.seq;
    }
    switch (message.type) {
      case "ready":
        return this.#begin(message);
      case "ack":
        this.#forget(message.received_bytes);
        return this.#emit("ack", this.#acked);
      case "live":
      case "commit":
      case "progress":
      case "final":
        return this.#emit(message.type, message);
      case "warning":
        return this.#emit("notice", message);
      case "error":
        if (message.fatal) this.#lastError = message;
        else this.#emit("notice", message);
        return undefined;
      case "done":
        this.#finish();
        return this.#emit("end", message.reason);
      default:
        return undefined; // a newer server may say more
    }
  }

  #begin(message) {
    this.sessionId = message.session_id;
    this.#resumeToken = message.resume_token;
    this.#maxMessageBytes = Math.min(256 * 1024, message.limits?.max_message_bytes ?? Infinity);
    this.#forget(message.received_bytes);
    this.#sent = this.#acked;
    this.#ready = true;
    this.#tries = 0;
    this.#droppedAt = 0;
    this.#emit("link", "open");
    this.#emit("ready", message);
    this.#pump();
  }

  /** The server has the bytes before `offset`: they need not be kept. */
  #forget(offset) {
    while (this.#kept.length && this.#acked + this.#kept[0].length <= offset) this.#acked += this.#kept.shift().length;
    if (this.#kept.length && this.#acked < offset) {
      this.#kept[0] = this.#kept[0].subarray(offset - this.#acked);
      this.#acked = offset;
    }
    this.#sent = Math.max(this.#sent, this.#acked);
  }

  /** Send what has not been sent, as far as the browser's buffer has room; then the stop, if it is time. */
  #pump() {
    if (!this.#ready || this.#socket.readyState !== WebSocket.OPEN) return;
    let offset = this.#acked;
    for (const chunk of this.#kept) {
      while (this.#sent < offset + chunk.length) {
        if (this.#socket.bufferedAmount > HIGH_WATER_BYTES) return;
        const from = this.#sent - offset;
        const piece = chunk.subarray(from, from + this.#maxMessageBytes);
        this.#socket.send(piece);
        this.#sent += piece.length;
      }
      offset += chunk.length;
    }
    if (this.#finishing && !this.#stopSent) {
      this.#stopSent = true;
      this.#send({ type: "stop" });
    }
  }

  #closed(code) {
    if (this.#over) return;
    const error = this.#lastError;
    this.#lastError = null;
    if (code === 1000 && !error) {
      this.#finish();
      this.#emit("end", "closed");
    } else if (code === 1013 && this.#resumeToken && (!error || PASSING.includes(error.code))) {
      this.#retry(error?.retry_after);
    } else if (code in FINAL_CODES || error) {
      this.#fail({
        code: FINAL_CODES[code] ?? "other",
        reason: error?.code,
        message: error?.message,
        hint: error?.hint,
        retryAfter: error?.retry_after,
      });
    } else this.#retry();
  }

  /** `seconds`: before the service wants to see another try. */
  #retry(seconds = 0) {
    this.#ready = false;
    this.#droppedAt ||= performance.now();
    const begun = this.#resumeToken !== null;
    if (begun ? performance.now() - this.#droppedAt > GIVE_UP_MS : this.#tries >= FIRST_TRIES) {
      this.#fail({ code: begun ? "lost" : "unreachable" });
      return;
    }
    this.#emit("link", begun ? "lost" : "connecting");
    const wait = Math.max(seconds * 1000, BACKOFF_MS[Math.min(this.#tries, BACKOFF_MS.length - 1)]);
    this.#tries += 1;
    // Spread out, so that a restarted service is not met by everybody in the same moment.
    this.#sleep(wait * (0.75 + Math.random() / 2)).then(() => {
      if (!this.#socket) this.#connect();
    });
    this.#drop();
  }

  #tick() {
    const now = performance.now();
    const asleep = now - this.#tickedAt > 2 * PING_MS; // a phone that slept has heard nothing, which proves nothing
    this.#tickedAt = now;
    if (asleep) this.#heardAt = now;
    if (this.#socket && now - this.#heardAt > SILENT_MS) this.#retry();
    else if (this.#ready && this.#socket.readyState === WebSocket.OPEN) this.#send({ type: "ping" });
  }

  #online = () => {
    if (!this.#over && !this.#socket) this.#connect();
  };

  #offline = () => {
    if (!this.#over && this.#socket) this.#retry();
  };

  #fail(problem) {
    this.#finish();
    this.#emit("problem", problem);
  }

  #finish() {
    this.#over = true;
    this.#kept = [];
    this.#timers.forEach((timer) => clearInterval(timer));
    removeEventListener("online", this.#online);
    removeEventListener("offline", this.#offline);
    this.#drop();
  }

  /** Let go of the socket at once; closing a dead one can take minutes to be told. */
  #drop() {
    if (!this.#socket) return;
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = null;
    this.#ready = false;
    socket.close();
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #every(milliseconds, task) {
    this.#timers.add(setInterval(task, milliseconds));
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  #emit(name, detail) {
    this.#on[name]?.(detail);
  }
}
