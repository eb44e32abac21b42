"""What an engine cannot carry is told: to speakers, to those who wait for finals, to newcomers, to the owner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from openmic.audio.decoder import AudioFormat
from openmic.sessions import admission
from openmic.sessions.events import SessionEvent, Warned
from openmic.sessions.overload import OverloadWarnings
from openmic.sessions.problems import ServerFull
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.speech.types import EngineStats, SpeechOptions
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000, 1)
SECOND = b"\x10\x00" * 16_000
LATE, HELD, WELL = EngineStats(late=True), EngineStats(finals_held=True), EngineStats()


def begin(sessions: Sessions) -> tuple[Session, Callable[[], list[str]]]:
    """A session, and the codes of the warnings that its client has got."""
    events: list[SessionEvent] = []
    session = sessions.create(PCM, SpeechOptions())
    session.attach(events.append)
    return session, lambda: [event.error.code for event in events if isinstance(event, Warned)]


def tell(sessions: Sequence[Session], *states: EngineStats) -> OverloadWarnings:
    warnings = OverloadWarnings()
    for stats in states:
        warnings.tell(sessions, stats)
    return warnings


def test_speakers_hear_once_that_live_text_is_late_and_once_that_it_is_in_time_again(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        session, told = begin(sessions)
        warnings = tell([session], WELL, LATE, LATE, LATE)
        assert told() == ["live_text_late"]
        warnings.tell([session], WELL)
        warnings.tell([session], WELL)
        assert told() == ["live_text_late", "live_text_on_time"]
        warnings.tell([session], LATE)
        assert told() == ["live_text_late", "live_text_on_time", "live_text_late"]


def test_who_comes_in_an_episode_hears_of_it_and_only_who_heard_of_it_hears_of_its_end(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        (first, first_told), (second, second_told) = begin(sessions), begin(sessions)
        warnings = tell([first], LATE)
        warnings.tell([first, second], LATE)
        third, third_told = begin(sessions)
        warnings.tell([first, second, third], WELL)
        assert first_told() == second_told() == ["live_text_late", "live_text_on_time"]
        assert third_told() == []


def test_who_waits_for_a_final_hears_that_it_is_late(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, engine):
        engine.may_finish.clear()
        (waiting, waiting_told), (speaking, speaking_told) = begin(sessions), begin(sessions)
        waiting.write(SECOND)
        waiting.stop()
        assert waiting.state is State.FINISHING
        tell([waiting, speaking], HELD, HELD, WELL, HELD)
        assert waiting_told() == ["final_text_late"] * 2
        assert speaking_told() == []
        engine.may_finish.set()
        assert waiting.ended.wait(20)
        tell([waiting], HELD)
        assert waiting_told() == ["final_text_late"] * 2, "nobody waits any more"


@pytest.mark.parametrize("what", ["late", "finals_held"])
def test_by_itself_a_server_tells_lets_nobody_in_and_recovers(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "openmic")
    with scripted_sessions(tmp_path, capacity=4) as (sessions, engine):
        _, told = begin(sessions)
        setattr(engine, what, True)
        with pytest.raises(ServerFull) as refused:
            begin(sessions)
        assert refused.value.retry_after == admission.LATE_RETRY_SECONDS
        wait_until(lambda: any("engine_overloaded" in record.message for record in caplog.records))
        if what == "late":
            wait_until(lambda: told() == ["live_text_late"])
        setattr(engine, what, False)
        wait_until(lambda: any("engine_recovered" in record.message for record in caplog.records))
        if what == "late":
            wait_until(lambda: told() == ["live_text_late", "live_text_on_time"])
        begin(sessions)
