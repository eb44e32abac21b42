"""``openmic sessions``, as a person types it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

import openmic.service.finishing
from openmic.cli.main import main
from openmic.sessions.archive import Archive
from tests.sessions.test_archive import TONE, folder, spoken
from tests.support.scripted_engine import ScriptedEngine
from tests.support.scripted_sessions import scripted_sessions

__all__ = ["folder"]  # the fixture

Run = Callable[..., str]


@pytest.fixture
def run(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs ``openmic sessions`` on the folder; gives stdout, or stderr where it failed as it should."""

    def run(*arguments: str, fails: bool = False) -> str:
        status = main(["sessions", *arguments, "--data-dir", str(folder)])
        told = capsysbinary.readouterr()
        assert status == (2 if fails else 0), told
        return (told.err if fails else told.out).decode()

    return run


@pytest.fixture
def names(folder: Path) -> list[str]:
    """Ended, unfinished, unreadable."""
    return [entry.id for entry in Archive(folder).entries()]


def test_the_list_has_a_line_for_each(run: Run, names: list[str]) -> None:
    head, ended, unfinished, unreadable = run("list").splitlines()
    assert head.split() == ["id", "began", "length", "on", "disk", "state", "text"]
    assert ended.startswith(names[0][:8])
    assert "0:02" in ended
    assert ended.endswith("ended       heard 2.5 seconds")
    assert unfinished.endswith("unfinished  one two")
    assert unreadable.endswith("unreadable")


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "list", "--data-dir", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"No recordings in {tmp_path / 'none'}.\n"


def test_the_folder_is_that_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENMIC_DATA_DIR", str(folder))
    assert main(["sessions", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_one_is_shown_with_its_text(run: Run, names: list[str]) -> None:
    told = run("show", names[1][:8])
    assert names[1] in told
    assert f"openmic sessions finish {names[1][:8]}" in told
    assert told.endswith("\none two\n")
    assert "journal of this session cannot be read" in run("show", names[2], fails=True)
    assert "There is no recording 12345678901" in run("show", "12345678901", fails=True)


def test_texts_and_sound_are_exported(run: Run, names: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = [argument for kind in ("json", "srt", "vtt", "txt", "wav", "flac") for argument in ("--format", kind)]
    written = run("export", *names[:2], *formats, "--output", str(out)).splitlines()
    assert sorted(written) == sorted(str(path) for path in out.iterdir())
    assert len(written) == 12
    for name in names[:2]:
        stem = f"openmic-{name[:8]}"
        with wave.open(str(out / f"{stem}.wav")) as sound:
            assert sound.readframes(10**6) == TONE
        assert (out / f"{stem}.flac").read_bytes().startswith(b"fLaC")
        assert "00:00:00,000 --> " in (out / f"{stem}.srt").read_text()
        assert (out / f"{stem}.vtt").read_text().startswith("WEBVTT")
        assert json.loads((out / f"{stem}.json").read_text())["id"] == name
    assert (out / f"openmic-{names[0][:8]}.txt").read_text() == "one\ntwo\nthree\n"
    assert (out / f"openmic-{names[1][:8]}.txt").read_text() == "one\ntwo\n"


def test_one_file_goes_to_stdout(run: Run, names: list[str]) -> None:
    assert run("export", names[0], "--format", "txt", "--output", "-") == "one\ntwo\nthree\n"
    told = run("export", *names[:2], "--output", "-", fails=True)
    assert "Stdout takes one recording in one format" in told


def test_sound_goes_through_a_pipe(folder: Path, names: list[str]) -> None:
    command = [sys.executable, "-m", "openmic", "sessions", "export", names[0], "--format", "wav", "--output", "-"]
    done = subprocess.run([*command, "--data-dir", str(folder)], capture_output=True, check=True, timeout=120)
    with wave.open(io.BytesIO(done.stdout)) as sound:
        assert sound.readframes(10**6) == TONE


def test_a_folder_that_cannot_be_written_is_told(run: Run, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told = run("export", names[0], "--output", str(tmp_path / "file"), fails=True)
    assert "The export could not be written" in told


def test_what_was_left_is_finished(run: Run, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.service.finishing, "load_engine", lambda settings, progress: ScriptedEngine())
    assert run("finish", "--all") == f"{names[1][:8]}  0:02  heard 2.5 seconds\n"
    assert run("finish", "--all") == "All recordings are finished.\n"
    assert "needs no finishing" in run("finish", names[1], fails=True)
    assert "ended" in run("show", names[1])


def test_all_are_deleted_but_those_in_use(run: Run, names: list[str], folder: Path) -> None:
    with scripted_sessions(folder) as (sessions, _):  # it takes up the unfinished one
        running = spoken(sessions, end=False)
        told = run("delete", "--all")
        assert sorted(told.split()) == sorted(["deleted", names[0][:8], "deleted", names[2][:8]])
        assert "is in use" in run("delete", running.id, fails=True)
        assert "is in use" in run("finish", running.id, fails=True)
        assert run("show", running.id).count(f"running: a server works on it ({sessions.holder.name})") == 1
        running.write(TONE)
        assert running.received_bytes == 2 * len(TONE)


def test_nothing_is_left_to_delete_twice(run: Run, names: list[str]) -> None:
    run("delete", *names)
    assert run("delete", "--all") == "There is nothing to delete.\n"
    assert "There is no recording" in run("delete", names[0], fails=True)


def test_which_recordings_must_be_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sessions", "delete", "--data-dir", str(folder)])
    assert caught.value.code == 2
    assert "--all" in capsys.readouterr().err
