// The languages Whisper knows, named in the page's own language by the browser.

const COMMON = ["en", "tr", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "ar", "fa", "hi", "zh", "ja", "ko"];

const ALL = (
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is " +
  "it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl " +
  "sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh"
).split(" ");

/** "tr" -> "Turkish" or "Türkçe"; the code itself where the browser knows no name. */
export function languageName(code, locale) {
  // Whisper says jw where the rest of the world says jv
  const names = new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
  const name = names.of(code === "jw" ? "jv" : code);
  return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1);
}

/** Fill `select` with "detect" and the languages that the model knows (null: all), keeping what was chosen. */
export function fillLanguages(select, locale, labels, known = null) {
  const chosen = select.value;
  const all = ALL.filter((code) => known?.includes(code) ?? true);
  const byName = (codes) =>
    codes.map((code) => new Option(languageName(code, locale), code)).sort((a, b) => a.text.localeCompare(b.text, locale));
  const common = byName(all.filter((code) => COMMON.includes(code)));
  const others = byName(all.filter((code) => !COMMON.includes(code)));
  if (all.length === 1) {
    select.replaceChildren(...common, ...others); // there is nothing to detect
    return;
  }
  select.replaceChildren(
    new Option(labels.detect, ""),
    group(labels.common, common),
    group(labels.all, others),
  );
  select.value = all.includes(chosen) ? chosen : "";
}

function group(label, options) {
  const element = document.createElement("optgroup");
  element.label = label;
  element.append(...options);
  return element;
}
