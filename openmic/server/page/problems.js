// From the service's codes to the page's own sentences.

// By the name of a fatal error, where the close code alone does not tell a person enough.
const NAMES = {
  unknown_language: "language",
  cannot_translate: "translate",
  audio_empty: "nothing",
  disk_full: "service",
  device_lost: "service",
  engine_failed: "service",
  session_failed: "service",
  too_many_wrong_tokens: "other",
  too_many_connections: "other",
  too_many_unauthenticated: "other",
  too_many_wrong_tokens: "other",
};

// What is said when the service took no more audio of its own accord.
const ENDINGS = {
  session_too_long: "notice_time_limit",
  too_many_bytes: "notice_time_limit",
  already_stopped: "notice_resume_late",
};

// Trying the same once more would not help.
const HOPELESS = ["audio", "language", "translate", "shutdown"];

/** The arguments of view.showProblem for what Stream reports; `other` keeps the service's own words. */
export function problemOf({ code, reason, message, hint, retryAfter }) {
  const name = NAMES[reason] ?? code;
  const detail = name === "other" ? [message, hint].filter(Boolean).join(" ") : "";
  const action = HOPELESS.includes(name) ? null : "retry";
  return [`problem_${name}`, { action, retryAfter: retryAfter ?? 0, detail }];
}

/** The string for a code that means "this stream has ended"; undefined for all others. */
export function endingOf(code) {
  return ENDINGS[code];
}
