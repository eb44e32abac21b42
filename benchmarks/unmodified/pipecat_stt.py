"""pipecat's services for the vendors whose interfaces openmic speaks: ``pipecat_stt.py URL TOKEN WAV SERVICE``.

One of ``SERVICES``; what stands behind its name says whether the server or the program itself finds the ends of turns.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import AsyncIterator, Callable
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.assemblyai.stt import AssemblyAISTTService
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.services.soniox.stt import SonioxSTTService
from pipecat.workers.runner import WorkerRunner

RATE = 16_000
PIECE_BYTES = RATE * 2 // 50  # 20 ms
CONNECT_SECONDS = 1.5
LAST_WORDS_SECONDS = 4.0


def openai(web: str, token: str, turns: Any) -> OpenAIRealtimeSTTService:
    return OpenAIRealtimeSTTService(api_key=token, base_url=f"{web}/v1/realtime", turn_detection=turns)


def deepgram(web: str, token: str) -> DeepgramSTTService:
    return DeepgramSTTService(api_key=token, base_url=web)


def flux(web: str, token: str) -> DeepgramFluxSTTService:
    return DeepgramFluxSTTService(api_key=token, url=f"{web}/v2/listen")


def assemblyai(web: str, token: str, force: bool) -> AssemblyAISTTService:
    settings = AssemblyAISTTService.Settings(model="u3-rt-pro")  # the only one whose turns pipecat leaves to the server
    return AssemblyAISTTService(
        api_key=token, api_endpoint_base_url=f"{web}/v3/ws", vad_force_turn_endpoint=force, settings=settings
    )


def soniox(web: str, token: str, force: bool) -> SonioxSTTService:
    return SonioxSTTService(api_key=token, url=f"{web}/transcribe-websocket", vad_force_turn_endpoint=force)


# By name: the service, and whether the program itself says when turns begin and end.
SERVICES: dict[str, tuple[Callable[[str, str], Any], bool]] = {
    "openai": (lambda web, token: openai(web, token, {"type": "server_vad"}), False),
    "openai-client": (lambda web, token: openai(web, token, False), True),
    "deepgram": (deepgram, False),
    "deepgram-client": (deepgram, True),
    "flux": (flux, False),
    "assemblyai": (lambda web, token: assemblyai(web, token, False), False),
    "assemblyai-client": (lambda web, token: assemblyai(web, token, True), True),
    "soniox": (lambda web, token: soniox(web, token, False), False),
    "soniox-client": (lambda web, token: soniox(web, token, True), True),
}


class Transcripts(FrameProcessor):
    """Keeps final transcripts and errors, and counts what was interim."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.interim = 0

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
        self.interim += isinstance(frame, InterimTranscriptionFrame)
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


async def main(url: str, token: str, wav: str, name: str) -> None:
    heard = Transcripts()
    make, turns_here = SERVICES[name]
    service = make(url.replace("http", "ws", 1), token)
    worker = PipelineWorker(
        Pipeline([service, heard]), params=PipelineParams(audio_in_sample_rate=RATE), cancel_on_idle_timeout=False
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    async def speak() -> None:
        await asyncio.sleep(CONNECT_SECONDS)
        async for frame in frames(wav, turns_here=turns_here):
            await worker.queue_frame(frame)
        await asyncio.sleep(LAST_WORDS_SECONDS)
        await worker.queue_frame(EndFrame())

    await asyncio.gather(runner.run(), speak())
    assert heard.interim > 0
    assert not heard.errors, heard.errors
    print(" ".join(heard.texts))


asyncio.run(main(*sys.argv[1:5]))
