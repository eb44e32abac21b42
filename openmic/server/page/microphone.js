// From the microphone to bytes: permission, recorder, level. Knows nothing of the network.

const TIMESLICE_MS = 250;
const BITS_PER_SECOND = 48_000; // plenty for speech in Opus, light on a phone's data plan

// Chrome and Firefox take the first, Safari the last.
const CONTAINERS = ["audio/webm;codecs=opus", "audio/webm", "audio/ogg;codecs=opus", "audio/mp4;codecs=mp4a.40.2", "audio/mp4"];

/** Why recording cannot even be tried here, as the name of a problem; null where it can. */
export function recordingObstacle() {
  if (!window.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return "no_recorder";
  if (!CONTAINERS.some((type) => MediaRecorder.isTypeSupported(type))) return "no_recorder";
  return null;
}

/** A refused or missing microphone, by the name of its problem. */
function problemOf(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "no_microphone";
  return "busy";
}

export class Microphone {
  #media;
  #context;
  #analyser;
  #window;
  #recorder;
  #stopped = Promise.resolve();
  #chain = Promise.resolve();
  #ending = null;

  /**
   * Ask for the microphone. Call it straight from a click: iOS gives microphone and sound only to a gesture.
   * Throws an Error whose message is the name of a problem.
   */
  static async open() {
    const context = new AudioContext();
    context.resume().catch(() => {}); // a suspended context only costs the level meter
    try {
      // Whisper hears more in plain sound than in what noise suppression leaves over.
      const audio = { channelCount: 1, noiseSuppression: false, autoGainControl: true };
      return new Microphone(await navigator.mediaDevices.getUserMedia({ audio }), context);
    } catch (error) {
      context.close();
      throw new Error(problemOf(error), { cause: error });
    }
  }

  constructor(media, context) {
    this.#media = media;
    this.#context = context;
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 16_384; // 0.34 s at 48 kHz
    this.#window = new Float32Array(this.#analyser.fftSize);
    context.createMediaStreamSource(media).connect(this.#analyser);
  }

  /** Record from now on: `onBytes` gets every slice in order; `onEnded` is told when the microphone goes away by itself. */
  start(onBytes, onEnded) {
    const mimeType = CONTAINERS.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(this.#media, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder.ondataavailable = ({ data }) => {
      if (!data.size) return;
      // One chain: two arrayBuffer() calls may be answered in either order, and slices of a stream must not be swapped.
      this.#chain = this.#chain.then(async () => onBytes(new Uint8Array(await data.arrayBuffer())));
    };
    // Comes after the last dataavailable, also when the recorder stops by itself.
    this.#stopped = new Promise((resolve) => {
      this.#recorder.onstop = resolve;
    });
    this.#recorder.onerror = () => onEnded("recorder_failed");
    for (const track of this.#media.getAudioTracks()) track.onended = () => onEnded("microphone_ended");
    this.#recorder.start(TIMESLICE_MS);
  }

  /** Stop; resolves when the last slice has been handed to `onBytes`. Stopping again waits for the same. */
  stop() {
    return (this.#ending ??= this.#end());
  }

  async #end() {
    for (const track of this.#media.getTracks()) track.onended = null;
    if (this.#recorder && this.#recorder.state !== "inactive") this.#recorder.stop();
    await this.#stopped;
    await this.#chain;
    for (const track of this.#media.getTracks()) track.stop();
    await this.#context.close();
  }

  /** How loud the last `seconds` were, 0 (silence) to 1; the scale is in decibels, as ears are. */
  level(seconds = 0.02) {
    this.#analyser.getFloatTimeDomainData(this.#window);
    const last = this.#window.subarray(-Math.round(seconds * this.#context.sampleRate));
    let sum = 0;
    for (const sample of last) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / last.length + 1e-10);
    return Math.min(1, Math.max(0, (decibels + 60) / 48));
  }
}

/** Keep the screen on until the returned function is called; does nothing where the browser cannot. */
export function keepScreenOn() {
  let lock = null;
  let wanted = true;
  const request = async () => {
    if (!wanted || document.visibilityState !== "visible" || !navigator.wakeLock) return;
    try {
      lock = await navigator.wakeLock.request("screen");
      if (!wanted) lock.release();
    } catch {
      lock = null; // low battery, or not allowed: recording goes on all the same
    }
  };
  document.addEventListener("visibilitychange", request); // the browser drops the lock with the tab
  request();
  return () => {
    wanted = false;
    document.removeEventListener("visibilitychange", request);
    lock?.release();
  };
}
