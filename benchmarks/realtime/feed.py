"""Audio into a WebSocket at the speed of speech, and everything that comes back with its time of arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

PIECE_SECONDS = 0.1

Frame = str | bytes


@dataclass(slots=True)
class Exchange:
    """One stream as its client saw it; times are seconds since the feed began.

    Attributes:
        received: what arrived, and when.
        audio_end: when the audio was over.
    """

    audio_end: float
    received: list[tuple[float, Frame]] = field(default_factory=list)


async def exchange(
    socket: ClientConnection,
    pieces: list[Frame],
    speed: float,
    last: Frame | None,
    over: Callable[[Frame], bool],
    final_seconds: float,
) -> Exchange:
    """Feed a stream and listen until it is over.

    Args:
        socket: greeted already; audio may flow.
        pieces: messages of ``PIECE_SECONDS`` of audio; each leaves when its last sample would have been spoken.
        speed: how many times faster than speech; the clock stays that of the wall.
        last: the message that says that no more audio comes, where the server has one.
        over: whether a message is the last one wanted.
        final_seconds: how long to wait for it after the audio's end; what came until then is given back.
    """
    began = time.monotonic()
    told = Exchange(len(pieces) * PIECE_SECONDS / speed)
    listening = asyncio.create_task(_listen(socket, told, began, over))
    for number, piece in enumerate(pieces, 1):
        wait = began + number * PIECE_SECONDS / speed - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if listening.done():
            break
        await _send(socket, piece)
    if speed != 1:
        told.audio_end = time.monotonic() - began
    if last is not None:
        await _send(socket, last)
    await asyncio.wait([listening], timeout=final_seconds)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return told


def pieces_of(pcm: bytes, bytes_per_second: int) -> list[Frame]:
    """Raw audio in messages of ``PIECE_SECONDS``; the last one may be shorter."""
    size = round(bytes_per_second * PIECE_SECONDS)
    return [pcm[place : place + size] for place in range(0, len(pcm), size)]


async def _listen(socket: ClientConnection, told: Exchange, began: float, over: Callable[[Frame], bool]) -> None:
    try:
        async for message in socket:
            told.received.append((time.monotonic() - began, message))
            if over(message):
                return
    except ConnectionClosed:
        return


async def _send(socket: ClientConnection, message: Frame) -> None:
    try:
        await socket.send(message)
    except ConnectionClosed:
        return
