"""A whole recording or the microphone through one stream: as messages, or as the one result."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from anyio.from_thread import start_blocking_portal

from openmic.client.files import file_pieces
from openmic.client.microphone import MICROPHONE_OPTIONS, microphone_pieces
from openmic.client.options import StreamOptions
from openmic.client.problems import PROBLEMS
from openmic.client.result import Message, Result, StreamFailed
from openmic.client.stream import Stream, connect
from openmic.errors import OpenmicError

MICROPHONE = "mic"
"""In place of a path: the microphone of this machine."""

Source = str | Path | AsyncIterator[bytes]
"""A recording's path, MICROPHONE, or the bytes themselves: slices of a container or of raw PCM, each when it comes."""


async def iter_stream_async(
    link: str,
    source: Source,
    *,
    token: str | None = None,
    realtime: bool = True,
    finish: threading.Event | None = None,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[Message, None]:
    """Stream ``source`` and give the service's messages as they come, the last one ``done``.

    Args:
        link: the service's link; may hold the token.
        source: a recording's path, ``"mic"``, or an iterator of bytes.
        token: the token, where the link does not hold it.
        realtime: pace a file at the speed of speech; otherwise send as fast as the service takes it. An iterator has
            a pace of its own.
        finish: when it is set (from any thread) the audio ends there, and the final follows.
        options: see ``StreamOptions``.

    Raises:
        OpenmicError: any of the client's problems, or the service's.
    """
    finish = finish or threading.Event()
    if isinstance(source, AsyncIterator):
        pieces = _until(source, finish)
    elif source == MICROPHONE:
        options = {**options, **MICROPHONE_OPTIONS}
        pieces = microphone_pieces(finish)
    else:
        if not Path(source).is_file():
            raise PROBLEMS.error("no_file", path=source, detail="no such file")
        pieces = file_pieces(source, options, realtime=realtime, finish=finish)
    async with connect(link, token, **options) as stream:
        sender = asyncio.create_task(_send_all(stream, pieces))
        try:
            async for message in stream:
                yield message
        finally:
            sender.cancel()
            await asyncio.wait([sender])


async def _until(pieces: AsyncIterator[bytes], finish: threading.Event) -> AsyncIterator[bytes]:
    """The pieces that come before ``finish`` is set."""
    async for piece in pieces:
        if finish.is_set():
            return
        yield piece


async def _send_all(stream: Stream, pieces: AsyncIterator[bytes]) -> None:
    try:
        async for piece in pieces:
            await stream.send(piece)
        await stream.stop()
    except Exception as error:  # it is raised where the stream is iterated over
        stream.fail(error)


def iter_stream(
    link: str,
    source: Source,
    *,
    token: str | None = None,
    realtime: bool = True,
    finish: threading.Event | None = None,
    **options: Unpack[StreamOptions],
) -> Iterator[Message]:
    """``iter_stream_async`` without ``async``: the network runs in a thread of its own, messages come to the caller's.

    Works in a notebook's cell, where a loop runs already. Where the caller is interrupted, the stream is cancelled and
    has ended before this ends; one that is left open ends with the program.
    """
    messages = _in_a_thread(link, source, token, realtime, finish, options)
    _open.add(messages)
    return messages


def _in_a_thread(
    link: str,
    source: Source,
    token: str | None,
    realtime: bool,
    finish: threading.Event | None,
    options: StreamOptions,
) -> Generator[Message, None, None]:
    with start_blocking_portal(name="openmic-client") as portal:
        messages = iter_stream_async(link, source, token=token, realtime=realtime, finish=finish, **options)
        try:
            while (message := portal.call(_next, messages)) is not None:
                yield message
        except GeneratorExit:  # the caller wants no more: it stands between two messages, so none is being waited for
            portal.call(messages.aclose)
            raise


_open = weakref.WeakSet[Generator[Message, None, None]]()


@atexit.register
def _close_all() -> None:
    """Later, when Python clears its modules, threads no longer run, and closing a stream would wait for ever."""
    for messages in list(_open):
        messages.close()


async def _next(messages: AsyncIterator[Message]) -> Message | None:
    """The next message; None: that was all.

    It is waited for in a task of asyncio's own. The portal's cancellation is repeated at each `await` until a task has
    ended, so that a socket could not be closed in order; asyncio's, when the loop ends, comes once.
    """
    step = asyncio.ensure_future(anext(messages, None))
    await asyncio.wait([step])
    return step.result()


async def stream_file_async(
    link: str,
    source: Source,
    *,
    token: str | None = None,
    realtime: bool = True,
    on_message: Callable[[Message], None] | None = None,
    **options: Unpack[StreamOptions],
) -> Result:
    """Stream a recording and give its final transcript; ``on_message`` sees every message on the way.

    Raises:
        StreamFailed: an error ended the stream after it was open; carries what had been heard.
        OpenmicError: any of the client's problems, or the service's.
    """
    collect = Collect()
    with collect.keep_what_was_transcribed():
        async for message in iter_stream_async(link, source, token=token, realtime=realtime, **options):
            collect(message)
            if on_message is not None:
                on_message(message)
    return collect.result()


def stream_file(
    link: str,
    source: Source,
    *,
    token: str | None = None,
    realtime: bool = True,
    on_message: Callable[[Message], None] | None = None,
    **options: Unpack[StreamOptions],
) -> Result:
    """``stream_file_async`` without ``async``; ``on_message`` is called in the caller's thread."""
    collect = Collect()
    with collect.keep_what_was_transcribed():
        for message in iter_stream(link, source, token=token, realtime=realtime, **options):
            collect(message)
            if on_message is not None:
                on_message(message)
    return collect.result()


class Collect:
    """Takes a stream's messages in order and knows its result in the end."""

    def __init__(self) -> None:
        self._session_id = ""
        self._committed = ""
        self._final: Result | None = None

    def __call__(self, message: Message) -> None:
        """Take one message."""
        match message["type"]:
            case "ready":
                self._session_id = str(message["session_id"])
            case "commit":
                self._committed += str(message["text"])
            case "final":
                self._final = Result.from_message(message, self._session_id)

    @contextmanager
    def keep_what_was_transcribed(self) -> Iterator[None]:
        """Let an error that ends an open stream carry what was heard before it.

        Raises:
            StreamFailed: in place of the error.
        """
        try:
            yield
        except OpenmicError as error:
            if not self._session_id:
                raise
            raise StreamFailed(error, self._final, self._committed.strip(), self._session_id) from error

    def result(self) -> Result:
        """The final transcript; a stream that ended without an error has one."""
        if self._final is None:
            raise PROBLEMS.error("no_final", host="the service", seconds=0, session_id=self._session_id)
        return self._final
