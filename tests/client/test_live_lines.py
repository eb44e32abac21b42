"""A stream's text in a real terminal and in a file."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.cells import cell_len

from openmic.client.live_lines import LiveLines
from tests.support.terminal import TerminalScreen, terminal

CHANGES = [
    {"kind": "words", "old": "letters", "new": "ledgers", "start": 12.34, "end": 12.9},
    {"kind": "form", "old": "and", "new": "And"},
    {"kind": "words", "old": "", "new": " they all"},
    {"kind": "words", "old": " um", "new": "", "start": 70.0, "end": 70.2},
]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[TerminalScreen]:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal(40) as screen:
        yield screen


def progress(done: float) -> dict[str, object]:
    return {"type": "progress", "stage": "finishing", "done_seconds": done, "total_seconds": 120.0}


def test_committed_text_flows_and_live_text_is_dim_behind_it(screen: TerminalScreen) -> None:
    lines = LiveLines(screen.out)
    lines({"type": "live", "text": " and so my"})
    assert screen.lines == [" and so my"]
    assert "\x1b[2m and so my\x1b[0m" in screen.written
    lines({"type": "commit", "text": " and so"})
    lines({"type": "live", "text": " my fellow"})
    assert screen.lines == ["and so my fellow"]
    lines({"type": "commit", "text": " my fellow Americans ask not what your country"})
    assert screen.lines == ["and so my fellow Americans ask not what", "your country"]
    lines({"type": "connection", "state": "lost", "detail": "gone"})
    assert screen.lines[1:] == ["connection lost, trying again: gone", "your country"]
    lines({"type": "live", "text": " can do " + "x" * 60})
    assert screen.lines[2:] == ["x" * 40]
    lines({"type": "final", "text": "all"})
    assert screen.lines[2:] == ["your country"]
    assert (screen.cursor_hidden, screen.column) == (False, 0)


def test_long_text_scrolls_up_whole(screen: TerminalScreen) -> None:
    lines = LiveLines(screen.out)
    words = [f" word{number}" for number in range(60)]
    for word in words:
        lines({"type": "live", "text": word})
        lines({"type": "commit", "text": word})
    lines.close()
    assert " ".join(screen.lines).split() == [word.strip() for word in words]


def test_a_stream_that_fails_gives_the_terminal_back(screen: TerminalScreen) -> None:
    lines = LiveLines(screen.out)
    lines({"type": "commit", "text": " one two"})
    lines({"type": "live", "text": " three"})
    lines({"type": "error", "message": "The server is stopping.", "hint": "Begin again."})
    lines.close()
    assert screen.lines == ["The server is stopping. Begin again.", "one two"]
    assert (screen.cursor_hidden, screen.column) == (False, 0)


def test_the_way_to_the_final_and_what_it_corrected_in_a_file() -> None:
    file = io.StringIO()
    lines = LiveLines(file)
    lines({"type": "commit", "text": " one", "start": 0.0, "end": 1.0})
    lines({"type": "progress", "stage": "receiving", "done_seconds": 90.0, "total_seconds": 120.0})
    for done in (0.0, 30.0, 60.0, 61.0, 119.0):
        lines(progress(done))
    lines({"type": "final", "text": "all", "revised": CHANGES + [CHANGES[0]] * 8})
    assert file.getvalue().splitlines() == [
        "    1.0 s  commit  one",
        "  120.0 s  final   25% done",
        "  120.0 s  final   50% done",
        "  120.0 s  final   99% done",
        "   12.3 s  revised letters -> ledgers",
        "           revised added they all",
        "   70.0 s  revised left out um",
        *["   12.3 s  revised letters -> ledgers"] * 5,
        "           revised 3 more places",
    ]


def test_the_way_to_the_final_on_a_terminal(screen: TerminalScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr("openmic.client.live_lines.time.monotonic", lambda: next(clock))
    lines = LiveLines(screen.out)
    lines({"type": "commit", "text": " one two"})
    lines(progress(0.0))
    assert screen.lines == ["Final text: 0% done"]
    lines(progress(30.0))
    assert screen.lines == ["Final text: 25% done, about 6 s left"]
    lines({"type": "commit", "text": " three"})
    assert screen.lines == ["one two three"]
    lines(progress(60.0))
    lines({"type": "final", "text": "all", "revised": CHANGES[:1]})
    assert screen.lines == ["one two three", "   12.3 s  revised letters -> ledgers"]


def test_a_text_cannot_steer_the_terminal(screen: TerminalScreen) -> None:
    lines = LiveLines(screen.out)
    lines({"type": "live", "text": "a\x1b[2Jb\r\n\x07c [bold]d[/bold] :smile:"})
    assert screen.lines == ["a [2Jb   c [bold]d[/bold] :smile:"]
    assert "\x1b[2J" not in screen.written
    lines.close()


def test_wide_characters_take_two_columns(screen: TerminalScreen) -> None:
    text = "日本語の文字は二倍の幅を取るので行に入らない、だから次の行に続く"
    lines = LiveLines(screen.out)
    lines({"type": "commit", "text": text})
    lines.close()
    assert len(screen.lines) == 2
    assert all(cell_len(line) <= 40 for line in screen.lines)
    assert "".join(screen.lines) == text
