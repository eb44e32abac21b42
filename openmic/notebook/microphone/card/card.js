// The card to speak into: a button, the level, the text, one line of what is going on.

import { LadderSocket } from "./ladder.js";
import { Microphone, recordingObstacle } from "./microphone.js";
import { endingOf, problemOf } from "./problems.js";
import { Stream } from "./stream.js";
import { t } from "./words.js";

const QUIET_LEVEL = 0.06; // of Microphone.level()
const QUIET_MS = 6_000;
const BEHIND_SECONDS = 6;
const IN_USE = Symbol.for("openmic.microphone_in_use"); // in window: one voice is enough for a page

function node(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** 65_000 -> "1:05". */
function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function inVsCode() {
  return location.protocol === "vscode-webview:" || /vscode-(cdn|webview)/.test(location.hostname) || "acquireVsCodeApi" in window;
}

export class Card {
  over = null; // once a recording has ended: { problem } for a program that waits; "" where there is none
  #kernel;
  #seconds;
  #parts;
  #state = "idle";
  #run = null;
  #line = { way: "", delay: null, busy: 0, note: "" };

  /** `seconds`: the longest recording; null: no limit but the service's. */
  constructor(root, kernel, { seconds = null } = {}) {
    this.#kernel = kernel;
    this.#seconds = seconds;
    const parts = (this.#parts = {
      card: node("section", "openmic-mic"),
      button: node("button", "openmic-button"),
      clock: node("span", "openmic-clock"),
      level: node("div", "openmic-level"),
      text: node("p", "openmic-text"),
      said: node("span", "openmic-said"),
      tail: node("span", "openmic-tail"),
      line: node("p", "openmic-line"),
      link: node("a", "openmic-link", t("card_open")),
    });
    const head = node("div", "openmic-head");
    const bar = node("div", "openmic-bar");
    bar.append(parts.level);
    head.append(parts.button, bar, parts.clock);
    parts.text.append(parts.said, parts.tail);
    parts.card.setAttribute("aria-label", t("card_title"));
    parts.said.setAttribute("aria-live", "polite");
    parts.tail.setAttribute("aria-hidden", "true");
    parts.line.setAttribute("role", "status");
    Object.assign(parts.link, { hidden: true, target: "_blank", rel: "noopener noreferrer" });
    parts.button.type = "button";
    parts.button.addEventListener("click", () => this.press());
    parts.card.append(head, parts.text, parts.line, parts.link);
    root.append(parts.card);
    addEventListener("pagehide", this.#leave);
    if (inVsCode()) this.#refuseHere();
    this.#draw();
  }

  /** What a press of the button does: begin or end a recording. */
  press() {
    if (this.#state === "recording") return this.#stop();
    if (this.#state === "idle" || this.#state === "final") return this.#start();
    return undefined;
  }

  /** End a recording that is on. */
  async finish() {
    if (this.#state === "recording") await this.#stop();
    else if (this.#state !== "finishing") this.over ??= { problem: "" };
  }

  dispose() {
    removeEventListener("pagehide", this.#leave);
    if (this.#state === "recording") this.#stop();
  }

  #leave = () => this.#kernel.dispose();

  async #refuseHere() {
    this.#state = "refused";
    const { link } = await this.#kernel.service;
    this.#line.note = t(link ? "card_vscode" : "card_vscode_no_link");
    this.#offer(link);
    this.#draw();
  }

  async #start() {
    this.over = null;
    this.#parts.link.hidden = true;
    this.#line = { way: "", delay: null, busy: 0, note: "" };
    if (window[IN_USE]) return this.#say(t("card_in_use"));
    const obstacle = recordingObstacle();
    if (obstacle) return this.#refused(obstacle);
    this.#set("asking");
    let microphone;
    try {
      microphone = await Microphone.open();
    } catch (error) {
      return this.#refused(error.message);
    }
    window[IN_USE] = this;
    const run = (this.#run = { microphone, begun: performance.now(), soundAt: performance.now(), final: null, note: "" });
    this.#show("", "");
    const only = (handler) => (message) => this.#run === run && handler(message);
    run.stream = new Stream(
      "",
      { words: true },
      {
        live: only((message) => this.#live(message)),
        commit: only(({ text }) => this.#show(this.#parts.said.textContent + text, "")),
        final: only((message) => this.#final(message)),
        notice: only((message) => this.#notice(message)),
        link: only((name) => this.#linked(name)),
        end: only(() => this.#ended()),
        problem: only((problem) => this.#failed(problem)),
      },
      () =>
        new LadderSocket(this.#kernel, {
          way: only((way) => this.#tell({ way, delay: null })),
          delay: only((delay) => this.#tell({ delay })),
          busy: only((busy) => this.#tell({ busy })),
        }),
    );
    microphone.start(
      (bytes) => run.stream.push(bytes),
      () => this.#run === run && this.#stop(),
    );
    this.#set("recording");
    requestAnimationFrame(() => this.#frame(run));
    return undefined;
  }

  async #stop() {
    const run = this.#run;
    if (this.#state !== "recording") return;
    this.#set("finishing");
    await run.microphone.stop();
    run.stream.finish();
    this.#release(run);
  }

  /** Draw the level and the clock while the recording is on. */
  #frame(run) {
    if (this.#state !== "recording" || this.#run !== run) return;
    const now = performance.now();
    const level = run.microphone.level();
    this.#parts.level.style.transform = `scaleX(${level.toFixed(3)})`;
    this.#parts.clock.textContent = clock(now - run.begun);
    if (level > QUIET_LEVEL) run.soundAt = now;
    const quiet = now - run.soundAt > QUIET_MS;
    if (quiet !== (run.quiet ?? false)) {
      run.quiet = quiet;
      this.#tell({ note: quiet ? t("notice_quiet") : "" });
    }
    if (this.#seconds && now - run.begun > 1000 * this.#seconds) this.#stop();
    else requestAnimationFrame(() => this.#frame(run));
  }

  #live({ text, lag }) {
    this.#show(this.#parts.said.textContent, text);
    const behind = lag > BEHIND_SECONDS;
    if (behind) this.#tell({ note: t("notice_behind", { seconds: Math.round(lag) }) });
    else if (this.#run.behind) this.#tell({ note: "" });
    this.#run.behind = behind;
  }

  #final(message) {
    this.#run.final = message;
    this.#show(message.text, "");
  }

  #notice({ code, message, hint }) {
    const ending = endingOf(code);
    this.#tell({ note: ending ? t(ending) : `${message} ${hint ?? ""}` });
    if (ending) this.#stop();
  }

  #linked(name) {
    if (name === "lost") this.#tell({ note: t("notice_lost") });
    else if (name === "open" && this.#line.note === t("notice_lost")) this.#tell({ note: t("notice_back") });
  }

  #ended() {
    const { final } = this.#run;
    this.#close();
    if (!final) this.#say(t("unfinished"));
    else this.#say(t(final.text.trim() ? "card_result" : "final_empty"));
    this.over = { problem: "" };
  }

  async #failed(problem) {
    const { final } = this.#run;
    this.#close();
    if (final && !problem.reason) {
      this.#say(t("card_result")); // only the goodbye was lost
      this.over = { problem: "" };
      return;
    }
    const [name, { detail }] = problemOf(problem);
    this.#refused(name.replace(/^problem_/, ""), detail);
  }

  /** Say why nothing can be recorded; a page of the service's own may be able to. */
  async #refused(name, detail = "") {
    this.#state = this.#state === "final" ? "final" : "idle";
    const body = detail || t(`problem_${name}_body`);
    this.#say(`${t(`problem_${name}_title`)}. ${body}`);
    this.over = { problem: `${t(`problem_${name}_title`)}. ${body}` };
    this.#offer((await this.#kernel.service).link);
  }

  #offer(link) {
    this.#parts.link.hidden = !link;
    if (link) this.#parts.link.href = link;
  }

  #close() {
    this.#release(this.#run);
    this.#run.microphone.stop();
    this.#set("final");
  }

  #release(run) {
    if (window[IN_USE] === this && this.#run === run) window[IN_USE] = null;
  }

  #set(state) {
    this.#state = state;
    this.#draw();
  }

  #show(said, tail) {
    this.#parts.said.textContent = said.trimStart();
    this.#parts.tail.textContent = said.trim() ? tail : tail.trimStart();
    this.#draw();
  }

  #say(note) {
    this.#tell({ note, way: "", busy: 0 });
  }

  #tell(changes) {
    Object.assign(this.#line, changes);
    this.#draw();
  }

  #draw() {
    const { card, button, text, line, said, tail, level } = this.#parts;
    const words = { asking: t("asking"), recording: t("stop"), finishing: t("finishing"), final: t("card_again") };
    card.dataset.state = this.#state;
    button.textContent = words[this.#state] ?? t("card_speak");
    button.disabled = ["asking", "finishing", "refused"].includes(this.#state);
    if (this.#state !== "recording") level.style.transform = "scaleX(0)";
    text.dataset.hint = said.textContent || tail.textContent ? "" : t("card_nothing");
    const sentence = this.#sentence();
    if (line.textContent !== sentence) line.textContent = sentence;
    line.dataset.busy = this.#line.busy > 0;
  }

  #sentence() {
    const { way, delay, busy, note } = this.#line;
    if (busy) return t("card_busy", { time: clock(busy) });
    if (note) return note;
    if (way) {
      if (delay === null) return t(`card_way_${way}`);
      const short = delay < 100;
      const count = short ? Math.max(1, Math.round(delay)) : (delay / 1000).toFixed(1);
      return `${t(`card_way_${way}`)} · ${t(short ? "card_milliseconds" : "card_seconds", { count })}`;
    }
    return this.#state === "recording" ? t("card_connecting") : t("card_ready");
  }
}
