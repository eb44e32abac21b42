// Every sentence of the page, in each of its languages. A key here is in both, and is used somewhere (tests/test_page.py).

export const STRINGS = {
  en: {
    page_title: "openmic · live transcription",
    switch_label: "Sayfayı Türkçe göster",
    switch_text: "Türkçe",
    hero_title: "Speak, and read along.",
    hero_body:
      "Your words appear as you say them. When you stop, the whole recording is heard once more, and you get the final text.",
    legend: "While you speak:",
    legend_stable: "this is settled,",
    legend_unstable: "this may still change",
    kept_until: "Your voice and its text stay on the computer that runs this service for {time} after the end; then both are deleted.",
    kept_not: "Your voice and its text are deleted from the computer that runs this service as soon as you are done.",
    kept_unknown:
      "Your voice and its text are sent to the computer of whoever gave you this link, and kept there for a limited time.",
    start: "Start speaking",
    start_again: "Speak again",
    stop: "Stop",
    stop_upload: "Stop here",
    asking: "Allow the microphone…",
    finishing: "Writing the final text…",
    wait: "One moment…",
    open_file: "Open file",
    drop_here: "Let go, and the file is transcribed",
    spoken_language: "I speak",
    detect: "Detect",
    common_languages: "Common",
    all_languages: "All languages",
    written_language: "Text",
    written_same: "As spoken",
    written_english: "In English",
    transcript: "Transcript",
    elapsed: "Elapsed time",
    sending: "Sending {name}",
    sent_percent: "{percent} %",
    link_idle: "Ready",
    link_locked: "Locked",
    link_connecting: "Connecting…",
    link_open: "Connected",
    link_lost: "Reconnecting…",
    link_closed: "Finished",
    link_failed: "Not connected",
    say_recording: "Recording. Speak now.",
    say_stopped: "Stopped. The final text follows.",
    notice_lost: "The connection is gone for the moment. Keep speaking: your words are kept and sent when it is back.",
    notice_back: "Connected again. Nothing was lost.",
    notice_quiet: "No sound is coming in. Is the microphone muted, or the wrong one chosen?",
    notice_behind: "The service is busy: the text is {seconds} s behind your voice. The final text is not affected.",
    notice_microphone_ended: "The microphone was switched off, so the recording ended here.",
    notice_resume_late: "The connection was away too long. This is the text of what had arrived by then.",
    notice_time_limit: "The longest time for one recording was reached, so it ended here.",
    notice_shutdown: "The service is closing. This is the text of everything that it had heard.",
    final_same: "Final text. Nothing had to be corrected.",
    final_changed: "Final text. Corrected words: {count} (marked for a moment).",
    final_plain: "Final text.",
    final_empty: "No words were heard in this recording.",
    unfinished: "Unfinished text: the final pass did not take place.",
    copy: "Copy text",
    copied: "Copied",
    copy_part: "Copy the part from {time}",
    download: "Download",
    audio: "Audio",
    download_name: "Download as {format}",
    download_failed: "That could not be downloaded. It may already have been deleted, or the connection is gone.",
    copy_failed: "The browser did not allow copying. Select the text and copy it by hand.",
    try_again: "Try again",
    try_again_in: "Try again in {seconds} s",
    close: "Close this message",
    token_title: "This page needs its key",
    token_body: "Open the whole link that you were given, or enter the key: the part of the link after “token=”.",
    token_wrong_title: "That key does not fit",
    token_wrong_body:
      "The service may have been started anew since you got the link. Ask for the current link, or enter the key again.",
    token_label: "Key",
    token_save: "Use this key",
    problem_denied_title: "The microphone is not allowed",
    problem_denied_body:
      "This browser blocks the microphone for this page. Press the icon beside the address, allow the microphone, then try again. On an iPhone: aA → Website Settings → Microphone.",
    problem_no_microphone_title: "No microphone was found",
    problem_no_microphone_body: "Plug one in or switch it on, then try again. You can also open a recording from a file.",
    problem_busy_title: "The microphone cannot be used right now",
    problem_busy_body: "Another app may be using it, such as a phone or video call. End that, then try again.",
    problem_insecure_title: "The microphone needs a secure address",
    problem_insecure_body:
      "Browsers hand out the microphone only on addresses that begin with https. Open the https link of this service. Opening a file works here as well.",
    problem_no_recorder_title: "This browser cannot record",
    problem_no_recorder_body:
      "It is too old or lacks the part that records sound. Use a current Chrome, Firefox, Edge or Safari, or open a recording from a file.",
    problem_recorder_failed_title: "The recording broke off",
    problem_recorder_failed_body: "The browser stopped recording. What had been sent until then is transcribed. Try again for the rest.",
    problem_unreachable_title: "The service does not answer",
    problem_unreachable_body:
      "It may have been switched off, or you are offline. Check your connection; if it is fine, ask whoever gave you the link.",
    problem_lost_title: "The connection did not come back",
    problem_lost_body:
      "The text so far is below. If the service is still running, it holds the sound that had arrived, and finishes it by itself.",
    problem_server_full_title: "The service is full right now",
    problem_server_full_body: "The service has as many speakers as it can take. A place opens when somebody stops.",
    problem_shutdown_title: "The service was stopped",
    problem_shutdown_body: "Its owner has switched it off. Ask for a new link when it runs again.",
    problem_unknown_session_title: "The service no longer knows this recording",
    problem_unknown_session_body: "It was restarted, or the connection was away too long. The text so far is below; start again for more.",
    problem_idle_title: "Nothing arrived for too long",
    problem_idle_body: "The service ended the recording because no sound came. Start again when you are ready.",
    problem_audio_title: "This sound cannot be read",
    problem_audio_body:
      "The file is damaged, or it is not a sound or video file that the service knows. MP3, M4A, WAV, FLAC, OGG, WebM and MP4 work.",
    problem_too_large_title: "That was too much at once",
    problem_too_large_body: "The service refused a message because of its size. Reload the page and try again.",
    problem_empty_file_title: "The file is empty",
    problem_empty_file_body: "{name} has no content. Choose another file.",
    problem_unreadable_file_title: "The file could not be read",
    problem_unreadable_file_body: "{name} was moved, changed or withdrawn while it was being sent. Choose it again.",
    problem_language_title: "This model does not know that language",
    problem_language_body: "Choose another language, or let it be detected. An English-only model knows English alone.",
    problem_nothing_title: "Nothing was recorded",
    problem_nothing_body: "It was stopped before any sound had arrived. Start again and speak for a moment.",
    problem_service_title: "The service had a fault",
    problem_service_body: "It was not your recording's fault. Try again; if it happens once more, tell whoever gave you the link.",
    problem_other_title: "Something went wrong",
    problem_other_body: "Try again. If it happens once more, tell whoever gave you the link.",
  },
  tr: {
    page_title: "openmic · canlı yazıya dökme",
    switch_label: "Show this page in English",
    switch_text: "English",
    hero_title: "Konuşun, yazıya dönüşsün.",
    hero_body:
      "Sözleriniz siz söylerken ekrana gelir. Durduğunuzda kaydın tamamı bir kez daha dinlenir ve son metin hazırlanır.",
    legend: "Siz konuşurken:",
    legend_stable: "burası kesinleşti,",
    legend_unstable: "burası değişebilir",
    kept_until: "Sesiniz ve metni, bitişten sonra {time} boyunca bu hizmeti çalıştıran bilgisayarda durur; ardından ikisi de silinir.",
    kept_not: "Sesiniz ve metni, işiniz biter bitmez bu hizmeti çalıştıran bilgisayardan silinir.",
    kept_unknown:
      "Sesiniz ve metni, bu bağlantıyı size veren kişinin bilgisayarına gönderilir ve orada sınırlı bir süre saklanır.",
    start: "Konuşmaya başla",
    start_again: "Yeniden konuş",
    stop: "Durdur",
    stop_upload: "Burada dur",
    asking: "Mikrofona izin verin…",
    finishing: "Son metin yazılıyor…",
    wait: "Bir saniye…",
    open_file: "Dosya aç",
    drop_here: "Bırakın, dosya yazıya dökülsün",
    spoken_language: "Konuştuğum dil",
    detect: "Kendisi bulsun",
    common_languages: "Sık kullanılanlar",
    all_languages: "Bütün diller",
    written_language: "Metin",
    written_same: "Aynı dilde",
    written_english: "İngilizce",
    transcript: "Metin",
    elapsed: "Geçen süre",
    sending: "{name} gönderiliyor",
    sent_percent: "%{percent}",
    link_idle: "Hazır",
    link_locked: "Kilitli",
    link_connecting: "Bağlanıyor…",
    link_open: "Bağlı",
    link_lost: "Yeniden bağlanıyor…",
    link_closed: "Tamamlandı",
    link_failed: "Bağlı değil",
    say_recording: "Kayıt başladı. Konuşabilirsiniz.",
    say_stopped: "Durdu. Son metin geliyor.",
    notice_lost: "Bağlantı şu an koptu. Konuşmayı sürdürün: sözleriniz saklanıyor, bağlantı gelince gönderilecek.",
    notice_back: "Bağlantı geri geldi. Hiçbir şey kaybolmadı.",
    notice_quiet: "Hiç ses gelmiyor. Mikrofon kapalı ya da yanlış mikrofon seçilmiş olabilir mi?",
    notice_behind: "Hizmet yoğun: metin sesinizin {seconds} sn gerisinde. Son metin bundan etkilenmez.",
    notice_microphone_ended: "Mikrofon kapandı, kayıt burada sona erdi.",
    notice_resume_late: "Bağlantı çok uzun süre gelmedi. Bu, o ana dek ulaşan sesin metnidir.",
    notice_time_limit: "Bir kayıt için en uzun süreye ulaşıldı, kayıt burada sona erdi.",
    notice_shutdown: "Hizmet kapanıyor. Bu, duyduğu her şeyin metnidir.",
    final_same: "Son metin. Düzeltilecek bir şey çıkmadı.",
    final_changed: "Son metin. Düzeltilen sözcük sayısı: {count} (kısa süre işaretli).",
    final_plain: "Son metin.",
    final_empty: "Bu kayıtta hiç söz duyulmadı.",
    unfinished: "Tamamlanmamış metin: son dinleme yapılamadı.",
    copy: "Metni kopyala",
    copied: "Kopyalandı",
    copy_part: "{time} anından başlayan bölümü kopyala",
    download: "İndir",
    audio: "Ses",
    download_name: "{format} olarak indir",
    download_failed: "İndirilemedi. Silinmiş ya da bağlantı kopmuş olabilir.",
    copy_failed: "Tarayıcı kopyalamaya izin vermedi. Metni seçip elle kopyalayın.",
    try_again: "Yeniden dene",
    try_again_in: "{seconds} sn sonra yeniden deneyin",
    close: "Bu iletiyi kapat",
    token_title: "Bu sayfanın anahtarı gerekiyor",
    token_body: "Size verilen bağlantının tamamını açın ya da anahtarı girin: bağlantıda “token=” sözünden sonraki bölüm.",
    token_wrong_title: "Bu anahtar uymuyor",
    token_wrong_body:
      "Bağlantıyı aldığınızdan beri hizmet yeniden başlatılmış olabilir. Güncel bağlantıyı isteyin ya da anahtarı yeniden girin.",
    token_label: "Anahtar",
    token_save: "Bu anahtarı kullan",
    problem_denied_title: "Mikrofona izin verilmedi",
    problem_denied_body:
      "Tarayıcı bu sayfada mikrofonu engelliyor. Adresin yanındaki simgeye basıp mikrofona izin verin, sonra yeniden deneyin. iPhone'da: aA → Web Sitesi Ayarları → Mikrofon.",
    problem_no_microphone_title: "Mikrofon bulunamadı",
    problem_no_microphone_body: "Bir mikrofon takın ya da açın, sonra yeniden deneyin. Dosyadan bir kayıt da açabilirsiniz.",
    problem_busy_title: "Mikrofon şu an kullanılamıyor",
    problem_busy_body: "Başka bir uygulama, örneğin bir telefon ya da görüntülü görüşme onu kullanıyor olabilir. Onu bitirip yeniden deneyin.",
    problem_insecure_title: "Mikrofon güvenli bir adres ister",
    problem_insecure_body:
      "Tarayıcılar mikrofonu yalnızca https ile başlayan adreslerde verir. Bu hizmetin https bağlantısını açın. Dosya açmak burada da çalışır.",
    problem_no_recorder_title: "Bu tarayıcı kayıt yapamıyor",
    problem_no_recorder_body:
      "Çok eski ya da ses kaydeden bölümü eksik. Güncel bir Chrome, Firefox, Edge veya Safari kullanın ya da dosyadan bir kayıt açın.",
    problem_recorder_failed_title: "Kayıt yarıda kesildi",
    problem_recorder_failed_body: "Tarayıcı kaydı durdurdu. O ana dek gönderilenler yazıya dökülür. Gerisi için yeniden deneyin.",
    problem_unreachable_title: "Hizmet yanıt vermiyor",
    problem_unreachable_body:
      "Kapatılmış olabilir ya da internetiniz yok. Bağlantınızı denetleyin; sorun yoksa bağlantıyı size verene sorun.",
    problem_lost_title: "Bağlantı geri gelmedi",
    problem_lost_body: "Şimdiye kadarki metin aşağıda. Hizmet hâlâ çalışıyorsa ulaşan ses ondadır ve kendisi tamamlar.",
    problem_server_full_title: "Hizmet şu an dolu",
    problem_server_full_body: "Hizmet alabileceği kadar konuşmacı aldı. Biri durunca yer açılır.",
    problem_shutdown_title: "Hizmet durduruldu",
    problem_shutdown_body: "Sahibi hizmeti kapattı. Yeniden çalıştığında yeni bir bağlantı isteyin.",
    problem_unknown_session_title: "Hizmet bu kaydı artık tanımıyor",
    problem_unknown_session_body: "Yeniden başlatılmış ya da bağlantı çok uzun süre kopmuş. Şimdiye kadarki metin aşağıda; sürdürmek için yeniden başlayın.",
    problem_idle_title: "Çok uzun süre hiçbir şey gelmedi",
    problem_idle_body: "Ses gelmediği için hizmet kaydı bitirdi. Hazır olduğunuzda yeniden başlayın.",
    problem_audio_title: "Bu ses okunamıyor",
    problem_audio_body:
      "Dosya bozuk ya da hizmetin tanıdığı bir ses veya görüntü dosyası değil. MP3, M4A, WAV, FLAC, OGG, WebM ve MP4 çalışır.",
    problem_too_large_title: "Bir seferde çok fazlaydı",
    problem_too_large_body: "Hizmet, boyutu yüzünden bir iletiyi geri çevirdi. Sayfayı yenileyip yeniden deneyin.",
    problem_empty_file_title: "Dosya boş",
    problem_empty_file_body: "{name} dosyasının içi boş. Başka bir dosya seçin.",
    problem_unreadable_file_title: "Dosya okunamadı",
    problem_unreadable_file_body: "{name} gönderilirken taşındı, değişti ya da erişimi kalktı. Yeniden seçin.",
    problem_language_title: "Bu model o dili bilmiyor",
    problem_language_body: "Başka bir dil seçin ya da kendisi bulsun. Yalnızca İngilizce olan bir model başka dil bilmez.",
    problem_nothing_title: "Hiçbir şey kaydedilmedi",
    problem_nothing_body: "Hiç ses ulaşmadan durduruldu. Yeniden başlayıp biraz konuşun.",
    problem_service_title: "Hizmette bir arıza oldu",
    problem_service_body: "Kaydınızla ilgisi yok. Yeniden deneyin; bir daha olursa bağlantıyı size verene haber verin.",
    problem_other_title: "Bir şeyler ters gitti",
    problem_other_body: "Yeniden deneyin. Bir daha olursa bağlantıyı size verene haber verin.",
  },
};

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
