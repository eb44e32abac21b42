"""The project's recording as the page's MediaRecorder would have recorded it."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from openmic.audio import AudioFormat, decode
from openmic.audio.types import SAMPLE_RATE
from openmic.client import iter_stream
from openmic.client.sample import BITS_PER_SECOND, SLICE_MS, recorder_slices, sample_path
from tests.support import media
from tests.support.scripted_engine import scripted_server

PAGE = Path(__file__).resolve().parents[2] / "openmic" / "server" / "page"
EBML_HEADER, CLUSTER = bytes.fromhex("1a45dfa3"), bytes.fromhex("1f43b675")


def slices_of(recording: Path, *, realtime: bool = False) -> list[tuple[float, bytes]]:
    """(seconds since the first could come, bytes) of each slice."""

    async def run() -> list[tuple[float, bytes]]:
        loop = asyncio.get_running_loop()
        slices = recorder_slices(recording, realtime=realtime)
        found = [(loop.time(), await anext(slices))]
        found += [(loop.time(), data) async for data in slices]
        return [(at - found[0][0], data) for at, data in found]

    return asyncio.run(run())


def test_they_are_slices_of_one_stream_that_gives_the_recording_back() -> None:
    recording = media.read_wav(sample_path())
    slices = [data for _, data in slices_of(sample_path())]
    seconds = len(recording) / SAMPLE_RATE
    assert len(slices) == pytest.approx(seconds * 1000 / SLICE_MS, abs=5)
    assert slices[0].startswith(EBML_HEADER)
    assert all(data.startswith(CLUSTER) for data in slices[1:])
    assert not any(EBML_HEADER in data for data in slices[1:])
    assert sum(map(len, slices)) * 8 / seconds == pytest.approx(BITS_PER_SECOND, rel=0.2)

    heard = np.concatenate(list(decode(media.Whole(b"".join(slices)), AudioFormat())))
    assert len(heard) == pytest.approx(len(recording), abs=0.05 * SAMPLE_RATE)
    length = min(len(heard), len(recording))
    assert np.corrcoef(heard[:length], recording[:length].astype(np.float32))[0, 1] > 0.97


def test_a_slice_comes_when_it_has_been_spoken(tmp_path: Path) -> None:
    short = tmp_path / "short.wav"
    short.write_bytes(media.wav(media.read_wav(sample_path())[: 2 * SAMPLE_RATE]))
    times = [at for at, _ in slices_of(short, realtime=True)]
    assert len(times) >= 8
    for number, at in enumerate(times[1:-1], start=1):  # the last is what was left
        assert at >= 0.9 * number * (SLICE_MS - 20) / 1000  # a cluster ends with the frame of 20 ms before its limit


def test_it_is_what_the_page_asks_its_recorder_for() -> None:
    script = (PAGE / "microphone.js").read_text(encoding="utf-8")
    asked = {name: int(value.replace("_", "")) for name, value in re.findall(r"^const (\w+) = ([\d_]+);", script, re.M)}
    assert (asked["TIMESLICE_MS"], asked["BITS_PER_SECOND"]) == (SLICE_MS, BITS_PER_SECOND)
    assert 'CONTAINERS = ["audio/webm;codecs=opus"' in script


@pytest.mark.parametrize("ended_early", [False, True])
def test_a_service_takes_them_from_an_iterator(tmp_path: Path, ended_early: bool) -> None:
    finish = threading.Event()
    with scripted_server(tmp_path, token="a-token-for-tests") as service:
        source = recorder_slices(sample_path(), realtime=ended_early)
        final = None
        for message in iter_stream(service.link, source, finish=finish):
            if ended_early and message["type"] in ("live", "commit"):
                finish.set()
            if message["type"] == "final":
                final = message
    assert final is not None
    assert (0 < final["duration"] < 15) if ended_early else final["duration"] == pytest.approx(15.2, abs=0.2)
