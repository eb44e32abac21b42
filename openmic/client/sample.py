"""The project's own recordings, for a first try; also as a browser would have recorded them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

from openmic.client.problems import PROBLEMS

# As openmic/server/page/microphone.js asks its MediaRecorder for.
SLICE_MS = 250
BITS_PER_SECOND = 48_000
OPUS_RATE = 48_000  # Hz


def sample_path(name: str = "quickstart") -> Path:
    """Where ``sample_audio/NAME.wav`` is: beside the package, or under the present folder.

    Raises:
        OpenmicError: ``no_sample``.
    """
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        path = root / "sample_audio" / f"{name}.wav"
        if path.is_file():
            return path
    raise PROBLEMS.error("no_sample", name=name)


async def recorder_slices(recording: Path, *, realtime: bool = True) -> AsyncIterator[bytes]:
    """A recording as the page's MediaRecorder gives what a person says: Opus in WebM, a slice every quarter second.

    Only the first slice has the container's header; none is a file of its own.

    Args:
        recording: any file that FFmpeg can decode.
        realtime: each slice when its sound would have been spoken; otherwise at once.

    Raises:
        av.FFmpegError: the file cannot be decoded.
    """
    slices = await asyncio.to_thread(_record, recording)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for spoken_seconds, data in slices:
        if realtime:
            await asyncio.sleep(begin + spoken_seconds - loop.time())
        yield data


def _record(recording: Path) -> list[tuple[float, bytes]]:
    """The slices, each with how many seconds of the recording were spoken when it is ready."""
    import av

    from openmic.pyav import open_input

    slices = _Slices()
    live = {"live": "1", "cluster_time_limit": str(SLICE_MS)}
    with open_input(str(recording)) as source, av.open(slices, "w", format="webm", options=live) as target:
        track = target.add_stream("libopus", rate=OPUS_RATE, layout="mono")
        track.bit_rate = BITS_PER_SECOND
        resampler = av.AudioResampler("flt", "mono", OPUS_RATE, OPUS_RATE // 50)  # frames of 20 ms
        frames = itertools.chain(source.decode(audio=0), [None])  # None: what the resampler still holds
        for frame in itertools.chain.from_iterable(map(resampler.resample, frames)):
            slices.spoken_seconds += frame.samples / OPUS_RATE
            target.mux(track.encode(frame))
        target.mux(track.encode(None))
    return slices.ready


class _Slices:
    """A file that can only be written on; FFmpeg writes the header, then a cluster of SLICE_MS at a time."""

    def __init__(self) -> None:
        self.spoken_seconds = 0.0
        self.ready: list[tuple[float, bytes]] = []

    def write(self, data: bytes) -> int:
        self.ready.append((self.spoken_seconds, bytes(data)))
        return len(data)
