// Bundled into a page; the program that opens it calls `run`.
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { check } from "./openai_sdk.mjs";

window.run = async (base, token, wav) =>
  check(base, token, await (await fetch(wav)).arrayBuffer(), OpenAIRealtimeWebSocket);
