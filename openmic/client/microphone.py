"""The microphone of this machine, where it has one and the package sounddevice is installed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from openmic.client.options import StreamOptions
from openmic.client.problems import PROBLEMS

MICROPHONE_RATE = 16_000  # Hz
MICROPHONE_OPTIONS = StreamOptions(encoding="pcm_s16le", sample_rate=MICROPHONE_RATE, channels=1)
PIECE_SAMPLES = 1_600  # 100 ms
SILENT_SECONDS = 5.0  # a microphone that gives nothing for so long has gone


async def microphone_pieces(finish: threading.Event) -> AsyncIterator[bytes]:
    """What the default microphone hears, as ``MICROPHONE_OPTIONS`` describe it, until ``finish`` is set.

    Raises:
        OpenmicError: ``no_microphone_library``, ``no_microphone``.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the PortAudio library is missing
        raise PROBLEMS.error("no_microphone_library", detail=error) from error
    loop = asyncio.get_running_loop()
    recorded: asyncio.Queue[bytes] = asyncio.Queue()

    def on_audio(data: Any, frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(recorded.put_nowait, bytes(data))

    try:
        microphone = sounddevice.RawInputStream(
            samplerate=MICROPHONE_RATE, channels=1, dtype="int16", blocksize=PIECE_SAMPLES, callback=on_audio
        )
        with microphone:
            while not finish.is_set():
                async with asyncio.timeout(SILENT_SECONDS):
                    piece = await recorded.get()
                yield piece
    except TimeoutError as error:
        raise PROBLEMS.error("no_microphone", detail=f"nothing came for {SILENT_SECONDS:g} s") from error
    except sounddevice.PortAudioError as error:
        raise PROBLEMS.error("no_microphone", detail=error) from error
