"""One WebSocket to the service: opened, greeted, and its failures put into words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import urllib.request
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

from openmic.client.link import Address
from openmic.client.problems import PROBLEMS, from_wire
from openmic.client.result import Message
from openmic.errors import OpenmicError

MAX_FINAL_BYTES = 67_108_864  # a final of hours of words is one message
CLOSE_SECONDS = 5.0
KEEPALIVE_SECONDS = 20.0

PASSING = {
    "unreachable",
    "proxy_unusable",
    "no_ready",
    "link_down",
    "server_full",
    "too_many_connections",
    "too_many_unauthenticated",
    "too_many_wrong_tokens",
    "too_many_starts",
    "ended_1001",
    "ended_1006",
    "ended_1012",
    "ended_1013",
}
"""Codes of errors that may be gone when tried again."""


async def open_socket(address: Address, first: Message, open_seconds: float) -> tuple[ClientConnection, Message]:
    """Connect, send the first message, wait for ``ready``; gives the socket and that message.

    Raises:
        OpenmicError: what went wrong; ``PASSING`` holds the codes after which another try makes sense.
    """
    socket: ClientConnection | None = None
    try:
        async with asyncio.timeout(open_seconds):
            socket = await _connect(address)
            with contextlib.suppress(ConnectionClosed):  # a refusal that came first is read below
                await socket.send(json.dumps(first))
            return socket, await _ready(socket, address)
    except TimeoutError as late:
        await _drop(socket)
        raise PROBLEMS.error("no_ready", host=address.host, seconds=open_seconds) from late
    except BaseException:
        await _drop(socket)
        raise


async def _connect(address: Address) -> ClientConnection:
    way: dict[str, Any] = {"proxy": None} if address.local else {}
    try:
        return await websockets.connect(
            address.url,
            additional_headers={"Authorization": f"Bearer {address.token}", "ngrok-skip-browser-warning": "1"},
            user_agent_header="openmic-client",
            open_timeout=None,
            ping_interval=KEEPALIVE_SECONDS,
            ping_timeout=KEEPALIVE_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_FINAL_BYTES,
            **way,
        )
    except InvalidStatus as refused:
        raise _status_error(address, refused.response.status_code, _header_code(refused)) from refused
    except (ImportError, InvalidProxy, ProxyError) as unusable:  # ImportError: SOCKS needs one more package
        raise _proxy_error(address, str(unusable)) from unusable
    except InvalidURI as bad:
        raise PROBLEMS.error("bad_url", url=address.url) from bad
    except InvalidHandshake as odd:
        if isinstance(odd.__cause__, EOFError):
            raise PROBLEMS.error("unreachable", host=address.host, detail="it hung up without an answer") from odd
        raise PROBLEMS.error("not_a_service", host=address.host, detail=str(odd) or type(odd).__name__) from odd
    except OSError as failure:
        detail = failure.strerror or str(failure) or type(failure).__name__
        if not address.local and proxy_variable(address) is not None:
            raise _proxy_error(address, detail) from failure
        raise PROBLEMS.error("unreachable", host=address.host, detail=detail) from failure


def proxy_variable(address: Address) -> str | None:
    """The environment variable whose proxy is on the way to the service; None: there is no proxy."""
    if urllib.request.proxy_bypass(address.host):
        return None
    found = urllib.request.getproxies()
    schemes = (
        ("wss", "socks", "https") if address.url.startswith("wss:") else ("ws", "socks", "https", "http")
    )  # as websockets has it
    scheme = next((scheme for scheme in schemes if scheme in found), None)
    if scheme is None:
        return None
    names = (name for name in os.environ if name.lower() == f"{scheme}_proxy")
    return next(names, "this system's settings")


def _proxy_error(address: Address, detail: str) -> OpenmicError:
    variable = proxy_variable(address) or "this system's settings"
    return PROBLEMS.error("proxy_unusable", variable=variable, host=address.host, detail=_without_password(detail))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//***@", text)


def _header_code(refused: InvalidStatus) -> str:
    return str(refused.response.headers.get("Ngrok-Error-Code", ""))


def _status_error(address: Address, status: int, ngrok_code: str) -> OpenmicError:
    detail = f"HTTP {status}" + (f", {ngrok_code}" if ngrok_code else "")
    if ngrok_code or status >= 500:
        return PROBLEMS.error("link_down", host=address.host, detail=detail)
    if status in (401, 403):
        return PROBLEMS.error("bad_token", host=address.host)
    return PROBLEMS.error("not_a_service", host=address.host, detail=detail)


async def _ready(socket: ClientConnection, address: Address) -> Message:
    refusal: Message | None = None
    while True:
        try:
            message = read_message(await socket.recv(), address)
        except ConnectionClosed as closed:
            raise closing_error(address, closed, refusal) from closed
        if message["type"] == "ready":
            return message
        if message["type"] == "error":
            refusal = message


def read_message(raw: str | bytes, address: Address) -> Message:
    """A frame as a message.

    Raises:
        OpenmicError: ``not_understood``.
    """
    try:
        message = json.loads(raw)
        if isinstance(message, dict) and isinstance(message["type"], str):
            return message
    except (ValueError, KeyError):
        pass
    raise PROBLEMS.error("not_understood", host=address.host)


def closing_error(address: Address, closed: ConnectionClosed, error_message: Message | None) -> OpenmicError:
    """Why the service closed the socket: in its own words where it sent any before."""
    if error_message is not None:
        return from_wire(error_message)
    code = closed.rcvd.code if closed.rcvd is not None else 1006
    if code == 4401:
        return PROBLEMS.error("bad_token", host=address.host)
    if code == 4404:
        return PROBLEMS.error("session_lost", host=address.host)
    reason = closed.rcvd.reason if closed.rcvd is not None else ""
    error = PROBLEMS.error(
        "ended", host=address.host, close_code=code, detail=reason or "The connection broke before it said why."
    )
    error.code = f"ended_{code}"
    return error


async def _drop(socket: ClientConnection | None) -> None:
    if socket is not None:
        await socket.close()
