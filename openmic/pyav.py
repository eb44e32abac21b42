"""PyAV 14 to 19, where they differ in what we use."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.codec import Codec
from av.container import InputContainer
from av.stream import Stream
from numpy.typing import NDArray

_TAGS_ARE_DECODED_STRICTLY = int(av.__version__.partition(".")[0]) < 19
"""Until 18 a tag that is not UTF-8 is a UnicodeDecodeError, unless ``metadata_errors`` says otherwise; 19 keeps such
bytes as surrogates and knows no such argument."""


_DATA_POINTERS = 8
"""FFmpeg's AV_NUM_DATA_POINTERS. PyAV counts a frame's planes up to a null pointer, which only fewer planes than these
have behind them: with more it reads on, in memory that is not the frame's (until 18), or raises ValueError (19)."""

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


def frame_samples(frame: av.AudioFrame) -> NDArray[np.generic]:
    """A frame's samples, shape (n, channels), in any number of channels.

    Raises:
        ValueError: a sample format that NumPy has no name for.
        av.FFmpegError: so many channels in an arrangement that FFmpeg cannot interleave.
    """
    channels = len(frame.layout.channels)
    if not frame.format.is_planar:
        return frame.to_ndarray().reshape(-1, channels)
    if channels < _DATA_POINTERS:
        return frame.to_ndarray().T
    interleaved = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate).resample(frame)
    return np.concatenate([one.to_ndarray().reshape(-1, channels) for one in interleaved])
