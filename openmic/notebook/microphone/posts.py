"""What the card and the kernel send each other; every answer is sent while its post is being handled.

=========  ===================================================  =================================================
post       fields                                               answer
=========  ===================================================  =================================================
``hello``  a buffer of a few bytes                              ``port``, ``token``, ``link``; ``probe``: the
                                                                bytes that arrived in buffers
``post``   ``socket``, ``n`` (1, 2, ...), ``frames``            ``socket``, ``n``, ``first``, ``frames``,
                                                                ``closed``
``close``  ``socket``                                           none
``told``   ``message``: one that came or went another way       none
``leave``  none: the page is going away                         none
=========  ===================================================  =================================================

Each has its ``kind``, and the ``page`` that it is from. A frame is text, ``{"buffer": index}``, or
``{"base64": text}`` where buffers do not arrive.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

Post = dict[str, Any]
Buffers = Sequence[bytes | memoryview]


def frames_of(post: Post, buffers: Buffers) -> list[str | bytes]:
    """The frames of a post, as a WebSocket would have carried them."""
    return [_frame(frame, buffers) for frame in post["frames"]]


def _frame(frame: str | dict[str, Any], buffers: Buffers) -> str | bytes:
    if isinstance(frame, str):
        return frame
    if "base64" in frame:
        return base64.b64decode(frame["base64"])
    return bytes(buffers[frame["buffer"]])
