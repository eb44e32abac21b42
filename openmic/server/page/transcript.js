// The text as it grows. It comes from strangers' mouths and a model: textContent only, never markup.

import { t } from "./strings.js";

const PAUSE_SECONDS = 1.2; // a pause this long begins a new paragraph
const PARAGRAPH_CHARACTERS = 260; // and so does the end of a sentence after this much
const LARGEST_COMPARISON = 4_000_000; // cells of the table that finds the changed words

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
    return [...this.#root.querySelectorAll(".said")].map((said) => said.textContent.trim()).join("\n");
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
   * Put the final text in place of what was shown, in the same form, with the words that differ marked.
   * Returns how many words differ, or null where that was too much to find out.
   */
  final(segments, onCopy) {
    const before = words(this.#stableText + this.#tail.textContent);
    this.clear();
    this.#root.setAttribute("aria-live", "off"); // the status says that it is here; it is not read out a second time
    const changed = newWords(before, words(segments.map((segment) => segment.text).join("")));
    let index = 0;
    for (const { text, start, end } of segments) {
      const said = this.#place(start, onCopy).querySelector(".said");
      for (const piece of text.match(/\s*\S+/g) ?? []) {
        const isWord = words(piece).length > 0;
        add(said, this.#length ? piece : piece.trimStart(), isWord && changed?.has(index));
        if (isWord) index += 1;
        this.#length += piece.length;
      }
      this.#stableText += text;
      this.#end = end;
    }
    this.#root.normalize();
    return changed && changed.size;
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
    row.append(time(start, onCopy && (() => onCopy(said.textContent.trim()))), body);
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

/** Append a word with the space before it, in a mark if it is new; neighbours share one mark. */
function add(said, piece, isNew) {
  const word = piece.trimStart();
  const space = piece.slice(0, piece.length - word.length);
  const open = said.lastChild instanceof HTMLElement ? said.lastChild : null;
  if (isNew && open) open.append(piece);
  else if (isNew) {
    const mark = document.createElement("mark");
    mark.textContent = word;
    said.append(space, mark);
  } else said.append(piece);
}

/** Words as they are compared: no case, no punctuation. */
function words(text) {
  return text
    .toLocaleLowerCase()
    .split(/\s+/)
    .map((word) => word.replace(/[^\p{L}\p{N}]+/gu, ""))
    .filter(Boolean);
}

/** Indices of the words of `after` that are not in the longest common subsequence with `before`; null if too long. */
function newWords(before, after) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let [a, b] = [before.length, after.length];
  while (a > head && b > head && before[a - 1] === after[b - 1]) [a, b] = [a - 1, b - 1];
  const [rows, columns] = [a - head, b - head];
  if (rows * columns > LARGEST_COMPARISON) return null;
  const table = Array.from({ length: rows + 1 }, () => new Uint16Array(columns + 1));
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      const same = before[head + i] === after[head + j];
      table[i][j] = same ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const changed = new Set();
  for (let i = 0, j = 0; j < columns; ) {
    if (i < rows && before[head + i] === after[head + j]) [i, j] = [i + 1, j + 1];
    else if (i < rows && table[i + 1][j] >= table[i][j + 1]) i += 1;
    else changed.add(head + j++);
  }
  return changed;
}
