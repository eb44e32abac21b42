"""Progress, problems and QR codes in a real terminal, in one that cannot move its cursor, and in a pipe."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.terminal import TerminalProgress, make_console, printable, qr_code
from tests.support.terminal import TerminalScreen, terminal

ROOT = Path(__file__).resolve().parents[1]
WORK = """
import sys, time
from openmic.terminal import TerminalProgress
progress = TerminalProgress()
for percent in range(0, 101, 5):
    progress("Downloading base", percent / 100)
progress("Warming up", None)
time.sleep(0.3)
progress("Opening the tunnel", 0.4)
if "fail" in sys.argv:
    try:
        raise KeyboardInterrupt
    finally:
        progress.close()
progress.close()
"""
AS_LINES = [
    "Downloading base",
    "Downloading base  25%",
    "Downloading base  50%",
    "Downloading base  75%",
    "Warming up",
    "Opening the tunnel  40%",
]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[TerminalScreen]:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal(60) as screen:
        yield screen


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


def test_work_under_way_is_a_bar_and_work_done_is_a_line(screen: TerminalScreen) -> None:
    progress = TerminalProgress(screen.out)
    progress("Downloading base", 0.0)
    progress("Downloading base", 0.5)
    progress._bar.refresh()  # type: ignore[union-attr]
    assert screen.lines[0].startswith("Downloading base ")
    assert screen.lines[0].endswith(" 50%")
    assert screen.cursor_hidden
    progress("Downloading base", 1.0)
    progress("Downloading base", 1.0)  # once more: not again
    assert screen.lines == ["Downloading base"]
    progress("Warming up", None)
    progress.close()
    progress.close()
    assert screen.lines == ["Downloading base", "Warming up"]
    assert (screen.cursor_hidden, screen.column) == (False, 0)


def test_a_name_with_brackets_is_no_markup(screen: TerminalScreen) -> None:
    progress = TerminalProgress(screen.out)
    progress("Fetching [bold]weights[/bold] :smile:", None)
    progress.close()
    assert screen.lines == ["Fetching [bold]weights[/bold] :smile:"]


@pytest.mark.parametrize("how", [[], ["fail"]])
def test_a_program_in_a_terminal_gives_it_back(how: list[str]) -> None:
    with terminal(60) as screen:
        assert (screen.run([sys.executable, "-c", WORK, *how], environment()) == 0) is (how == [])
        assert screen.lines[:3] == ["Downloading base", "Warming up", "Opening the tunnel"]
        assert "━" in screen.written
        assert (screen.cursor_hidden, screen.column) == (False, 0)


def test_a_terminal_without_a_cursor_gets_lines() -> None:
    with terminal(60) as screen:
        assert screen.run([sys.executable, "-c", WORK], environment(TERM="dumb")) == 0
        assert screen.lines == AS_LINES
        assert "\x1b" not in screen.written


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}])
def test_a_pipe_gets_lines(forced: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], env=environment(**forced), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines() == AS_LINES
    assert done.stdout == ""


def test_pythons_own_streams_stay_as_they_are(screen: TerminalScreen) -> None:
    before = sys.stdout, sys.stderr
    progress = TerminalProgress(screen.out)
    progress("Warming up", None)
    assert (sys.stdout, sys.stderr) == before
    progress.close()


def test_what_would_steer_a_terminal_is_left_out() -> None:
    assert printable("a\u202eb") == "a b"


def test_a_qr_code_needs_block_characters(screen: TerminalScreen) -> None:
    assert "█" in qr_code("https://name.example/#token=a", screen.out)
    assert qr_code("https://name.example/", io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == ""
    assert make_console(io.StringIO()) is None
