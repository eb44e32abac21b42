"""A recording as it would be heard: in pieces of a tenth of a second, at the speed of speech."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from openmic.client.options import StreamOptions
from openmic.client.problems import PROBLEMS

PIECE_SECONDS = 0.1
FAST_PIECE_BYTES = 65_536
_SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4}


def audio_seconds(path: Path, options: StreamOptions | None = None) -> float:
    """How long a recording lasts: by its header, by its packets where that says nothing, by its size for raw PCM.

    Raises:
        OpenmicError: ``no_file``, ``no_duration``.
    """
    options = options or {}
    try:
        size = path.stat().st_size
        sample_bytes = _SAMPLE_BYTES.get(options.get("encoding", "auto"))
        if sample_bytes is None:
            return _container_seconds(path)
    except OSError as error:
        raise PROBLEMS.error("no_file", path=path, detail=error.strerror or error) from error
    rate = options.get("sample_rate", 0)
    if rate <= 0 or size == 0:
        raise PROBLEMS.error(
            "no_duration", path=path, detail="raw PCM without a sample rate" if size else "it is empty"
        )
    return size / (sample_bytes * rate * max(1, options.get("channels", 1)))


def _container_seconds(path: Path) -> float:
    import av

    from openmic.pyav import open_input

    try:
        with open_input(str(path)) as container:
            if container.duration:
                return float(container.duration / av.time_base)
            ends = [
                float((packet.pts + (packet.duration or 0)) * packet.time_base)
                for packet in container.demux(audio=0)
                if packet.pts is not None and packet.time_base is not None
            ]
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise PROBLEMS.error("no_duration", path=path, detail=error) from error
    if not ends or max(ends) <= 0:
        raise PROBLEMS.error("no_duration", path=path, detail="it holds no audio")
    return max(ends)


async def file_pieces(
    path: str | Path,
    options: StreamOptions | None = None,
    *,
    realtime: bool = True,
    finish: threading.Event | None = None,
) -> AsyncIterator[bytes]:
    """The bytes of a recording, each piece when its audio would have been spoken (or at once, not ``realtime``).

    Args:
        path: a file in any container, or raw PCM.
        options: describe raw PCM; None for a container, which describes itself.
        realtime: pace the pieces; every byte counts as the same stretch of time.
        finish: ends the pieces early once it is set.

    Raises:
        OpenmicError: ``no_file``; ``no_duration`` where it must be paced.
    """
    path = Path(path)
    piece_bytes = FAST_PIECE_BYTES
    if realtime:
        seconds = await asyncio.to_thread(audio_seconds, path, options)
        piece_bytes = max(1, round(path.stat().st_size * PIECE_SECONDS / seconds))
    loop = asyncio.get_running_loop()
    begin, sent = loop.time(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(piece_bytes):
                sent += 1
                if realtime:
                    await asyncio.sleep(begin + sent * PIECE_SECONDS - loop.time())
                if finish is not None and finish.is_set():
                    return
                yield piece
    except OSError as error:
        raise PROBLEMS.error("no_file", path=path, detail=error.strerror or error) from error
