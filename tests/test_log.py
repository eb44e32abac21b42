from __future__ import annotations

import ast
import io
import json
import logging
import sys
from pathlib import Path

import pytest

from openmic import log
from openmic.log import EVENTS, Log, log_event

ROOT = Path(__file__).resolve().parents[1]
logger = logging.getLogger("openmic.test")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_json_line_per_event(tmp_path: Path) -> None:
    with Log("file", tmp_path / "log") as opened:
        log_event(logger, "session_opened", session="abc", encoding="auto", nothing=None)
        logging.getLogger("uvicorn.error").warning("100 %% of %s", "it")
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            log_event(logger, "session_fault", logging.ERROR, session="abc")
        assert opened.path is not None
    first, second, third = lines(opened.path)
    assert str(first.pop("time")).endswith("+00:00")
    assert first == {"level": "info", "event": "session_opened", "session": "abc", "encoding": "auto"}
    assert (second["event"], second["message"], second["logger"]) == ("note", "100 % of it", "uvicorn.error")
    assert "RuntimeError: broken" in str(third["fault"])
    log_event(logger, "session_opened", session="later")
    assert len(lines(opened.path)) == 3
    assert opened.path.stat().st_mode & 0o077 == 0
    opened.close()


def test_words_are_left_out_unless_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for words in (False, True):
        with Log("file", tmp_path, words=words):
            log_event(logger, "session_ended", session="abc", words="my secret plan")
    assert ["words" in line for line in lines(tmp_path / "openmic.jsonl")] == [False, True]
    assert "my secret plan" not in caplog.text


def test_known_secrets_are_taken_out(tmp_path: Path) -> None:
    with Log("file", tmp_path, redact=lambda text: text.replace("s3cret", "[hidden]")):
        logging.getLogger("openmic.other").info("the token is s3cret")
    (line,) = lines(tmp_path / "openmic.jsonl")
    assert line["message"] == "the token is [hidden]"


def test_a_file_begins_anew_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 2000)
    with Log("file", tmp_path):
        for number in range(200):
            log_event(logger, "session_opened", session=str(number))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["openmic.jsonl", *(f"openmic.jsonl.{number}" for number in range(1, log.FILES + 1))]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("why", ["asked", "no room"])
def test_stderr(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with Log("stderr" if why == "asked" else "file", tmp_path / "file" / "log") as opened:
        log_event(logger, "session_opened", session="abc")
    assert opened.path is None
    assert json.loads(written.getvalue())["session"] == "abc"


def test_none(tmp_path: Path) -> None:
    with Log("none", tmp_path / "log"):
        log_event(logger, "session_opened", session="abc")
    assert not (tmp_path / "log").exists()


def test_events_have_known_names() -> None:
    with pytest.raises(ValueError, match="not in"):
        log_event(logger, "lunch")
    told = set()
    for path in (ROOT / "openmic").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called == "log_event" and isinstance(node, ast.Call) and len(node.args) > 1:
                name = node.args[1]
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}"
                told.add(name.value)
    assert told == EVENTS - {"note"}
