"""A request's raw body as a file that is still coming, within the limits of uploads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastapi import Request
from starlette.requests import ClientDisconnect

from openmic.server.problems import PROBLEMS
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.problems import ServerFull
from openmic.settings import Settings

LEAST_UPLOAD_RATE = 2048  # bytes a second, on average beyond the first idle_seconds; the thinnest speech has 750
RETRY_SECONDS = 10.0  # what a file that finds no place is told to wait


class ReadsBytes(Protocol):
    """What gives an upload's bytes."""

    async def read(self, size: int = -1) -> bytes:
        """The next bytes, about ``size``; ``b""`` at the end."""


class RequestBody:
    """Reads a body as it comes; a ``ReadsBytes``.

    Args:
        request: whose body nobody else reads.
    """

    def __init__(self, request: Request) -> None:
        self._settings: Settings = request.app.state.settings
        self._chunks = request.stream()
        self._began_at = time.monotonic()
        self.size = 0

    async def read(self, size: int = -1) -> bytes:
        """The next piece as the network gave it, whatever ``size`` says; ``b""`` at the end.

        Raises:
            OpenmicError: ``upload_too_large``, ``upload_too_slow``, ``idle_too_long``, ``client_gone``.
        """
        settings, chunk = self._settings, b""
        try:
            async with asyncio.timeout(settings.idle_seconds):
                while not chunk:
                    chunk = await anext(self._chunks)
        except StopAsyncIteration:
            return b""
        except ClientDisconnect as gone:
            raise SESSION_PROBLEMS.error("client_gone") from gone
        except TimeoutError as late:
            raise SESSION_PROBLEMS.error("idle_too_long", idle_seconds=settings.idle_seconds) from late
        self.size += len(chunk)
        seconds = time.monotonic() - self._began_at
        least = LEAST_UPLOAD_RATE * (seconds - settings.idle_seconds)
        if self.size < least or seconds > settings.max_seconds + settings.idle_seconds:
            raise PROBLEMS.error("upload_too_slow", rate=LEAST_UPLOAD_RATE, max_seconds=settings.max_seconds)
        if self.size > settings.max_upload_bytes:
            raise PROBLEMS.error("upload_too_large", max_upload_bytes=settings.max_upload_bytes)
        return chunk


@contextmanager
def upload_place(request: Request, copies: int = 1) -> Iterator[None]:
    """One of the places for files that are being received; there are as many as for sessions.

    Args:
        request: the upload.
        copies: how often its bytes come to the disk.

    Raises:
        OpenmicError: ``server_full``, ``disk_full``, ``upload_too_large``.
    """
    state, announced = request.app.state, request.headers.get("content-length", "")
    if state.receiving_uploads >= state.sessions.places:
        raise ServerFull(state.receiving_uploads, state.sessions.places, RETRY_SECONDS)
    size = int(announced) if announced.isdecimal() else 0
    if size > state.settings.max_upload_bytes:
        raise PROBLEMS.error("upload_too_large", max_upload_bytes=state.settings.max_upload_bytes)
    state.sessions.space.check(copies * size)
    state.receiving_uploads += 1
    try:
        yield
    finally:
        state.receiving_uploads -= 1
