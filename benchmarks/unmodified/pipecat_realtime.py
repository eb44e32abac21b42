"""pipecat's OpenAIRealtimeSTTService on /v1/realtime: ``pipecat_realtime.py URL TOKEN WAV server|client``.

The last argument says who finds the ends of turns.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.workers.runner import WorkerRunner

RATE = 16_000
PIECE_BYTES = RATE * 2 // 50  # 20 ms
CONNECT_SECONDS = 1.5
LAST_WORDS_SECONDS = 4.0


class Transcripts(FrameProcessor):
    """Keeps final transcripts and errors."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.errors: list[str] = []

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        await self.push_frame(frame, direction)


async def frames(wav: str, *, turns_here: bool) -> AsyncIterator[Any]:
    """The recording and a second of silence, at the pace of speech."""
    with wave.open(wav) as file:
        data = file.readframes(file.getnframes())
    if turns_here:
        yield VADUserStartedSpeakingFrame()
    for sound in (data, bytes(RATE * 2)):
        for at in range(0, len(sound), PIECE_BYTES):
            yield InputAudioRawFrame(audio=sound[at : at + PIECE_BYTES], sample_rate=RATE, num_channels=1)
            await asyncio.sleep(0.02)
        if turns_here and sound is data:
            yield VADUserStoppedSpeakingFrame()


async def main(url: str, token: str, wav: str, turns: str) -> None:
    heard = Transcripts()
    service = OpenAIRealtimeSTTService(
        api_key=token,
        base_url=f"{url.replace('http', 'ws', 1)}/v1/realtime",
        turn_detection={"type": "server_vad"} if turns == "server" else False,
    )
    worker = PipelineWorker(
        Pipeline([service, heard]), params=PipelineParams(audio_in_sample_rate=RATE), cancel_on_idle_timeout=False
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    async def speak() -> None:
        await asyncio.sleep(CONNECT_SECONDS)
        async for frame in frames(wav, turns_here=turns != "server"):
            await worker.queue_frame(frame)
        await asyncio.sleep(LAST_WORDS_SECONDS)
        await worker.queue_frame(EndFrame())

    await asyncio.gather(runner.run(), speak())
    assert not heard.errors, heard.errors
    print(" ".join(heard.texts))


asyncio.run(main(*sys.argv[1:5]))
