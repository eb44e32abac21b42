"""A recording in pieces."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openmic.client.files import audio_seconds, file_pieces
from openmic.errors import OpenmicError
from tests.support import media
from tests.support.client_audio import PCM, SECOND


def test_durations_of_containers_and_raw_pcm(sample_audio: Path, tmp_path: Path) -> None:
    assert 10 < audio_seconds(sample_audio / "quickstart.wav") < 20
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 3)
    assert audio_seconds(raw, PCM) == 3.0  # type: ignore[arg-type]
    with pytest.raises(OpenmicError) as caught:
        audio_seconds(raw, {"encoding": "pcm_f32le"})
    assert caught.value.code == "no_duration"


@pytest.mark.parametrize(
    ("content", "code"), [(None, "no_file"), (b"", "no_duration"), (b"this is not audio " * 100, "no_duration")]
)
def test_what_has_no_duration_says_so(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OpenmicError) as caught:
        audio_seconds(path)
    assert caught.value.code == code


@pytest.mark.parametrize("name", media.TAGGED)
def test_a_title_that_is_not_utf_8_hides_no_duration(name: str, sample_audio: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(media.tagged(media.read_wav(sample_audio / "quickstart.wav")[:32_000], name, b"M\xfcnchen"))
    assert audio_seconds(path) == pytest.approx(2.0, abs=0.1)


def test_pieces_are_the_file_in_tenths_of_a_second(tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND)

    async def run() -> tuple[list[bytes], float]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        pieces = [piece async for piece in file_pieces(raw, PCM)]  # type: ignore[arg-type]
        return pieces, loop.time() - begin

    pieces, seconds = asyncio.run(run())
    assert b"".join(pieces) == SECOND
    assert len(pieces) == 10
    assert seconds >= 0.99  # not faster than it is spoken
