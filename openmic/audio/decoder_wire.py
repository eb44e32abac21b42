"""What passes between a session and the process that decodes for it: frames of a kind, a length, and content.

The decoding process asks (``READ``) and tells (``SAMPLES``, and one of the three ends); the session answers.
What comes from the process is as little to be trusted as the media that it reads: every length is bounded here.
"""

from __future__ import annotations

import socket
import struct

# from the process
READ, SAMPLES = b"R", b"s"  # uint32 bytes wanted and int64 from where; float32 samples
WARNING = b"w"  # JSON of an OpenmicError; the sound goes on
END, PROBLEM, FAULT, TOO_COSTLY = b"e", b"p", b"f", b"c"  # nothing; JSON of an OpenmicError; a name; nothing
# to the process
OPEN, DATA = b"O", b"d"  # JSON of an AudioFormat and the limits; bytes

WANTED = struct.Struct("<Iq")

_HEAD = struct.Struct("<cI")
MOST_BYTES = 262_144  # of one frame's content; a second of samples has 64,000


def send(connection: socket.socket, kind: bytes, content: bytes = b"") -> None:
    """Send one frame.

    Raises:
        OSError: the other side has gone.
    """
    connection.sendall(_HEAD.pack(kind, len(content)) + content)


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """The next frame's kind and content.

    Raises:
        EOFError: the other side has gone.
        OSError: so it has, or it sends nothing within the connection's time-out.
        ValueError: a frame that is too long.
    """
    kind, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > MOST_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = connection.recv(size - len(content))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
