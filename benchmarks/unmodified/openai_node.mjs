// node openai_node.mjs URL TOKEN WAV
import fs from "node:fs";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { check } from "./openai_sdk.mjs";

const [base, token, wav] = process.argv.slice(2);
const { buffer, byteOffset, byteLength } = fs.readFileSync(wav);
const sound = buffer.slice(byteOffset, byteOffset + byteLength);
console.log(JSON.stringify(await check(base, token, sound, OpenAIRealtimeWS)));
process.exit();
