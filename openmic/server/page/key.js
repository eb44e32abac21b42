// The key to the service, and the form that asks for it.

import { readToken, useTypedToken } from "./token.js";
import * as view from "./view.js";

const { elements } = view;
const OVER = ["token_expired", "token_revoked"]; // the service's words for a key that was right once
let token = null;

/** The key, once `haveKey` was true. */
export const key = () => token;

/** Whether there is a key to try; asks for one where there is none. */
export function haveKey() {
  token = readToken();
  if (!token) ask("token");
  return Boolean(token);
}

/** Ask for another key; `reason`: the service's word for what is wrong with this one. */
export function askForKey(reason) {
  ask(OVER.includes(reason) ? "token_over" : "token_wrong");
}

function ask(name) {
  view.setLink("locked");
  view.showProblem(name, { action: "token" });
  elements.token.focus({ preventScroll: true });
}

/** Take what is typed, and what comes with another link that is opened in this tab, unless `busy()`; then call `found`. */
export function enableKeyForm(busy, found) {
  elements.tokenForm.addEventListener("submit", (event) => {
    event.preventDefault();
    token = useTypedToken(elements.token.value);
    elements.token.value = "";
    view.hideProblem();
    view.setLink("idle");
    elements.main.focus();
    found();
  });
  addEventListener("hashchange", () => {
    const read = busy() ? null : readToken();
    if (!read) return;
    token = read;
    view.hideProblem();
    view.setLink("idle");
    found();
  });
}
