"""LiveKit's plugins for the vendors whose interfaces openmic speaks: ``livekit_stt.py URL TOKEN WAV PLUGIN``.

One of ``PLUGINS``. Prints the final transcripts; interim ones and an end of speech must have come, too.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import Callable
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import stt, utils
from livekit.plugins import assemblyai, deepgram, openai, soniox

PIECES_PER_SECOND = 50
SILENCE_SECONDS = 3  # longer than any of them waits for the end of an utterance; Soniox's waits 2 s
LAST_WORDS_SECONDS = 3.0

PLUGINS: dict[str, Callable[[str, str], stt.STT[Any]]] = {
    "openai": lambda url, token: openai.STT(
        use_realtime=True, base_url=f"{url}/v1", api_key=token, language="en", model="gpt-4o-mini-transcribe"
    ),
    "deepgram": lambda url, token: deepgram.STT(base_url=f"{url}/v1/listen", api_key=token),
    "flux": lambda url, token: deepgram.STTv2(base_url=f"{url}/v2/listen", api_key=token),
    "assemblyai": lambda url, token: assemblyai.STT(base_url=url.replace("http", "ws", 1), api_key=token),
    "soniox": lambda url, token: soniox.STT(
        base_url=f"{url.replace('http', 'ws', 1)}/transcribe-websocket", api_key=token
    ),
}


async def main(url: str, token: str, wav: str, plugin: str) -> None:
    with wave.open(wav) as file:
        data, rate = file.readframes(file.getnframes()), file.getframerate()
    size = rate // PIECES_PER_SECOND * 2
    texts, kinds = [], set()
    async with aiohttp.ClientSession() as session:
        utils.http_context._ContextVar.set(lambda: session)  # what the framework's own worker does
        service = PLUGINS[plugin](url, token)
        stream = service.stream()

        async def listen() -> None:
            async for event in stream:
                kinds.add(event.type)
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    texts.append(event.alternatives[0].text)

        listening = asyncio.create_task(listen())
        for sound in (data, bytes(SILENCE_SECONDS * rate * 2)):
            for at in range(0, len(sound), size):
                piece = sound[at : at + size]
                stream.push_frame(rtc.AudioFrame(piece, rate, 1, len(piece) // 2))
                await asyncio.sleep(1 / PIECES_PER_SECOND)
        await asyncio.sleep(LAST_WORDS_SECONDS)
        listening.cancel()
        await stream.aclose()
        await service.aclose()
    assert {stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.END_OF_SPEECH} <= kinds, kinds
    print(" ".join(texts))


asyncio.run(main(*sys.argv[1:5]))
