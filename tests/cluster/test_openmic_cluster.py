"""``openmic cluster`` as a person runs it: real speech with Whisper, one link, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from openmic.audio.types import Samples
from openmic.client import stream_file
from openmic.cluster.reports import REPORT_SECONDS
from openmic.server.access.token_file import TokenFile
from openmic.settings import Settings
from openmic.speech.load import load_whisper
from openmic.speech.weights.locate import locate

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.weights]

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tiny.en"
FILES = ("quickstart.wav", "interview.wav")
END_SECONDS = 120


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "openmic", "cluster", "--replicas", "2", "--tunnel", "none", "--model", MODEL]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENMIC_DATA_DIR": str(tmp_path / "recordings"),
        "OPENMIC_CACHE_DIR": str(Settings().cache_dir),
        "OPENMIC_MAX_SESSIONS": "2",  # whatever a busy machine was measured to carry
    }
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_SECONDS)


def card_of(process: subprocess.Popen[str]) -> str:
    """All that it prints until it is ready."""
    assert process.stdout is not None
    told = ""
    while line := process.stdout.readline():
        told += line
        if "Ctrl-C finishes" in line:
            return told
    raise AssertionError(told)


def test_one_link_for_two_replicas_until_ctrl_c(
    cluster: subprocess.Popen[str],
    tmp_path: Path,
    sample_audio: Path,
    load_audio: Callable[[Path], Samples],
) -> None:
    card = card_of(cluster)
    assert f"Whisper {MODEL} on cpu (2 replicas): up to 4 speakers at once." in card
    found = re.search(r"^\s+(http\S+)/#token=\S+$", card, re.MULTILINE)
    assert found
    files = [sample_audio / name for name in FILES]
    with ThreadPoolExecutor(len(files)) as pool:
        results = [*pool.map(lambda path: stream_file(found[0].strip(), path, realtime=False), files)]

    owner = next(one.secret for one in TokenFile(tmp_path / "recordings").read() if one.use == "owner")
    headers = {"Authorization": f"Bearer {owner}"}
    opened = r'^openmic_sessions_opened_total\{replica="\w+"\} (\S+)$'
    by_replica = [*map(float, re.findall(opened, metrics(found[1], headers), re.MULTILINE))]
    assert len(by_replica) == 2
    assert sum(by_replica) == len(FILES)  # by one, where the other has not said yet that it has places

    model: Any = load_whisper(MODEL, locate(MODEL, Settings().cache_dir), "cpu")
    for path, result in zip(files, results, strict=True):
        alone = model.transcribe(load_audio(path), fp16=False)
        assert result.text == alone["text"]

    cluster.send_signal(signal.SIGINT)
    ended, _ = cluster.communicate(timeout=END_SECONDS)
    assert cluster.returncode == 0
    assert ended.startswith("Stopping.\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(found[1])


def metrics(url: str, headers: dict[str, str]) -> str:
    """Of both, once both have reported what happened."""
    time.sleep(2 * REPORT_SECONDS)
    return httpx.get(f"{url}/metrics", headers=headers).text
