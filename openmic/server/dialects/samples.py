"""Raw samples as other wires carry them, made into those that a session takes (``pcm_s16le``, ``pcm_f32le``).

The tables are ITU-T G.711's: https://www.itu.int/rec/T-REC-G.711.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MULAW_BIAS = 33  # in units of a 14-bit sample


def _mulaw_table() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    size = ((2 * mantissa + MULAW_BIAS) << exponent) - MULAW_BIAS
    samples: NDArray[np.int16] = np.where(code & 0x80, -4 * size, 4 * size).astype("<i2")
    return samples


def _alaw_table() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(int), (code & 15).astype(int)
    size = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0))
    samples: NDArray[np.int16] = np.where(code & 0x80, 8 * size, -8 * size).astype("<i2")
    return samples


TABLES = {"mulaw": _mulaw_table(), "alaw": _alaw_table()}


class WholeSamples:
    """Cuts bytes that come in any pieces into whole samples.

    Args:
        sample_bytes: of one sample.
        convert: of whole samples, what a session takes.
    """

    def __init__(self, sample_bytes: int, convert: Callable[[bytes], bytes]) -> None:
        self._sample_bytes = sample_bytes
        self._convert = convert
        self._rest = b""

    def __call__(self, data: bytes) -> bytes:
        """The samples that are complete with ``data``."""
        waiting = self._rest + data
        end = len(waiting) - len(waiting) % self._sample_bytes
        self._rest = waiting[end:]
        return self._convert(waiting[:end])


def converter(encoding: str) -> Callable[[bytes], bytes]:
    """What makes ``pcm_s16le`` of one connection's bytes.

    Args:
        encoding: ``mulaw`` and ``alaw`` (G.711, 8 bits), ``pcm_s32le``, ``pcm_s8``, or ``pcm_s16be``.

    Raises:
        KeyError: another encoding.
    """
    if encoding in TABLES:
        table = TABLES[encoding]
        return lambda data: table[np.frombuffer(data, np.uint8)].tobytes()
    sample_bytes, convert = _LINEAR[encoding]
    return WholeSamples(sample_bytes, convert)


def _from_s32le(data: bytes) -> bytes:
    return (np.frombuffer(data, "<i4") >> 16).astype("<i2").tobytes()


def _from_s8(data: bytes) -> bytes:
    return (np.frombuffer(data, "i1").astype("<i2") * 256).tobytes()


def _from_s16be(data: bytes) -> bytes:
    return np.frombuffer(data, ">i2").astype("<i2").tobytes()


_LINEAR: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "pcm_s32le": (4, _from_s32le),
    "pcm_s8": (1, _from_s8),
    "pcm_s16be": (2, _from_s16be),
}
