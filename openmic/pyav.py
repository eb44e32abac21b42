"""PyAV 14 to 19, where they differ in what we use."""

from __future__ import annotations

from typing import Any

import av
from av.container import InputContainer

_TAGS_ARE_DECODED_STRICTLY = int(av.__version__.partition(".")[0]) < 19
"""Until 18 a tag that is not UTF-8 is a UnicodeDecodeError, unless ``metadata_errors`` says otherwise; 19 keeps such
bytes as surrogates and knows no such argument."""


def open_input(file: Any, **arguments: Any) -> InputContainer:
    """``av.open(file, "r", **arguments)``, to which no title or artist matters that is not UTF-8.

    Raises:
        av.FFmpegError: the file cannot be opened, or it is not in a container that FFmpeg knows.
    """
    if _TAGS_ARE_DECODED_STRICTLY:
        arguments = {**arguments, "metadata_errors": "replace"}
    container: InputContainer = av.open(file, "r", **arguments)
    return container
