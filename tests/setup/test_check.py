"""``check`` tells what is here, with nothing installed too, and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest

from openmic_setup import check
from tests.support.setup_project import BARE_PYTHON, ROOT, bootstrap, listing, make_project, variables


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.mark.parametrize("isolated", ["", "yes"])
def test_check_works_with_nothing_installed_and_changes_nothing(project: Path, isolated: str) -> None:
    before = listing(project.parent)
    found = bootstrap(project, "check", isolated=isolated)
    assert found.returncode in (0, 2), found.stderr
    assert found.stderr == ""
    rows = {line[:11].strip(): line[13:] for line in found.stdout.splitlines()}
    assert rows["runtime"] == "shell; everything will be installed into .venv (not made yet)"
    assert rows["python"].startswith(".".join(map(str, sys.version_info[:2])))
    assert "GiB" in rows["device"]
    assert str(project.parent / "home" / ".cache" / "openmic") in rows["weights"]
    assert "OpenAI's download" in found.stdout
    assert "package index (base, tiny.en)" in found.stdout
    assert rows["public URL"].startswith("ngrok: ")
    assert "cloudflare: " in found.stdout
    if isolated:
        assert rows["torch"] == rows["decoder"] == "not installed"
        assert rows["missing"] == "segno>=1.6, platformdirs>=4"
    assert listing(project.parent) == before


@pytest.mark.slow
def test_check_changes_no_package_here() -> None:
    def packages() -> str:
        return subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True).stdout

    before = packages()
    found = subprocess.run([sys.executable, "colab_bootstrap.py", "check"], capture_output=True, text=True, cwd=ROOT)
    assert "missing  nothing" in found.stdout, found.stdout + found.stderr
    assert packages() == before


@pytest.mark.slow
def test_check_names_the_decoder() -> None:
    found = subprocess.run([sys.executable, "colab_bootstrap.py", "check"], capture_output=True, text=True, cwd=ROOT)
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavformat", "libavcodec")
    )
    expected = f"    decoder  PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info} ({libraries})"
    assert expected in found.stdout.splitlines(), found.stdout + found.stderr


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import libopenmic_av_cannot_find", "ModuleNotFoundError: No module named 'libopenmic_av_cannot_find'"),
        ("import os; os.abort()", "its process ended with status -6"),
    ],
)
def test_check_says_why_a_decoder_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    (tmp_path / "av.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert check._decoder("99.0") == f"PyAV 99.0 does not load: {why}"
    assert [file.name for file in tmp_path.iterdir()] == ["av.py"]


def test_check_loads_no_decoder_that_lies_in_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit('somebody else's av')")
    monkeypatch.chdir(tmp_path)
    assert check._decoder(av.__version__).startswith(f"PyAV {av.__version__} with FFmpeg ")


def test_check_never_shows_the_authtoken(project: Path) -> None:
    found = bootstrap(project, "check", NGROK_AUTHTOKEN="2aVerySecretToken_1234567890")
    assert "authtoken found" in found.stdout
    assert "2aVerySecretToken" not in found.stdout + found.stderr


def test_a_reader_that_goes_away_gets_no_traceback(project: Path) -> None:
    command = [BARE_PYTHON, str(project / "colab_bootstrap.py"), "check"]
    checking = subprocess.Popen(command, env=variables(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert checking.stdout is not None
    assert checking.stderr is not None
    checking.stdout.close()
    assert checking.stderr.read() == b""
    checking.stderr.close()
    assert checking.wait() == 1
