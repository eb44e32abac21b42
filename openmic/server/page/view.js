// What the page looks like in each state. Decides nothing.

import { fillLanguages, languageName } from "./languages.js";
import { language, t } from "./strings.js";

const byId = (id) => document.getElementById(id);

export const elements = Object.fromEntries(
  ["switch", "problem", "token-form", "token", "try-again", "problem-close", "transcript", "copy", "formats", "language"]
    .concat(["task", "vocabulary", "meter", "main", "open", "file", "drop", "kept", "changes", "delete"])
    .map((id) => [id.replace(/-(\w)/g, (_, letter) => letter.toUpperCase()), byId(id)]),
);

// The button's words in each state; idle, asking, recording, uploading, finishing, final, unfinished are all there are.
const MAIN_TEXT = {
  idle: "start",
  asking: "asking",
  recording: "stop",
  uploading: "stop_upload",
  finishing: "wait",
  final: "start_again",
  unfinished: "start_again",
};

let redraw = {}; // what has to be said again when the page's language changes
let countdown = 0;

export function state() {
  return document.body.dataset.state;
}

export function setState(name) {
  document.body.dataset.state = name;
  byId("main-text").textContent = t(MAIN_TEXT[name]);
  // Not `disabled`: that would throw the focus away from whoever pressed it with the keyboard.
  elements.main.setAttribute("aria-disabled", String(name === "asking" || name === "finishing"));
}

export function setLink(name) {
  document.body.dataset.link = name;
  byId("link-text").textContent = t(`link_${name}`);
}

/** A line above the button, read out politely; null takes it away. */
export function notice(key, values = {}) {
  redraw.notice = key && [key, values];
  const text = key ? t(key, values) : "";
  if (byId("notice").textContent !== text) byId("notice").textContent = text;
}

/** The same, in words that the service chose. */
export function noticeText(text) {
  redraw.notice = null;
  byId("notice").textContent = text;
}

/** Read out, not shown: what eyes see anyway. */
export function say(key, values) {
  byId("say").textContent = t(key, values);
}

export function elapsed(text) {
  byId("elapsed").textContent = text;
}

/**
 * Show a problem by the name of its strings. `action`: "token" asks for the key, "retry" offers to try again (after
 * `retryAfter` seconds), null offers nothing. `detail` is added as the service worded it.
 */
export function showProblem(name, { action = "retry", retryAfter = 0, values = {}, detail = "" } = {}) {
  redraw.problem = [name, { action, retryAfter: 0, values, detail }];
  byId("problem-title").textContent = t(`${name}_title`, values);
  byId("problem-body").textContent = [t(`${name}_body`, values), detail].filter(Boolean).join(" ");
  elements.tokenForm.hidden = action !== "token";
  elements.tryAgain.hidden = action !== "retry";
  elements.problem.hidden = false;
  countDown(Math.ceil(retryAfter));
  elements.problem.scrollIntoView({ block: "nearest" });
}

export function hideProblem() {
  redraw.problem = null;
  clearInterval(countdown);
  elements.problem.hidden = true;
}

function countDown(seconds) {
  clearInterval(countdown);
  const show = () => {
    elements.tryAgain.disabled = seconds > 0;
    elements.tryAgain.textContent = seconds > 0 ? t("try_again_in", { seconds }) : t("try_again");
    if (seconds <= 0) clearInterval(countdown);
    seconds -= 1;
  };
  countdown = setInterval(show, 1000);
  show();
}

/** What came of the recording: a sentence and, after it, facts. */
export function verdict(key, values = {}, facts = []) {
  redraw.verdict = key && [key, values, facts];
  byId("verdict").textContent = key ? [t(key, values), facts.map((fact) => fact()).filter(Boolean).join(" · ")].filter(Boolean).join(" ") : "";
}

export function progress(name, fraction) {
  const percent = Math.floor(fraction * 100);
  redraw.progress = [name, fraction];
  byId("progress").value = fraction;
  byId("sending-name").textContent = t("sending", { name });
  byId("sending-percent").textContent = t("sent_percent", { percent });
}

/** How far the final text is, and the seconds that it may still take (null: nobody knows); a null `fraction` hides it. */
export function finalProgress(fraction, left = null) {
  redraw.finalProgress = [fraction, left];
  const bar = byId("final-progress");
  bar.hidden = byId("left").hidden = fraction === null;
  bar.value = fraction ?? 0;
  byId("left").textContent = left === null ? "" : t("time_left", { time: inWords(roughly(left)) });
}

/** The language that is heard, and whether it was found rather than chosen; undefined: not known yet. */
export function heard(code, detected = false) {
  if (code === undefined) return;
  redraw.heard = [code, detected];
  const name = code ? languageName(code, language()) : "";
  const text = detected && name ? t("detected", { language: name }) : name;
  if (byId("heard").textContent !== text) byId("heard").textContent = text;
}

/** Whether the text shows what the final pass took out and put in. */
export function changes(shown) {
  redraw.changes = [shown];
  elements.transcript.classList.toggle("changes", shown);
  elements.changes.setAttribute("aria-pressed", String(shown));
  elements.changes.textContent = t(shown ? "changes_hide" : "changes_show");
}

/** Who keeps what, for how long; null where the service does not say. */
export function kept(seconds) {
  redraw.kept = [seconds];
  if (seconds === null) elements.kept.textContent = t("kept_unknown");
  else elements.kept.textContent = seconds > 0 ? t("kept_until", { time: inWords(seconds) }) : t("kept_not");
}

/** So that a guess looks like one: 5, 10, 15 ... seconds, or whole minutes. */
function roughly(seconds) {
  return seconds < 90 ? Math.max(5, Math.ceil(seconds / 5) * 5) : Math.ceil(seconds / 60) * 60;
}

/** 3600 -> "1 hour", in the page's language. */
function inWords(seconds) {
  const [amount, unit] = [
    [seconds / 86_400, "day"],
    [seconds / 3600, "hour"],
    [seconds / 60, "minute"],
    [seconds, "second"],
  ].find(([value]) => value >= 1) ?? [seconds, "second"];
  const form = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language(), form).format(amount);
}

/** Offer what the model can do: the codes of its languages, and English for another language where it `translates`. */
export function offer(languages, translates) {
  redraw.known = languages;
  elements.task.querySelector("[value=translate]").disabled = !translates;
  if (!translates) elements.task.value = "transcribe";
  relabel();
}

/** Say everything again, in the language that the page has now. */
export function relabel() {
  const { notice: line, problem, verdict: outcome, progress: upload, kept: keeping } = redraw;
  const { finalProgress: bar, heard: spoken, changes: marks } = redraw;
  fillLanguages(elements.language, language(), {
    detect: t("detect"),
    common: t("common_languages"),
    all: t("all_languages"),
  }, redraw.known);
  elements.switch.lang = language() === "en" ? "tr" : "en";
  setState(state());
  setLink(document.body.dataset.link);
  if (line) notice(...line);
  if (problem) showProblem(...problem);
  if (outcome) verdict(...outcome);
  if (upload) progress(...upload);
  if (keeping) kept(...keeping);
  if (bar) finalProgress(...bar);
  if (spoken) heard(...spoken);
  if (marks) changes(...marks);
}

/** Run `change`, which makes the text longer, and stay at its end if the reader was there. */
export function following(change) {
  const page = document.scrollingElement;
  const atEnd = page.scrollHeight - page.scrollTop - innerHeight < 80;
  change();
  if (atEnd) page.scrollTop = page.scrollHeight;
}
