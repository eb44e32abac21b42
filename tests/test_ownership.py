"""On a machine that others use: what they cannot read, and what they have put there."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

import openmic.log
from openmic.environment import SECRET_VARIABLES, environment_without_secrets
from openmic.log import Log, log_event
from openmic.ownership import is_ours, make_private_folder
from openmic.sessions.recovery import session_folders
from openmic.sessions.storage.recording import DiskRecording

logger = logging.getLogger("openmic.tests")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def usual_umask() -> None:
    os.umask(0o022)


@pytest.mark.usefixtures("usual_umask")
def test_folders_that_are_made_are_private_and_others_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    make_private_folder(tmp_path / "shared" / "openmic" / "recordings")
    assert mode(tmp_path / "shared") == 0o755
    assert mode(tmp_path / "shared" / "openmic") == mode(tmp_path / "shared" / "openmic" / "recordings") == 0o700
    make_private_folder(tmp_path / "shared" / "openmic")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_private_folder(tmp_path / "file")


@pytest.mark.usefixtures("usual_umask")
def test_every_file_of_the_log_is_private_and_no_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmic.log, "FILE_BYTES", 2000)
    with Log("file", tmp_path / "recordings" / "log") as log:
        for _ in range(60):
            log_event(logger, "note", text="x" * 100)
        assert log.path is not None
    files = sorted((tmp_path / "recordings" / "log").iterdir())
    assert len(files) > 3
    assert {mode(path) for path in files} == {0o600}
    assert mode(tmp_path / "recordings") == 0o700
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "openmic.jsonl").symlink_to(tmp_path / "victim")
    with Log("file", planted) as log:
        assert log.path is None  # it goes to stderr
    assert not (tmp_path / "victim").exists()


def test_what_others_have_put_there_is_not_ours(tmp_path: Path) -> None:
    mine, open_to_all, link = tmp_path / "mine", tmp_path / "open", tmp_path / "link"
    mine.touch()
    open_to_all.touch()
    open_to_all.chmod(0o666)
    link.symlink_to(mine)
    assert [is_ours(path) for path in (mine, open_to_all, link, tmp_path / "nothing")] == [True, False, False, False]


def test_a_file_of_another_account_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert is_ours(tmp_path / "file") == ((tmp_path / "file").stat().st_uid == 0)
    assert is_ours(Path("/etc/passwd"))  # the system's


def test_a_planted_session_is_none_and_a_planted_recording_is_not_written_through(tmp_path: Path) -> None:
    real, linked, open_to_all = (tmp_path / (digit * 32) for digit in "abc")
    real.mkdir(mode=0o700)
    linked.symlink_to(real)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert list(session_folders(tmp_path)) == [real]
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (real / "recording.pcm").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        DiskRecording(real / "recording")
    assert victim.read_text() == "precious"


def test_a_child_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, "very-secret")
    monkeypatch.setenv("OPENMIC_MODEL", "base")
    environment = environment_without_secrets()
    assert "very-secret" not in environment.values()
    assert environment["OPENMIC_MODEL"] == "base"
