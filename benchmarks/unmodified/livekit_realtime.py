"""LiveKit's openai.STT(use_realtime=True) on /v1/realtime: ``livekit_realtime.py URL TOKEN WAV``."""

from __future__ import annotations

import asyncio
import sys
import wave

import aiohttp
from livekit import rtc
from livekit.agents import stt, utils
from livekit.plugins import openai

PIECES_PER_SECOND = 50
LAST_WORDS_SECONDS = 4.0


async def main(url: str, token: str, wav: str) -> None:
    with wave.open(wav) as file:
        data, rate = file.readframes(file.getnframes()), file.getframerate()
    size = rate // PIECES_PER_SECOND * 2
    texts = []
    async with aiohttp.ClientSession() as session:
        utils.http_context._ContextVar.set(lambda: session)  # what the framework's own worker does
        service = openai.STT(
            use_realtime=True, base_url=f"{url}/v1", api_key=token, language="en", model="gpt-4o-mini-transcribe"
        )
        stream = service.stream()

        async def listen() -> None:
            async for event in stream:
                if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                    texts.append(event.alternatives[0].text)

        listening = asyncio.create_task(listen())
        for sound in (data, bytes(rate * 2)):
            for at in range(0, len(sound), size):
                piece = sound[at : at + size]
                stream.push_frame(rtc.AudioFrame(piece, rate, 1, len(piece) // 2))
                await asyncio.sleep(1 / PIECES_PER_SECOND)
        await asyncio.sleep(LAST_WORDS_SECONDS)
        listening.cancel()
        await stream.aclose()
        await service.aclose()
    print(" ".join(texts))


asyncio.run(main(*sys.argv[1:4]))
