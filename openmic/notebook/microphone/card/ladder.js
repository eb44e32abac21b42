// Which way the sound goes: the first of these that opens. An object that is used like a WebSocket, as the stream wants it.
//
//   direct    this browser and the service are on one machine
//   proxy     through jupyter-server-proxy, where the Jupyter server has it
//   notebook  through the kernel, always
//
// A stream that reconnects climbs the ladder again: it may go on another way, in the middle of a sentence.

import { KernelSocket } from "./kernel_socket.js";

const TRY_MS = 2_000;
const PING_MS = 2_000;
const WAITING_MS = 5_000;
const LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"];
const TOLD = ["ready", "final", "done"]; // what the kernel has to know of a session that goes past it

/** Where the Jupyter server's own addresses begin; null where no Jupyter page is around. */
function jupyterBase() {
  const config = document.getElementById("jupyter-config-data");
  const base = config ? JSON.parse(config.textContent).baseUrl : document.body.dataset.baseUrl;
  return base ? new URL(base, location.href) : null;
}

function directWays(port) {
  const ways = [];
  if (LOCAL_NAMES.includes(location.hostname)) ways.push(["direct", `ws://127.0.0.1:${port}/v1/stream`]);
  const base = jupyterBase();
  if (base) {
    const address = new URL(`proxy/${port}/v1/stream`, base);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    ways.push(["proxy", address.href]);
  }
  return ways;
}

/** A WebSocket that has opened; null where that fails or takes too long. */
function tryDirect(address, token) {
  return new Promise((resolve) => {
    const socket = new WebSocket(address, ["openmic.v1", `token.${token}`]);
    socket.binaryType = "arraybuffer";
    const over = (opened) => {
      clearTimeout(timer);
      socket.onopen = socket.onclose = null;
      if (!opened) socket.close();
      resolve(opened);
    };
    const timer = setTimeout(() => over(null), TRY_MS);
    socket.onopen = () => over(socket);
    socket.onclose = () => over(null);
  });
}

export class LadderSocket {
  binaryType = "arraybuffer";
  onopen = null;
  onmessage = null;
  onclose = null;
  #kernel;
  #on;
  #socket = null;
  #over = false;
  #timer;
  #pingedAt = 0;
  #told = false; // whether the kernel is told what it does not hear by itself

  /** `on`: way(name), delay(milliseconds), busy(milliseconds without an answer). */
  constructor(kernel, on) {
    this.#kernel = kernel;
    this.#on = on;
    const begun = performance.now();
    this.#timer = setInterval(() => {
      this.#on.busy(performance.now() - begun);
      this.onmessage?.({ data: '{"type":"busy"}' }); // waiting for a kernel that runs a cell
    }, WAITING_MS);
    this.#climb();
  }

  get readyState() {
    if (this.#over) return WebSocket.CLOSED;
    return this.#socket?.readyState ?? WebSocket.CONNECTING;
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(frame) {
    this.#socket.send(frame);
    if (this.#told && typeof frame === "string") this.#tell(JSON.parse(frame), ["start", "resume"]);
  }

  close() {
    this.#over = true;
    clearInterval(this.#timer);
    if (this.#socket) this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket?.close();
  }

  async #climb() {
    const { port, token, probe } = await this.#kernel.service;
    clearInterval(this.#timer);
    this.#on.busy(0);
    for (const [way, address] of this.#kernel.alone ? [] : directWays(port)) {
      if (this.#over) return;
      const socket = await tryDirect(address, token);
      if (socket) {
        this.#told = true;
        this.#timer = setInterval(() => this.#ping(), PING_MS);
        this.#use(way, socket);
        this.onopen?.();
        this.#ping();
        return;
      }
    }
    if (this.#over) return;
    this.#use("notebook", new KernelSocket(this.#kernel, probe > 0, this.#on));
    this.#socket.onopen = () => this.onopen?.();
  }

  #use(way, socket) {
    if (this.#over) {
      socket.close();
      return;
    }
    this.#socket = socket;
    this.#on.way(way);
    socket.onmessage = ({ data }) => {
      if (this.#told) this.#overhear(JSON.parse(data));
      this.onmessage?.({ data });
    };
    socket.onclose = ({ code }) => {
      clearInterval(this.#timer);
      this.onclose?.({ code });
    };
  }

  #ping() {
    if (this.readyState !== WebSocket.OPEN) return;
    this.#pingedAt = performance.now();
    this.#socket.send('{"type":"ping"}');
  }

  #overhear(message) {
    if (message.type === "pong" && this.#pingedAt) {
      this.#on.delay(performance.now() - this.#pingedAt);
      this.#pingedAt = 0;
    }
    this.#tell(message, message.fatal ? [message.type] : TOLD);
  }

  #tell({ resume_token: _, ...message }, types) {
    if (types.includes(message.type)) this.#kernel.post({ kind: "told", message });
  }
}
