"""PyAV 14 to 19, where they differ in what we use."""

from __future__ import annotations

from typing import Any

import av
from av.codec import Codec
from av.container import InputContainer
from av.stream import Stream

_TAGS_ARE_DECODED_STRICTLY = int(av.__version__.partition(".")[0]) < 19
"""Until 18 a tag that is not UTF-8 is a UnicodeDecodeError, unless ``metadata_errors`` says otherwise; 19 keeps such
bytes as surrogates and knows no such argument."""


_DEFAULT, _ATTACHED_PICTURE = 1, 0x400  # FFmpeg's AV_DISPOSITION_...


def codec_name(codec: Codec) -> str:
    """FFmpeg's name of what a decoder decodes ("opus", "mp3"), whichever of its decoders it is."""
    known = getattr(codec, "canonical_name", None)
    if known is not None:
        return str(known)
    name = str(codec.name).removeprefix("lib").removeprefix("opencore_").removesuffix("float").removesuffix("_fixed")
    return {"amrnb": "amr_nb", "amrwb": "amr_wb"}.get(name, name)  # PyAV 14 knows the decoder's name alone


def is_default(stream: Stream) -> bool:
    """Whether a stream is marked as its kind's default; never before PyAV 15, which does not tell."""
    return bool(int(getattr(stream, "disposition", 0)) & _DEFAULT)


def is_picture(stream: Stream) -> bool:
    """Whether a stream of video is a cover, whose time means nothing; never before PyAV 15, as ``is_default``."""
    return bool(int(getattr(stream, "disposition", 0)) & _ATTACHED_PICTURE)


def open_input(file: Any, **arguments: Any) -> InputContainer:
    """``av.open(file, "r", **arguments)``, to which no title or artist matters that is not UTF-8.

    Raises:
        av.FFmpegError: the file cannot be opened, or it is not in a container that FFmpeg knows.
    """
    if _TAGS_ARE_DECODED_STRICTLY:
        arguments = {**arguments, "metadata_errors": "replace"}
    container: InputContainer = av.open(file, "r", **arguments)
    return container
