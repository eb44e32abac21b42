"""One service with base's real weights, spoken to through a socket, by `openmic stream` and by OpenAI's SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
from websockets.sync.client import connect

import openmic
from openmic.service.service import OpenMic
from tests.support import media

pytestmark = [pytest.mark.weights, pytest.mark.slow]

WAIT = 120  # seconds; generous, for a machine that is busy with something else
SLICE_SECONDS = 0.25  # how often a browser's recorder gives what it has
MOST_WRONG = 0.05  # of the words: base hears these recordings word for word, give or take a number's spelling


@pytest.fixture(scope="module")
def mic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenMic]:
    with openmic.launch(model="base", tunnel="none", data_dir=tmp_path_factory.mktemp("recordings")) as running:
        yield running


@pytest.fixture(scope="module")
def webm(sample_audio: Path) -> bytes:
    """The recording as a browser's recorder gives it."""
    return media.webm(media.read_wav(sample_audio / "quickstart.wav"))


@pytest.fixture
def mistakes(sample_audio: Path, word_error_rate: Callable[[str, str], float]) -> Callable[[str], float]:
    """The word error rate of a text that should be the recording's."""
    reference = (sample_audio / "quickstart.txt").read_text(encoding="utf-8")
    return lambda text: word_error_rate(reference, text)


def test_webm_through_a_socket_in_real_time(
    mic: OpenMic, webm: bytes, sample_audio: Path, mistakes: Callable[[str], float]
) -> None:
    seconds = len(media.read_wav(sample_audio / "quickstart.wav")) / media.RATE
    size = round(len(webm) * SLICE_SECONDS / seconds)
    url = f"{mic.local_url.replace('http', 'ws', 1)}/v1/stream"
    with connect(url, additional_headers={"Authorization": f"Bearer {mic.token}"}, open_timeout=WAIT) as socket:
        socket.send(json.dumps({"type": "start", "language": "en", "words": True}))
        for start in range(0, len(webm), size):
            socket.send(webm[start : start + size])
            time.sleep(SLICE_SECONDS)
        socket.send(json.dumps({"type": "stop"}))
        heard = [json.loads(message) for message in socket]  # ends where the server closes with 1000, else it raises
    kinds = [message["type"] for message in heard]
    assert kinds[0] == "ready"
    assert kinds[-2:] == ["final", "done"]
    assert {"ack", "speech", "live", "commit"} <= set(kinds)
    assert "error" not in kinds
    assert kinds.index("live") < kinds.index("commit") < kinds.index("final")
    acknowledged = [message["received_bytes"] for message in heard if message["type"] == "ack"]
    assert acknowledged[-1] == len(webm)
    final = heard[-2]
    assert mistakes(final["text"]) < MOST_WRONG, final["text"]
    assert mistakes("".join(one["text"] for one in heard if one["type"] == "commit")) < 4 * MOST_WRONG
    assert final["segments"][0]["words"]
    assert final["duration"] == pytest.approx(seconds, abs=0.1)


def test_openmic_stream(mic: OpenMic, webm: bytes, tmp_path: Path, mistakes: Callable[[str], float]) -> None:
    recording = tmp_path / "recording.webm"
    recording.write_bytes(webm)
    command = [sys.executable, "-m", "openmic", "stream", mic.link, str(recording), "--fast", "--language", "en"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr
    final = json.loads(done.stdout)
    assert final["type"] == "final"
    assert mistakes(final["text"]) < MOST_WRONG, final["text"]


def test_openais_sdk(mic: OpenMic, webm: bytes, mistakes: Callable[[str], float]) -> None:
    with openai.OpenAI(base_url=f"{mic.local_url}/v1", api_key=mic.token, timeout=WAIT, max_retries=0) as sdk:
        answer = sdk.audio.transcriptions.create(
            model="whisper-1", file=("speech.webm", webm, "audio/webm"), response_format="verbose_json"
        )
    assert answer.language == "english"
    assert mistakes(answer.text) < MOST_WRONG, answer.text
    assert answer.segments
