// OpenAI's SDK for JavaScript, over HTTP and with its WebSocket; the same under Node and in a browser.
import OpenAI from "openai";

export const check = async (base, token, sound, Realtime) => {
  const kept = {};
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: token, maxRetries: 0, dangerouslyAllowBrowser: true });
  const file = () => new File([sound], "speech.wav");
  const plain = await client.audio.transcriptions.create({ model: "whisper-1", file: file() });
  kept.text = plain.text;
  kept.usage = plain.usage?.type === "duration";
  const verbose = await client.audio.transcriptions.create({
    model: "whisper-1", file: file(), response_format: "verbose_json", timestamp_granularities: ["word"],
  });
  kept.words = verbose.words.length > 0 && !verbose.segments;
  let deltas = "", done = "";
  const stream = await client.audio.transcriptions.create({ model: "gpt-4o-transcribe", file: file(), stream: true });
  for await (const event of stream) {
    if (event.type === "transcript.text.delta") deltas += event.delta; else done = event.text;
  }
  kept.stream = done.length > 0 && deltas === done;
  kept.models = (await client.models.list()).data.some((model) => model.id === "whisper-1");
  try {
    await client.audio.transcriptions.create({ model: "whisper-1", file: file(), response_format: "diarized_json" });
  } catch (error) {
    kept.refused = error.status === 400 && error.param === "response_format" && Boolean(error.requestID);
  }
  kept.realtime = await realtime(new Realtime({ model: "gpt-4o-transcribe", dangerouslyAllowBrowser: true }, client), sound);
  return kept;
};

const realtime = (socket, sound) => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no transcript within a minute")), 60000);
  socket.on("error", reject);
  socket.on("event", (event) => {
    if (!event.type.endsWith(".completed")) return;
    resolve(event.transcript);
    socket.close();
  });
  const speak = () => {
    const input = { format: { type: "audio/pcm", rate: 24000 }, turn_detection: null, transcription: { language: "en" } };
    socket.send({ type: "session.update", session: { type: "transcription", audio: { input } } });
    const samples = new Int16Array(sound.slice(44, sound.byteLength - (sound.byteLength % 2))); // behind the WAV header
    const faster = Int16Array.from({ length: Math.floor(samples.length * 1.5) }, (_, at) => samples[Math.floor(at / 1.5)]);
    const bytes = new Uint8Array(faster.buffer);
    for (let at = 0; at < bytes.length; at += 24000) {
      socket.send({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...bytes.subarray(at, at + 24000))) });
    }
    socket.send({ type: "input_audio_buffer.commit" });
  };
  socket.socket.addEventListener("open", speak);
});
