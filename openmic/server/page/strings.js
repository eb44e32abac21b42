// The page's languages. A key is in each of them, and is used somewhere (tests/server/page/test_page.py).

import english from "./english.js";
import turkish from "./turkish.js";

export const STRINGS = { en: english, tr: turkish };

const KEY = "openmic.page_language";
let current = "en";

/** The page's language: what was chosen here before, else the browser's first one that the page speaks. */
export function preferredLanguage() {
  const wanted = [read(), ...(navigator.languages ?? [navigator.language])];
  return wanted.map((tag) => tag?.slice(0, 2).toLowerCase()).find((code) => code in STRINGS) ?? "en";
}

export function language() {
  return current;
}

/** Speak `code` from now on, in every element that names its string. */
export function setLanguage(code, { remember = false } = {}) {
  current = code;
  if (remember) write(code);
  document.documentElement.lang = code;
  document.title = t("page_title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-example]")) element.placeholder = t(element.dataset.example);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label, { format: element.dataset.format ?? "" }));
  }
}

/** The string of `key`, with {name} replaced by `values.name`. */
export function t(key, values = {}) {
  const text = STRINGS[current][key];
  if (text === undefined) throw new Error(`no string named ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A browser that forbids storage still gets a page that works.
function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function write(code) {
  try {
    localStorage.setItem(KEY, code);
  } catch {
    // nothing to remember it in: the next visit asks the browser again
  }
}
