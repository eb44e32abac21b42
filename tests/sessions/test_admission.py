"""Who may begin: as many as measured, as many as set, and nobody while those inside are late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import openmic.sessions.admission as admission
from openmic.audio.decoder import AudioFormat
from openmic.audio.types import Samples
from openmic.sessions.events import SessionEvent
from openmic.sessions.problems import ServerFull
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.settings import Settings
from openmic.speech.engine.thread import WhisperEngine
from openmic.speech.types import SpeechOptions
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000, 1)
SECOND = b"\x10\x00" * 16_000
WAIT_SECONDS = 240.0  # a bound for a busy machine, not an expectation


def begin(sessions: Sessions) -> Session:
    return sessions.create(PCM, SpeechOptions())


def fill(sessions: Sessions, capacities: set[int | None]) -> None:
    """Begin until one is refused; ``capacities`` takes what the engine says meanwhile."""
    while True:
        begin(sessions)
        capacities.add(sessions.engine.capacity)


def refusal(sessions: Sessions) -> ServerFull:
    with pytest.raises(ServerFull) as caught:
        begin(sessions)
    return caught.value


@pytest.mark.parametrize(
    ("capacity", "setting", "places"),
    [(3, 0, 3), (3, 1, 1), (1, 4, 4), (None, 0, admission.UNMEASURED_PLACES), (None, 2, 2)],
)
def test_places_are_those_measured_unless_a_number_is_set(
    tmp_path: Path, capacity: int | None, setting: int, places: int
) -> None:
    with scripted_sessions(tmp_path, capacity=capacity, max_sessions=setting) as (sessions, _):
        assert sessions.places == places
        for _ in range(places):
            begin(sessions)
        error = refusal(sessions)
        assert f"It serves {places} of about {places} speakers at once" in error.why
        assert f"{error.retry_after:.0f} seconds" in error.hint


def test_nobody_is_admitted_while_those_inside_are_late(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, capacity=4) as (sessions, engine):
        begin(sessions)
        engine.late = True
        assert refusal(sessions).retry_after == admission.LATE_RETRY_SECONDS
        engine.late = False
        begin(sessions)


def test_finals_nobody_waits_for_count_once_there_is_much_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "AWAY_SECONDS", 0.0)
    with scripted_sessions(tmp_path, capacity=1) as (sessions, engine):
        engine.may_finish.clear()
        gone = begin(sessions)
        gone.write(SECOND)
        gone.stop()
        engine.finals_seconds = admission.MUCH_FINAL_SECONDS + 10.0
        assert refusal(sessions).retry_after == admission.MOST_RETRY_SECONDS
        engine.finals_seconds = 1.0
        begin(sessions)


def test_the_next_try_is_for_when_a_place_is_likely_to_be_free(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path, capacity=2, max_seconds=3600.0) as (sessions, engine):
        begin(sessions), begin(sessions)
        unknown = refusal(sessions).retry_after
        assert unknown == pytest.approx(admission.USUAL_SECONDS / 2)
        engine.finals_seconds = 4.0
        assert refusal(sessions).retry_after == pytest.approx(8.0)
    with scripted_sessions(tmp_path, capacity=1) as (sessions, _):
        for _ in range(3):  # people speak for 10 s here
            session = begin(sessions)
            session.write(10 * SECOND)
            session.stop()
            assert session.ended.wait(120)
        begin(sessions)
        assert refusal(sessions).retry_after == pytest.approx(10.0)
    with scripted_sessions(tmp_path / "short", capacity=1, max_seconds=7.0) as (sessions, _):
        begin(sessions)
        assert refusal(sessions).retry_after == pytest.approx(7.0)


def test_one_more_than_there_is_room_for_is_refused_and_those_inside_go_on(
    tmp_path: Path,
    engine: WhisperEngine,
    sample_audio: Path,
    load_audio: Callable[[Path], Samples],
    word_error_rate: Callable[[str, str], float],
) -> None:
    """With the real weights: who is inside gets all words live, before and after somebody is turned away."""
    path = sample_audio / "quickstart.wav"
    sound = (load_audio(path) * 32767).astype("<i2").tobytes()
    middle = len(sound) // 4 * 2
    sessions = Sessions(Settings(data_dir=tmp_path, max_sessions=2, language="en"), engine)
    try:
        assert sessions.places == 2
        inside = [begin(sessions) for _ in range(2)]
        for session in inside:
            session.attach(
                list[SessionEvent]().append
            )  # else it gives way after a while, on a busy machine before this
            session.write(sound[:middle])
        wait_until(lambda: all(session.commits() for session in inside))
        error = refusal(sessions)
        assert error.code == "server_full"
        assert 0 < error.retry_after <= admission.MOST_RETRY_SECONDS
        before = [session.snapshot().committed_text for session in inside]
        for session in inside:
            session.write(sound[middle:])
            session.stop()
        assert all(session.ended.wait(WAIT_SECONDS) for session in inside)
        for session, early in zip(inside, before, strict=True):
            told = session.snapshot()
            assert told.committed_text.startswith(early)
            assert len(told.committed_text) > len(early)
            assert word_error_rate(path.with_suffix(".txt").read_text(), told.committed_text) < 0.1
        begin(sessions)
    finally:
        sessions.close()


def test_by_itself_it_takes_as_many_as_the_engine_measured(tmp_path: Path, engine: WhisperEngine) -> None:
    sessions = Sessions(Settings(data_dir=tmp_path), engine)
    capacities = {engine.capacity}
    try:
        with pytest.raises(ServerFull) as caught:
            fill(sessions, capacities)
        assert caught.value.retry_after > 0
        assert len(sessions.list()) in capacities | {engine.capacity}  # others on this machine may change it meanwhile
    finally:
        sessions.close()
