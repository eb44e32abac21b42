// What can be done with a text that is there: copy it, download it, look at what the final pass corrected.

import { copyText, download, remove } from "./downloads.js";
import { t } from "./strings.js";
import * as view from "./view.js";

const { elements } = view;
const SHOW_CHANGES_MS = 8_000;
const SURE_MS = 6_000; // how long the second press of the button to delete is waited for
let hiding = 0;
let asking = 0;

/** Let the buttons work on what `source()` gives: { transcript, sessionId, resumeToken }. */
export function enableToolbar(source) {
  elements.copy.addEventListener("click", () => copyPart(source().transcript.text));
  elements.changes.addEventListener("click", () => {
    clearTimeout(hiding);
    view.changes(elements.changes.getAttribute("aria-pressed") !== "true");
  });
  elements.formats.addEventListener("click", async ({ target }) => {
    const { format } = target.closest("button")?.dataset ?? {};
    if (!format) return;
    const { sessionId, resumeToken } = source();
    const name = `openmic-${new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-")}`;
    try {
      await download(resumeToken, sessionId, format, name);
    } catch (error) {
      view.notice(error.message === "404" ? "download_gone" : "download_failed");
    }
  });
  elements.delete.addEventListener("click", async () => {
    if (!asking) {
      ask(true);
      return;
    }
    ask(false);
    const { sessionId, resumeToken } = source();
    try {
      await remove(resumeToken, sessionId);
      elements.formats.hidden = elements.delete.hidden = true;
      view.notice("deleted");
    } catch {
      view.notice("delete_failed");
    }
  });
}

function ask(wanted) {
  clearTimeout(asking);
  asking = wanted ? setTimeout(ask, SURE_MS, false) : 0;
  elements.delete.textContent = t(wanted ? "delete_sure" : "delete");
}

/** A new text is there: it can be downloaded and deleted. */
export function offerFiles() {
  ask(false);
  elements.formats.hidden = elements.delete.hidden = false;
}

/** Put `text` on the clipboard, and say whether that went well. */
export async function copyPart(text) {
  view.notice((await copyText(text)) ? "copied" : "copy_failed");
}

/** Show for a moment what was corrected in `count` places; the button shows it again. Nothing for 0 or null. */
export function showChanges(count) {
  clearTimeout(hiding);
  elements.changes.hidden = !count;
  view.changes(Boolean(count));
  if (count) hiding = setTimeout(view.changes, SHOW_CHANGES_MS, false);
}
