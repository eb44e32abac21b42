from __future__ import annotations

import numpy as np
import pytest

from openmic.server.dialects.samples import converter


def g711(code: int, *, alaw: bool) -> int:
    """One sample as ITU-T G.711 writes it: sign, exponent, mantissa; in 16 bits."""
    if alaw:
        code ^= 0x55
        exponent, mantissa = code >> 4 & 7, code & 15
        size = mantissa * 16 + 8 if exponent == 0 else (mantissa * 16 + 264) << exponent - 1
        return size if code & 0x80 else -size
    code ^= 0xFF
    size = ((((code & 15) << 3) + 132) << (code >> 4 & 7)) - 132
    return -size if code & 0x80 else size


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_g711_is_that_of_the_standard(encoding: str) -> None:
    samples = np.frombuffer(converter(encoding)(bytes(range(256))), "<i2")
    assert samples.tolist() == [g711(code, alaw=encoding == "alaw") for code in range(256)]
    assert np.abs(samples).max() == (32256 if encoding == "alaw" else 32124)


@pytest.mark.parametrize(
    ("encoding", "dtype", "scale"), [("pcm_s32le", "<i4", 65536), ("pcm_s8", "i1", 1 / 256), ("pcm_s16be", ">i2", 1)]
)
def test_linear_samples_keep_their_size_however_they_are_cut(encoding: str, dtype: str, scale: float) -> None:
    wanted = (np.arange(-100, 100) * 256).astype("<i2")
    data = (wanted.astype(np.float64) * scale).astype(dtype).tobytes()
    convert = converter(encoding)
    got = b"".join(convert(data[at : at + 3]) for at in range(0, len(data), 3))
    assert np.frombuffer(got, "<i2").tolist() == wanted.tolist()
