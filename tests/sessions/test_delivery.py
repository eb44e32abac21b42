"""What the engine says is written down and told by another thread, in order."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from openmic.audio.decoder import AudioFormat
from openmic.sessions.delivery import DeliveryThread
from openmic.sessions.events import Committed, Ended, SessionEvent
from openmic.sessions.storage.journal import Journal
from openmic.sessions.storage.record_file import Kind
from openmic.speech.types import SpeechOptions
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000)
SECOND = b"\x10\x00" * 16_000
WAIT_SECONDS = 120


def test_work_is_done_in_order_and_none_keeps_the_next_from_being_done() -> None:
    thread, done = DeliveryThread(), list[int]()

    def fails() -> None:
        raise RuntimeError("at fault")

    for number in range(100):
        thread.submit(partial(done.append, number))
        thread.submit(fails)
    thread.close(WAIT_SECONDS)
    assert done == list(range(100))
    assert thread.problems == ("openmic-delivery fails",)


def test_the_engine_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk hangs, the engine's thread goes on; what it said is told once it is written, in order."""
    may_write, record = threading.Event(), Journal.record
    writers: set[str] = set()

    def hangs(journal: Journal, kind: Kind, payload: bytes) -> None:
        if kind in (Kind.COMMITTED, Kind.FINALISED):
            writers.add(threading.current_thread().name)
            assert may_write.wait(WAIT_SECONDS)
        record(journal, kind, payload)

    monkeypatch.setattr(Journal, "record", hangs)
    with scripted_sessions(tmp_path) as (sessions, engine):
        told: list[SessionEvent] = []
        session = sessions.create(PCM, SpeechOptions())
        session.attach(told.append)
        session.write(2 * SECOND)
        wait_until(lambda: bool(writers))
        goes_on = threading.Event()
        engine.later(goes_on.set)
        assert goes_on.wait(WAIT_SECONDS)
        assert not any(isinstance(event, Committed) for event in told)
        may_write.set()
        session.stop()
        assert session.ended.wait(WAIT_SECONDS)
        assert [event.seq for event in told if isinstance(event, Committed)] == [1, 2]
        assert isinstance(told[-1], Ended)
    assert writers == {"openmic-delivery"}
