// A moving picture of the voice: the speaker sees that they are heard.

const BAR = 3; // CSS pixels
const GAP = 3;
const STEP_MS = 60; // one bar

export class Meter {
  #canvas;
  #button;
  #levels = [];
  #frame = 0;
  #steppedAt = 0;
  #peak = 0;

  /** Draws into `canvas`; `button` gets the level as the custom property --level. */
  constructor(canvas, button) {
    this.#canvas = canvas;
    this.#button = button;
  }

  /** Draw what `level()` says until `stop()`. */
  start(level) {
    this.#levels = [];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const draw = (now) => {
      this.#frame = requestAnimationFrame(draw);
      this.#peak = Math.max(this.#peak, level());
      if (now - this.#steppedAt < STEP_MS) return;
      this.#steppedAt = now;
      if (still) this.#levels = [this.#peak];
      else this.#levels.push(this.#peak);
      this.#button.style.setProperty("--level", this.#peak.toFixed(2));
      this.#peak = 0;
      this.#paint(still);
    };
    this.#frame = requestAnimationFrame(draw);
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#button.style.removeProperty("--level");
  }

  #paint(still) {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    const density = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * density)) canvas.width = Math.round(width * density);
    if (canvas.height !== Math.round(height * density)) canvas.height = Math.round(height * density);
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    context.fillStyle = context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = BAR;
    context.lineCap = "round";
    if (still) {
      // Nothing moves along: one bar that is as long as the voice is loud.
      context.fillRect(0, height / 2 - 2, Math.max(4, width * this.#levels[0]), 4);
      return;
    }
    const room = Math.floor(width / (BAR + GAP));
    this.#levels.splice(0, this.#levels.length - room);
    this.#levels.forEach((level, index) => {
      const tall = Math.max(1, level * (height - BAR));
      const x = width - (this.#levels.length - index - 0.5) * (BAR + GAP);
      context.globalAlpha = 0.35 + 0.65 * level;
      context.beginPath();
      context.moveTo(x, (height - tall) / 2);
      context.lineTo(x, (height + tall) / 2);
      context.stroke();
    });
    context.globalAlpha = 1;
  }
}
