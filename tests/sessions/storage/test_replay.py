from __future__ import annotations

import math
from pathlib import Path

import pytest

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.events import Committed, Ended, Finalised
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.storage.record_file import MAGIC, Kind, frame
from openmic.sessions.storage.replay import (
    EndedEntry,
    OpenedEntry,
    StoppedEntry,
    error_fields,
    hash_token,
    read_replay_at,
    to_error,
    to_payload,
)
from openmic.speech.types import CommittedText, FinalText, Segment, SpeechOptions, Word

WORD = Word(" Zoë", 0.1, 0.5, 0.75)
OPENED = OpenedEntry(
    "a" * 32, hash_token("secret"), 1e9 + 0.5, True, SpeechOptions("tr", "translate", "π"), AudioFormat()
)
COMMITTED = Committed(1, CommittedText(" Zoë", 0.1, 0.5, (WORD,)))
SEGMENT = Segment(0, 0, 0.1, 0.5, " Zoë", (1, 2), 0.0, -math.inf, math.inf, 0.5, (WORD,))
FINALISED = Finalised(2, FinalText(" Zoë", "tr", 0.6, (SEGMENT,), "base"), "Zoë")


def written(path: Path, *records: tuple[Kind, bytes]) -> Path:
    data = MAGIC
    for kind, payload in records:
        data += frame(kind, payload, len(data))
    path.write_bytes(data)
    return path


def test_a_replay_has_what_was_written(tmp_path: Path) -> None:
    error = PROBLEMS.error("idle_too_long", idle_seconds=60)
    over = EndedEntry(2e9, 1234, 0.6, error_fields(error), None)
    path = written(
        tmp_path / "j",
        (Kind.OPENED, to_payload(OPENED)),
        (Kind.RECOVERED, b""),
        (Kind.COMMITTED, to_payload(COMMITTED)),
        (Kind.FLUSHED, b""),
        (Kind.STOPPED, to_payload(StoppedEntry("timeout", error_fields(error)))),
        (Kind.FINALISED, to_payload(FINALISED)),
        (Kind.FAILED, to_payload(over)),
    )
    replay = read_replay_at(path)
    assert replay.opened == OPENED
    assert replay.counted == [COMMITTED, FINALISED]
    assert (replay.seq, replay.recovered, replay.compact, replay.flush_at) == (2, 0, False, None)
    assert (replay.over, replay.received_bytes) == (over, 1234)
    assert replay.stopped is not None
    told = to_error(replay.stopped.error)
    assert told is not None
    assert (told.code, told.message, told.hint) == (error.code, error.message, error.hint)
    assert to_error(error_fields(None)) is None


def test_the_end_of_a_session_that_went_well_is_kept(tmp_path: Path) -> None:
    over = EndedEntry(2e9, 99, 0.6, ended=Ended(3, "shutdown", 0.6))
    path = written(tmp_path / "j", (Kind.OPENED, to_payload(OPENED)), (Kind.ENDED, to_payload(over)))
    assert read_replay_at(path).over == over


def test_what_was_told_twice_counts_once(tmp_path: Path) -> None:
    twice = (Kind.COMMITTED, to_payload(COMMITTED))
    path = written(tmp_path / "j", (Kind.OPENED, to_payload(OPENED)), twice, twice)
    assert read_replay_at(path).counted == [COMMITTED]


def test_a_kind_that_a_later_version_may_write_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "j", (Kind.OPENED, to_payload(OPENED)))
    data = path.read_bytes()
    path.write_bytes(data + frame(200, b"news", len(data)))  # type: ignore[arg-type]
    assert read_replay_at(path).opened == OPENED


@pytest.mark.parametrize(
    "data", [b"", b"OPENMIC\x02", MAGIC, MAGIC + frame(Kind.FLUSHED, b"", 8), MAGIC + frame(Kind.OPENED, b"{}", 8)]
)
def test_a_journal_that_does_not_say_how_it_began_is_unreadable(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(OpenmicError) as caught:
        read_replay_at(tmp_path / "j")
    assert caught.value.code == "journal_unreadable"
    with pytest.raises(OpenmicError):
        read_replay_at(tmp_path / "none")


def test_audio_that_an_earlier_version_packed_is_said_to_be_unreadable(tmp_path: Path) -> None:
    path = written(tmp_path / "j", (Kind.OPENED, to_payload(OPENED)), (Kind.PACKED, b"\0"))
    with pytest.raises(OpenmicError, match="an earlier version of openmic wrote it"):
        read_replay_at(path)
