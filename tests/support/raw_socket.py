"""A WebSocket by hand, for clients that misbehave as no library lets one."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.support.scripted_engine import ScriptedServer


def shake_hands(server: ScriptedServer, start: dict[str, Any], *, receive_buffer: int) -> socket.socket:
    """A connection that has sent ``start`` and will never read again, with room for so many bytes on its side."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.connect(("127.0.0.1", server.thread.port))
    raw.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Authorization: Bearer secret\r\n\r\n"
    )
    assert b"101" in raw.recv(12)
    raw.sendall(frame(0x1, json.dumps(start).encode()))
    return raw


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked WebSocket frame (RFC 6455, 5.2), with a mask of zeros."""
    return bytes([0x80 | opcode, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload
