"""Several ``Sessions`` on one folder: who may read, take, delete and leave what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import openmic.sessions.keeper
from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.ended import EndedSession
from openmic.sessions.events import Committed, Failed, Finalised, Replaced, SessionEvent
from openmic.sessions.on_disk import SessionElsewhere
from openmic.sessions.problems import SessionHeld
from openmic.sessions.recovery import Recovery
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.holder import Holder
from openmic.speech.types import FinalWindow, SpeechOptions
from tests.support.scripted_engine import ScriptedEngine
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000, 1)
SECOND = (np.sin(np.arange(16_000) / 9) * 9000).astype("<i2").tobytes()

Pair = tuple[tuple[Sessions, ScriptedEngine], tuple[Sessions, ScriptedEngine]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield tuple(stack.enter_context(scripted_sessions(tmp_path)) for _ in range(2))  # type: ignore[misc]


def begun(sessions: Sessions, seconds: int = 2) -> tuple[Session, list[SessionEvent]]:
    session, heard = sessions.create(PCM, SpeechOptions()), list[SessionEvent]()
    session.attach(heard.append)
    for _ in range(seconds):
        session.write(SECOND)
    wait_until(lambda: len(session.commits()) == seconds)
    return session, heard


def resumed(sessions: Sessions, session: Session) -> Session:
    """As a connection does it: again and again, until it is there."""
    found: list[Session] = []

    def tried() -> bool:
        try:
            found.append(sessions.resume(session.id, session.resume_token))
        except SessionHeld:
            return False
        return True

    wait_until(tried)
    return found[0]


def test_a_resume_takes_the_session_from_the_one_that_holds_it(pair: Pair) -> None:
    (first, _), (second, _) = pair
    session, heard = begun(first)
    again = resumed(second, session)
    assert isinstance(heard[-1], Replaced)
    assert session.moved
    assert again.received_bytes == len(SECOND) * 2
    assert [commit.text for commit in again.commits()] == [" one", " two"]
    wait_until(lambda: first.list() == [])
    for use in (lambda: session.write(SECOND), session.flush, session.stop):
        with pytest.raises(OpenmicError):
            use()
    assert again.write(SECOND) == len(SECOND) * 3
    back = resumed(first, session)  # and back to where it was, where its name was known
    wait_until(lambda: second.list() == [])
    back.stop()
    assert back.ended.wait(120)
    assert back.snapshot().committed_text == "one two three"
    assert first.known.received_bytes_total() + second.known.received_bytes_total() == len(SECOND) * 3


def test_a_wrong_token_takes_nothing_from_anybody(pair: Pair) -> None:
    (first, _), (second, _) = pair
    session, heard = begun(first)
    for name, token in ((session.id, "wrong"), ("f" * 32, session.resume_token), ("../x", session.resume_token)):
        for use in (second.resume, second.look_up):
            with pytest.raises(OpenmicError) as caught:
                use(name, token)
            assert caught.value.code == "unknown_session"
    session.write(SECOND)
    wait_until(lambda: len(session.commits()) == 3)
    assert not [event for event in heard if isinstance(event, Replaced | Failed)]


def test_who_reads_takes_nothing_either(pair: Pair) -> None:
    (first, _), (second, _) = pair
    session, heard = begun(first)
    for seen in (second.get(session.id), second.look_up(session.id, session.resume_token)):
        assert isinstance(seen, SessionElsewhere)
        assert (seen.state, seen.snapshot().committed_text) == (State.RECEIVING, "one two")
        assert seen.snapshot().received_bytes == len(SECOND) * 2
        assert len(seen.recording) == 32_000
        with pytest.raises(SessionHeld):
            seen.write(SECOND)
        assert not seen.let_go(resumed_elsewhere=True)
    with pytest.raises(OpenmicError) as caught:
        second.delete(session.id)
    assert caught.value.code == "session_not_over"
    session.stop()
    assert session.ended.wait(120)
    session.join(120)
    ended = second.look_up(session.id, session.resume_token)
    assert isinstance(ended, EndedSession)
    assert ended.snapshot().final == session.snapshot().final
    assert any(isinstance(event, Finalised) for event in heard)
    second.delete(session.id)
    with pytest.raises(OpenmicError) as caught:
        second.get(session.id)
    assert caught.value.code == "session_deleted"


def test_a_process_that_must_go_leaves_its_sessions_and_begins_none(pair: Pair) -> None:
    (first, engine), (second, _) = pair
    engine.may_finish.clear()
    session, heard = begun(first)
    finishing, _ = begun(first)
    finishing.stop()
    without_return = first.create(PCM, SpeechOptions(), resumes=False)
    assert first.hand_over() == 1
    last = heard[-1]
    assert isinstance(last, Failed)
    assert last.error.code == "session_moved"
    with pytest.raises(OpenmicError) as caught:
        first.create(PCM, SpeechOptions())
    assert caught.value.code == "server_stopping"
    with pytest.raises(SessionHeld):
        first.resume(session.id, session.resume_token)
    again, final = second.resume(session.id, session.resume_token), resumed(second, finishing)
    assert final.ended.wait(120)
    assert final.snapshot().committed_text == "one two"
    assert again.write(SECOND) == len(SECOND) * 3
    without_return.write(SECOND)
    without_return.stop()
    engine.may_finish.set()
    assert without_return.ended.wait(120)
    assert first.hand_over() == 0


def test_a_process_that_starts_leaves_others_what_they_hold_and_takes_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 0.1)
    with scripted_sessions(tmp_path) as (first, _):
        session, heard = begun(first)
        with scripted_sessions(tmp_path) as (second, _):
            assert second.list() == []
            session.write(SECOND)
            assert not [event for event in heard if isinstance(event, Replaced | Failed)]
            assert session.let_go(resumed_elsewhere=False)
            assert not session.let_go(resumed_elsewhere=False)
            wait_until(lambda: [*first.list(), *second.list()] != [])
            assert len([*first.list(), *second.list()]) == 1  # whoever looked first


def test_one_that_stood_still_finds_its_sessions_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not beat for longer than its lease, and its lock is no proof: as on another machine."""
    with monkeypatch.context() as patch:
        patch.setattr("openmic.sessions.storage.holder.machine_id", lambda: "another")
        with scripted_sessions(tmp_path, lease_seconds=0.5) as (first, engine):
            patch.setattr(first.holder, "wanted", list)
            still, clock = threading.Event(), first.holder.clock
            beat = Holder.beat

            def stand_still(holder: Holder) -> None:
                if holder is first.holder:
                    assert still.wait(120)
                beat(holder)

            session, heard = begun(first)
            patch.setattr(Holder, "beat", stand_still)
            began = clock()
            with scripted_sessions(tmp_path, lease_seconds=0.5) as (second, _):
                again = resumed(second, session)
                assert clock() - began >= 0.3
                again.write(SECOND)
                wait_until(lambda: len(again.commits()) == 3)
                told = len(heard)
                still.set()
                with pytest.raises(OpenmicError) as caught:
                    session.write(SECOND)
                assert caught.value.code in ("session_moved", "already_stopped")
                assert session.moved
                assert not [event for event in heard[told:] if isinstance(event, Committed | Finalised)]
                assert [event.error.code for event in heard if isinstance(event, Failed)] == ["session_moved"]
                assert again.received_bytes == len(SECOND) * 3
                again.stop()
                assert again.ended.wait(120)
                assert engine.streams == []


def test_how_far_the_final_pass_is_goes_with_the_session(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, engine), (second, other) = pair
    window = FinalWindow("scripted", (), 0, 3000, "en", "en", (1, 2), 0.25, None, 0.0, True)
    given: list[tuple[FinalWindow, ...]] = []
    opened = ScriptedEngine.open

    def note(self: ScriptedEngine, recording, options, on_event, said=(), walked=()):  # type: ignore[no-untyped-def]
        given.append(tuple(walked))
        return opened(self, recording, options, on_event, said, walked)

    monkeypatch.setattr(ScriptedEngine, "open", note)
    session, heard = begun(first)
    stream = engine.streams[0]
    engine.later(lambda: stream._on_event(window))
    session.write(SECOND)
    wait_until(lambda: len(session.commits()) == 3)
    again = resumed(second, session)
    assert given == [(), (window,)]
    assert FinalWindow not in {type(event) for event in heard}  # it is nobody's business
    again.stop()
    assert again.ended.wait(120)
    assert other.streams == []


def test_a_crowd_that_comes_at_once_waits_outside_and_holds_nobody_up(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session is taken up at a time, and whoever waits takes no thread: those have bytes to write."""
    (first, _), (second, _) = pair
    crowd = [begun(first, 1)[0] for _ in range(4)]
    assert first.hand_over() == 0
    busy, go_on = threading.Event(), threading.Event()
    fetch = Recovery.fetch

    def slow(self: Recovery, session_id: str, token_hash: str) -> Session | None:
        busy.set()
        assert go_on.wait(120)
        return fetch(self, session_id, token_hash)

    with monkeypatch.context() as patch:
        patch.setattr(Recovery, "fetch", slow)
        worker = threading.Thread(target=second.resume, args=(crowd[0].id, crowd[0].resume_token))
        worker.start()
        assert busy.wait(120)
        for session in crowd[1:]:
            with pytest.raises(SessionHeld):
                second.resume(session.id, session.resume_token)
        go_on.set()
        worker.join()
    for session in crowd:
        assert [commit.text for commit in resumed(second, session).commits()] == [" one"]
