// The card's sentences beside those of the page, in the browser's language.

import english from "./english.js";
import turkish from "./turkish.js";

const ENGLISH = {
  card_title: "Speak here",
  card_speak: "Speak",
  card_again: "Speak again",
  card_ready: "Press Speak, allow the microphone, talk.",
  card_nothing: "What you say appears here while you speak.",
  card_way_direct: "directly to this machine",
  card_way_proxy: "through the Jupyter server",
  card_way_notebook: "through this notebook",
  card_milliseconds: "{count} ms",
  card_seconds: "{count} s",
  card_busy: "The notebook is busy ({time}). Your words are kept, and sent when it answers.",
  card_connecting: "Connecting…",
  card_in_use: "Another microphone of this notebook is on. Stop that one first.",
  card_result: "Final text. It is the microphone's .result in the next cells.",
  card_open: "Open the page in its own tab",
  card_vscode: "VS Code gives no microphone to notebooks. Speak in a browser instead:",
  card_vscode_no_link: "VS Code gives no microphone to notebooks. Open this notebook in a browser, or launch with a public link.",
  problem_insecure_title: "The microphone needs a secure address",
  problem_insecure_body: "Browsers hand it out only on https, and on http://localhost. Open this notebook by such an address.",
  problem_denied_title: "The browser refused the microphone",
  problem_denied_body: "This page may not use it. Press the icon beside the page's address, allow the microphone, then press Speak again.",
  problem_no_microphone_body: "This device has none, or it is switched off. Plug one in or switch it on, then press Speak again.",
  problem_unreachable_body: "It was stopped, or the kernel was restarted. Start it again, then show a new microphone.",
  problem_token_title: "The service does not know this microphone",
  problem_token_body: "It was restarted. Show a new microphone: run its cell again.",
};

const TURKISH = {
  card_title: "Buraya konuşun",
  card_speak: "Konuş",
  card_again: "Yeniden konuş",
  card_ready: "Konuş'a basın, mikrofona izin verin, konuşun.",
  card_nothing: "Söyledikleriniz siz konuşurken burada belirir.",
  card_way_direct: "doğrudan bu makineye",
  card_way_proxy: "Jupyter sunucusu üzerinden",
  card_way_notebook: "bu not defteri üzerinden",
  card_milliseconds: "{count} ms",
  card_seconds: "{count} sn",
  card_busy: "Not defteri meşgul ({time}). Sözleriniz saklanıyor, yanıt verince gönderilecek.",
  card_connecting: "Bağlanıyor…",
  card_in_use: "Bu not defterinin başka bir mikrofonu açık. Önce onu durdurun.",
  card_result: "Son metin. Sonraki hücrelerde mikrofonun .result değeridir.",
  card_open: "Sayfayı ayrı bir sekmede aç",
  card_vscode: "VS Code not defterlerine mikrofon vermez. Bir tarayıcıda konuşun:",
  card_vscode_no_link: "VS Code not defterlerine mikrofon vermez. Bu not defterini bir tarayıcıda açın ya da herkese açık bir bağlantıyla başlatın.",
  problem_insecure_title: "Mikrofon güvenli bir adres ister",
  problem_insecure_body: "Tarayıcılar onu yalnızca https ve http://localhost adreslerinde verir. Bu not defterini böyle bir adresle açın.",
  problem_denied_title: "Tarayıcı mikrofona izin vermedi",
  problem_denied_body: "Bu sayfanın mikrofonu kullanma izni yok. Adresin yanındaki simgeye basın, mikrofona izin verin, sonra yeniden Konuş'a basın.",
  problem_no_microphone_body: "Bu cihazda mikrofon yok ya da kapalı. Bir mikrofon takın ya da açın, sonra yeniden Konuş'a basın.",
  problem_unreachable_body: "Durduruldu ya da çekirdek yeniden başlatıldı. Yeniden başlatın, sonra yeni bir mikrofon gösterin.",
  problem_token_title: "Hizmet bu mikrofonu tanımıyor",
  problem_token_body: "Yeniden başlatıldı. Yeni bir mikrofon gösterin: hücresini yeniden çalıştırın.",
};

export const WORDS = { en: { ...english, ...ENGLISH }, tr: { ...turkish, ...TURKISH } };

const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
const code = wanted.find((one) => one in WORDS) ?? "en";

/** The sentence of `key` in the browser's language, with {name} replaced by `values.name`. */
export function t(key, values = {}) {
  const text = WORDS[code][key];
  if (text === undefined) throw new Error(`no sentence named ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
