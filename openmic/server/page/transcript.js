// The text as it grows. It comes from strangers' mouths and a model: textContent only, never markup.

import { cutAtChanges } from "./changes.js";
import { t } from "./strings.js";

const PAUSE_SECONDS = 1.2; // a pause this long begins a new paragraph
const PARAGRAPH_CHARACTERS = 260; // and so does the end of a sentence after this much

/** 65 -> "1:05", 3700 -> "1:01:40". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

export class Transcript {
  #root;
  #paragraph = null;
  #tail;
  #length = 0;
  #end = 0;
  #stableText = "";

  constructor(root) {
    this.#root = root;
    this.#tail = document.createElement("span");
    this.#tail.className = "tail";
    this.#tail.setAttribute("aria-live", "off"); // heard when it is settled, not while it wavers
    this.#tail.setAttribute("aria-hidden", "true");
  }

  /** All that is settled, as plain text. */
  get text() {
    return [...this.#root.querySelectorAll(".said")].map(textOf).join("\n");
  }

  get isEmpty() {
    return !this.#stableText.trim() && !this.#tail.textContent.trim();
  }

  clear() {
    this.#root.replaceChildren();
    this.#root.setAttribute("aria-live", "polite");
    this.#tail.textContent = "";
    this.#paragraph = null;
    this.#stableText = "";
    this.#length = this.#end = 0;
  }

  /** Append words that will not be taken back. */
  commit({ text, start, end }) {
    this.#tail.textContent = "";
    const said = this.#place(start).querySelector(".said");
    said.append(this.#length ? text : text.trimStart());
    this.#length += text.length;
    this.#stableText += text;
    this.#end = end;
  }

  /** Show the tail that may still change. */
  live({ text, start }) {
    this.#tail.textContent = text;
    if (!text) {
      this.#tail.remove();
      if (this.#paragraph && !this.#length) this.#begin(null);
      return;
    }
    const paragraph = this.#place(start);
    if (!this.#length) this.#tail.textContent = text.trimStart();
    paragraph.querySelector(".body").append(this.#tail);
  }

  /** Nothing more will come for the tail: what was shown of it becomes plain text. */
  settle() {
    const left = this.#tail.textContent;
    if (left) this.commit({ text: left, start: this.#end, end: this.#end });
    this.#tail.remove();
  }

  /**
   * Put the final text in place of what was shown, in the same form, with what it corrected marked. Returns in how many
   * places that was, or null where it cannot be told.
   */
  final(message, onCopy) {
    this.clear();
    this.#root.setAttribute("aria-live", "off"); // the status says that it is here; it is not read out a second time
    const { pieces, count } = cutAtChanges(message);
    message.segments.forEach(({ start, end, text }, index) => {
      const said = this.#place(start, onCopy).querySelector(".said");
      for (const piece of pieces[index]) {
        this.#append(said, piece);
        this.#length += piece.text.length;
      }
      this.#stableText += text;
      this.#end = end;
    });
    return count;
  }

  #append(said, { text, old, isNew }) {
    const shown = this.#length ? text : text.trimStart();
    const word = shown.trimStart();
    const space = shown.slice(0, shown.length - word.length);
    if (old) {
      const gone = element("del", old.trim());
      gone.classList.toggle("apart", this.#length > 0 && old !== old.trimStart());
      said.append(gone, document.createElement("wbr")); // the new words may stand on the next line
    }
    if (isNew) said.append(space, element("ins", word));
    else said.append(shown);
  }

  /** The paragraph that words beginning at `start` belong to. */
  #place(start, onCopy) {
    const full = this.#length > PARAGRAPH_CHARACTERS && /[.!?…。？！]["”’»]?\s*$/.test(this.#stableText);
    if (this.#paragraph && !this.#length) this.#paragraph.querySelector(".time").textContent = clock(start);
    if (this.#paragraph && !(this.#length && (start - this.#end > PAUSE_SECONDS || full))) return this.#paragraph;
    const row = document.createElement("div");
    row.className = "row";
    const body = document.createElement("p");
    body.className = "body";
    const said = document.createElement("span");
    said.className = "said";
    body.append(said);
    row.append(time(start, onCopy && (() => onCopy(textOf(said)))), body);
    this.#root.append(row);
    return this.#begin(row);
  }

  /** Go on in `row`; a paragraph that has stayed empty is dropped. */
  #begin(row) {
    if (this.#paragraph && !this.#length) this.#paragraph.remove();
    this.#paragraph = row;
    this.#length = 0;
    return row;
  }
}

/** What is said there, without the words that were struck out. */
function textOf(said) {
  const parts = [...said.childNodes].filter((node) => node.nodeName !== "DEL");
  return parts.map((node) => node.textContent).join("").trim();
}

function time(start, onClick) {
  const element = document.createElement(onClick ? "button" : "span");
  element.className = "time";
  element.textContent = clock(start);
  if (onClick) {
    element.type = "button";
    element.title = t("copy_part", { time: clock(start) });
    element.setAttribute("aria-label", element.title);
    element.addEventListener("click", onClick);
  } else element.setAttribute("aria-hidden", "true");
  return element;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
