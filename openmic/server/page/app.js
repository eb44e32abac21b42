// The tester's page: microphone or file -> stream -> text. This file decides; the others do.

import { acceptFiles } from "./files.js";
import { askForKey, enableKeyForm, haveKey, key } from "./key.js";
import { languageName } from "./languages.js";
import { Meter } from "./meter.js";
import { Microphone, keepScreenOn, recordingObstacle } from "./microphone.js";
import { endingOf, problemOf } from "./problems.js";
import { Remaining } from "./remaining.js";
import { Stream } from "./stream.js";
import { language, preferredLanguage, setLanguage, t } from "./strings.js";
import { copyPart, enableToolbar, offerFiles, showChanges } from "./toolbar.js";
import { Transcript, clock } from "./transcript.js";
import * as view from "./view.js";

const { elements } = view;
const FILE_PIECE_BYTES = 128 * 1024;
const QUIET_LEVEL = 0.06; // of Microphone.level()
const QUIET_WINDOW_SECONDS = 0.3; // more than the time between two ticks, so that nothing goes unheard
const QUIET_MS = 6_000;
const BEHIND_SECONDS = 6;
const LONG_SECONDS = 60; // of a recording whose final text is worth a bar before anything of it is done

const transcript = new Transcript(elements.transcript);
const meter = new Meter(elements.meter, elements.main);
let run = null; // the recording or upload that is on, or the last one
let lastAction = startSpeaking; // what "try again" tries

const busy = () => ["asking", "recording", "uploading", "finishing"].includes(view.state());
const current = (one) => run === one; // late events of an earlier run are nobody's

// ---- a run: from the first byte to the final text

function begin(kind, extra = {}) {
  view.hideProblem();
  view.notice(null);
  view.verdict(null);
  view.elapsed("0:00");
  view.heard(null);
  view.finalProgress(null);
  showChanges(null);
  offerFiles();
  transcript.clear();
  run = { kind, remaining: new Remaining(), begunAt: performance.now(), soundAt: performance.now(), screen: keepScreenOn(), ...extra };
  run.clock = setInterval(tick, 250, run);
  run.stream = open(run);
  return run;
}

/** "Ayşe, Wrocław" -> ["Ayşe", "Wrocław"], within what the server takes. */
const termsIn = (text) => text.split(/[,;\n]/).map((term) => term.trim().slice(0, 100)).filter(Boolean).slice(0, 1000);

function open(one) {
  one.language = elements.language.value || null;
  const vocabulary = termsIn(elements.vocabulary.value);
  const start = { language: one.language, task: elements.task.value, words: true, ...(vocabulary.length && { vocabulary }) };
  const only = (handler) => (message) => current(one) && handler(message);
  return new Stream(key(), start, {
    link: only((name) => linkChanged(one, name)),
    ack: only((bytes) => one.file && view.progress(one.file.name, bytes / one.file.size)),
    live: only((message) => liveText(one, message)),
    commit: only((message) => commitText(one, message)),
    progress: only((message) => progressed(one, message)),
    final: only((message) => finalText(one, message)),
    notice: only((message) => told(one, message)),
    end: only((reason) => ended(one, reason)),
    problem: only((problem) => failed(one, problem)),
  });
}

function linkChanged(one, name) {
  if (name === "open" && one.wasLost) view.notice("notice_back");
  if (name === "lost" && one.kind === "microphone") view.notice("notice_lost");
  one.wasLost ||= name === "lost";
  view.setLink(name);
}

function told(one, { code, message, hint }) {
  const ending = endingOf(code);
  if (code === "live_text_on_time") view.notice(null);
  else if (!ending) view.noticeText(`${message} ${hint}`);
  else if (view.state() === "recording" || view.state() === "uploading") {
    view.notice((one.ending = ending));
    stop();
  }
}

function commitText(one, message) {
  view.following(() => transcript.commit(message));
  view.heard(message.language, !one.language);
}

/** How far the final text is; while a voice is still being recorded that is nobody's concern. */
function progressed(one, message) {
  if (message.stage !== "finishing" || !(message.done_seconds || message.total_seconds > LONG_SECONDS)) return;
  const left = one.remaining.update(message, performance.now() / 1000);
  view.finalProgress(message.total_seconds > 0 ? message.done_seconds / message.total_seconds : 1, left);
}

function liveText(one, message) {
  view.following(() => transcript.live(message));
  view.heard(message.language, !one.language);
  if (one.kind !== "microphone" || view.state() !== "recording") return;
  if (message.lag > BEHIND_SECONDS) view.notice("notice_behind", { seconds: Math.round(message.lag) });
  else if (one.behind) view.notice(null);
  one.behind = message.lag > BEHIND_SECONDS;
}

function tick(one) {
  if (view.state() !== "recording") return;
  const now = performance.now();
  view.elapsed(clock((now - one.begunAt) / 1000));
  if (one.microphone.level(QUIET_WINDOW_SECONDS) > QUIET_LEVEL) {
    if (one.quiet) view.notice(null);
    one.quiet = false;
    one.soundAt = now;
  } else if (!one.quiet && now - one.soundAt > QUIET_MS) {
    one.quiet = true;
    view.notice("notice_quiet");
  }
}

async function startSpeaking() {
  lastAction = startSpeaking;
  if (busy() || !haveKey()) return;
  const obstacle = recordingObstacle();
  if (obstacle) {
    view.showProblem(`problem_${obstacle}`, { action: null });
    return;
  }
  const before = view.state();
  view.hideProblem();
  view.setState("asking");
  let microphone;
  try {
    microphone = await Microphone.open();
  } catch (error) {
    view.setState(before);
    view.showProblem(`problem_${error.message}`);
    return;
  }
  // Recording begins before the service has answered: the first words are kept until it has.
  const one = begin("microphone", { microphone });
  microphone.start(
    (bytes) => one.stream.push(bytes),
    (reason) => current(one) && recordingBroke(reason),
  );
  meter.start(() => microphone.level());
  view.setState("recording");
  view.say("say_recording");
}

function recordingBroke(reason) {
  if (view.state() !== "recording") return;
  if (reason === "microphone_ended") view.notice((run.ending = "notice_microphone_ended"));
  else view.showProblem("problem_recorder_failed");
  stop();
}

async function sendFile(file) {
  lastAction = () => sendFile(file);
  if (busy() || !haveKey()) return;
  if (!file.size) {
    view.showProblem("problem_empty_file", { action: null, values: { name: file.name } });
    return;
  }
  const one = begin("file", { file });
  view.progress(file.name, 0);
  view.setState("uploading");
  try {
    for (let offset = 0; offset < file.size && !one.cut; offset += FILE_PIECE_BYTES) {
      if (!(await one.stream.room())) return;
      one.stream.push(new Uint8Array(await file.slice(offset, offset + FILE_PIECE_BYTES).arrayBuffer()));
    }
  } catch {
    view.showProblem("problem_unreadable_file", { action: null, values: { name: file.name } });
  }
  finishing(one);
}

async function stop() {
  const one = run;
  if (one.kind === "file") {
    one.cut = true; // the loop above ends, and finishes
    return;
  }
  if (view.state() !== "recording") return;
  view.setState("finishing");
  view.say("say_stopped");
  meter.stop();
  await one.microphone.stop(); // hands over the last slice first
  finishing(one);
}

function finishing(one) {
  if (one.released) return; // it failed meanwhile
  view.setState("finishing");
  one.stream.finish();
}

// ---- how a run ends

function finalText(one, message) {
  one.final = message;
  view.following(() => {
    const changed = transcript.final(message, copyPart);
    showChanges(changed);
    const facts = [
      () => message.language && languageName(message.language, language()),
      () => clock(message.duration),
      () => message.model,
    ];
    if (!message.text.trim()) view.verdict("final_empty");
    else if (changed === null) view.verdict("final_plain", {}, facts);
    else view.verdict(changed ? "final_changed" : "final_same", { count: changed }, facts);
  });
}

function ended(one, reason) {
  release(one);
  if (reason === "shutdown") one.ending ??= "notice_shutdown";
  if (view.state() === "recording") one.ending ??= "notice_resume_late";
  view.notice(one.ending ?? null);
  view.setLink("closed");
  if (one.final) view.say(one.final.text.trim() ? "final_plain" : "final_empty");
  view.following(() => (one.final ? view.setState("final") : showUnfinished()));
}

function failed(one, problem) {
  release(one);
  view.notice(null);
  view.setLink(problem.code === "token" ? "locked" : "failed");
  if (one.final) view.setState("final");
  else showUnfinished();
  if (one.final && !problem.reason) return; // only the goodbye was lost
  if (problem.code === "token") askForKey(problem.reason);
  else view.showProblem(...problemOf(problem));
}

/** Keep what there is of the text, and say that it is not the final one. */
function showUnfinished() {
  transcript.settle();
  view.setState(transcript.isEmpty ? "idle" : "unfinished");
  view.verdict(transcript.isEmpty ? null : "unfinished");
}

/** Let go of microphone, screen and clock. */
function release(one) {
  one.released = true;
  clearInterval(one.clock);
  one.cut = true;
  one.screen();
  meter.stop();
  one.microphone?.stop();
}

// ---- buttons, files, language

elements.main.addEventListener("click", () => {
  if (["recording", "uploading"].includes(view.state())) stop();
  else if (!busy()) startSpeaking();
});
elements.tryAgain.addEventListener("click", () => lastAction());
elements.problemClose.addEventListener("click", () => {
  view.hideProblem();
  elements.main.focus();
});
enableToolbar(() => ({ transcript, sessionId: run.stream.sessionId, resumeToken: run.stream.resumeToken }));
enableKeyForm(busy, askForModel);
acceptFiles(elements, busy, sendFile);

addEventListener("beforeunload", (event) => {
  if (busy()) event.preventDefault();
});

elements.switch.addEventListener("click", () => {
  setLanguage(language() === "en" ? "tr" : "en", { remember: true });
  view.relabel();
});

/** Offer what the running model can do; everything, until an answer is there. */
function askForModel() {
  fetch("v1/models", { headers: { Authorization: `Bearer ${key()}` } })
    .then((response) => (response.ok ? response.json() : {}))
    .then(({ openmic }) => openmic && view.offer(openmic.languages, openmic.translates))
    .catch(() => {}); // no answer now: starting will tell
}

// ---- the first look

setLanguage(preferredLanguage());
view.relabel();
view.kept(null);
if (haveKey()) {
  view.setLink("idle");
  askForModel();
}
fetch("healthz")
  .then((response) => response.json())
  .then((health) => view.kept(health.keep_seconds ?? null))
  .catch(() => {}); // no answer now: starting will tell
