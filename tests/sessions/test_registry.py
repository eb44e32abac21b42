from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import openmic.sessions.admission
import openmic.sessions.keeper
from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.events import Ended, Failed, Finalised, SessionEvent
from openmic.sessions.keeper import KEEPER_SECONDS, TRIM_SECONDS
from openmic.sessions.problems import ServerFull
from openmic.sessions.recovery import Recovery
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.holder import HOLDERS
from openmic.sessions.storage.replay import read_replay_at
from openmic.speech.types import SpeechOptions, Term
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000, 1)
OPTIONS = SpeechOptions()
SECOND = b"\x10\x00" * 16_000


def test_one_more_than_allowed_is_refused_until_one_has_ended(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, max_sessions=2) as (sessions, _):
        first = sessions.create(PCM, OPTIONS)
        sessions.create(PCM, OPTIONS)
        with pytest.raises(ServerFull) as caught:
            sessions.create(PCM, OPTIONS)
        assert caught.value.code == "server_full"
        assert caught.value.retry_after > 0
        first.stop()
        assert first.ended.wait(120)
        sessions.create(PCM, OPTIONS)
        assert [snapshot.state for snapshot in sessions.list()] == [State.ENDED, State.RECEIVING, State.RECEIVING]


def test_a_session_whose_client_is_away_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.sessions.admission, "AWAY_SECONDS", 0.0)
    with scripted_sessions(tmp_path, max_sessions=2) as (sessions, engine):
        engine.may_finish.clear()
        attached, longest_away = sessions.create(PCM, OPTIONS), sessions.create(PCM, OPTIONS)
        attached.attach(list[SessionEvent]().append)
        longest_away.write(SECOND)
        newer = sessions.create(PCM, OPTIONS)
        newer.write(SECOND)
        assert (longest_away.state, longest_away.reason) == (State.FINISHING, "timeout")
        assert (attached.state, newer.state) == (State.RECEIVING, State.RECEIVING)
        newest = sessions.create(PCM, OPTIONS)
        assert newer.state is State.FINISHING
        with pytest.raises(ServerFull):
            sessions.create(PCM, OPTIONS)
        assert newest.state is State.RECEIVING
        engine.may_finish.set()
        assert longest_away.ended.wait(120)
        snapshot = longest_away.snapshot()
        assert snapshot.final is not None
        assert snapshot.final.duration == 1.0


def test_names_and_secrets_cannot_be_guessed(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        first, second = sessions.create(PCM, OPTIONS), sessions.create(PCM, OPTIONS)
        assert len({first.id, second.id, first.resume_token, second.resume_token}) == 4
        assert min(len(first.id), len(first.resume_token)) >= 32
        assert sessions.resume(first.id, first.resume_token) is first
        assert sessions.get(first.id) is first
        for session_id, token in [
            (first.id, second.resume_token),
            (first.id, ""),
            (first.id, "é\ud800"),
            ("nobody", first.resume_token),
        ]:
            with pytest.raises(OpenmicError) as caught:
                sessions.resume(session_id, token)
            assert caught.value.code == "unknown_session"
        with pytest.raises(OpenmicError):
            sessions.get("nobody")


def test_the_settings_language_is_for_those_who_name_none(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, language="tr") as (sessions, _):
        assert sessions.create(PCM, OPTIONS).options.language == "tr"
        assert sessions.create(PCM, SpeechOptions(language="de")).options.language == "de"
        assert sessions.create(PCM, SpeechOptions(language="Deutsch")).options.language == "de"
        assert sessions.create(PCM, SpeechOptions(language="en-GB")).options.language == "en"
        assert sessions.create(PCM, SpeechOptions(language="auto")).options.language is None
        with pytest.raises(OpenmicError, match="klingon"):
            sessions.create(PCM, SpeechOptions(language="klingon"))


def test_the_settings_names_are_for_those_who_bring_none(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, vocabulary="Ayşe, Wroclaw;\n pgvector,", prompt="Notes.") as (sessions, _):
        plain = sessions.create(PCM, OPTIONS).options
        assert [term.text for term in plain.vocabulary] == ["Ayşe", "Wroclaw", "pgvector"]
        assert plain.prompt == "Notes."
        own = sessions.create(PCM, SpeechOptions(prompt="", vocabulary=(Term("Zoë"),))).options
        assert (own.vocabulary, own.prompt) == ((Term("Zoë"),), "")


class Later:
    """What ``time.monotonic`` says, some seconds ahead. Threads do not wait by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.seconds)


def test_a_session_nobody_comes_back_to_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = Later(monkeypatch)
    with scripted_sessions(tmp_path, resume_seconds=600.0) as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        hear = list[SessionEvent]().append
        session.attach(hear)
        session.write(SECOND)
        later.seconds += 700
        time.sleep(3 * KEEPER_SECONDS)
        assert session.state is State.RECEIVING
        session.detach(hear)
        time.sleep(3 * KEEPER_SECONDS)
        assert session.state is State.RECEIVING
        later.seconds += 700
        assert session.ended.wait(120)
        snapshot = session.snapshot()
        assert (snapshot.reason, snapshot.audio_seconds) == ("timeout", 1.0)
        assert snapshot.final is not None


@pytest.mark.parametrize("keep_seconds", [0, 60])
@pytest.mark.slow
def test_memory_is_given_back_once_behind_a_sessions_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_seconds: int
) -> None:
    given: list[float] = []
    later = Later(monkeypatch)
    monkeypatch.setattr(openmic.sessions.keeper, "release_freed_memory", lambda: given.append(time.monotonic()))
    with scripted_sessions(tmp_path, keep_seconds=keep_seconds) as (sessions, _):
        first, second = sessions.create(PCM, OPTIONS), sessions.create(PCM, OPTIONS)
        later.seconds += 2 * TRIM_SECONDS
        time.sleep(3 * KEEPER_SECONDS)
        assert not given
        for session in (first, second):
            session.stop()
            assert session.ended.wait(120)
        ended = time.monotonic()
        time.sleep(3 * KEEPER_SECONDS)  # the keeper sees that they are over
        assert not given
        later.seconds += 2 * TRIM_SECONDS
        wait_until(lambda: bool(given))
        assert given[0] > ended + TRIM_SECONDS
        later.seconds += 2 * TRIM_SECONDS
        time.sleep(3 * KEEPER_SECONDS)
        assert len(given) == 1


def test_ended_sessions_are_deleted_when_their_time_is_over(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, keep_seconds=0.3) as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        session.write(SECOND)
        session.stop()
        assert session.ended.wait(120)
        wait_until(lambda: sessions.list() == [])
        wait_until(lambda: [path.name for path in tmp_path.iterdir()] == [HOLDERS])
        assert sessions.known.received_bytes_total() == 32_000
        assert sessions.known.audio_seconds_total() == 1.0
        assert sessions.known.opened_total == 1


def test_the_owner_deletes_before_the_time_is_over_what_has_ended_and_nothing_else(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        first, second, open_still = (sessions.create(PCM, OPTIONS) for _ in range(3))
        for session in (first, second):
            session.write(SECOND)
            session.stop()
            assert session.ended.wait(120)
        with pytest.raises(OpenmicError) as caught:
            sessions.delete(open_still.id)
        assert caught.value.code == "session_not_over"
        sessions.delete(first.id)
        with pytest.raises(OpenmicError) as caught:
            sessions.get(first.id)
        assert caught.value.code == "session_deleted"
        assert sessions.delete_ended() == 1
        assert sessions.delete_ended() == 0
        assert [snapshot.id for snapshot in sessions.list()] == [open_still.id]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([open_still.id, HOLDERS])


def test_closing_sends_the_finals_and_keeps_what_is_to_be_kept(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        events: list[SessionEvent] = []
        session.attach(events.append)
        session.write(SECOND)
        sessions.close()
        assert isinstance(events[-1], Ended)
        assert events[-1].reason == "shutdown"
        assert isinstance(events[-2], Finalised)
        assert [path.name for path in tmp_path.iterdir()] == [session.id]
        with pytest.raises(OpenmicError) as caught:
            sessions.create(PCM, OPTIONS)
        assert caught.value.code == "server_stopping"
        sessions.close()


def test_closing_does_not_wait_longer_than_it_may_and_keeps_what_is_unfinished(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, stop_seconds=0.3) as (sessions, engine):
        engine.may_finish.clear()
        session = sessions.create(PCM, OPTIONS)
        events: list[SessionEvent] = []
        session.attach(events.append)
        session.write(SECOND)
        sessions.close()
        assert isinstance(events[-1], Failed)
        assert events[-1].error.code == "server_stopping"
        replay = read_replay_at(tmp_path / session.id / "journal")
        assert (replay.received_bytes, replay.over) == (32_000, None)
    with scripted_sessions(tmp_path) as (sessions, _):
        again = sessions.resume(session.id, session.resume_token)
        assert again.ended.wait(120)
        snapshot = again.snapshot()
        assert snapshot.final is not None
        assert (snapshot.final.duration, snapshot.reason) == (1.0, "shutdown")


def test_nothing_is_kept_after_closing_where_nothing_is_to_be_kept(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, keep_seconds=0) as (sessions, engine):
        engine.may_finish.clear()
        sessions.create(PCM, OPTIONS).write(SECOND)
        engine.may_finish.set()
        sessions.close()
        assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_dead_server_go_and_nothing_else(tmp_path: Path) -> None:
    old, fresh, foreign = tmp_path / ("a" * 32), tmp_path / ("b" * 32), tmp_path / "holiday photos"
    for folder in (old, fresh, foreign):
        folder.mkdir()
        (folder / "received.bytes").write_bytes(b"x")
    long_ago = time.time() - 100_000
    for path in (old / "received.bytes", old, foreign / "received.bytes", foreign):
        os.utime(path, (long_ago, long_ago))
    with scripted_sessions(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b" * 32, "holiday photos"]


def test_a_folder_that_hiccups_ends_no_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network folder does, or any folder once strangers have taken all descriptors."""
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 0.0)
    with scripted_sessions(tmp_path, keep_seconds=0.5) as (sessions, _):
        one, other = sessions.create(PCM, OPTIONS), sessions.create(PCM, OPTIONS)
        hiccup = OSError(5, "Input/output error")
        with monkeypatch.context() as broken:
            broken.setattr(sessions._recovery, "look", lambda known: (_ for _ in ()).throw(hiccup))
            broken.setattr(one, "delete", lambda: (_ for _ in ()).throw(hiccup))
            one.stop()
            other.stop()
            wait_until(lambda: "openmic-keeper looking for sessions fails" in sessions.problems)
            wait_until(lambda: "openmic-keeper keeping time fails" in sessions.problems)
            wait_until(lambda: not (tmp_path / other.id).exists())  # its turn comes all the same
            assert (tmp_path / one.id).exists()
        wait_until(lambda: not (tmp_path / one.id).exists())
        wait_until(lambda: sessions.problems == ())


def test_a_folder_that_hiccups_at_the_start_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 0.0)
    look, looks = Recovery.look, []

    def hiccups(recovery: Recovery, known: Callable[[str], bool]) -> list[Session]:
        looks.append(known)
        if len(looks) < 3:
            raise OSError(5, "Input/output error")
        return look(recovery, known)

    monkeypatch.setattr(Recovery, "look", hiccups)
    with scripted_sessions(tmp_path) as (sessions, _):
        wait_until(lambda: len(looks) > 3)
        assert sessions.problems == ()
