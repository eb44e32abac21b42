from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from openmic.audio.decoder import AudioFormat, decode
from openmic.errors import OpenmicError
from openmic.sessions.events import (
    Committed,
    Ended,
    Failed,
    Finalised,
    Live,
    Replaced,
    SessionEvent,
    SpeechChanged,
    Warned,
)
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.running import RunningSession
from openmic.sessions.state import Limits, State
from openmic.sessions.storage.folder import SessionFiles
from openmic.sessions.storage.holder import HOLDERS, Holder
from openmic.sessions.storage.replay import JournalReplay, OpenedEntry, hash_token
from openmic.speech.problems import PROBLEMS as SPEECH_PROBLEMS
from openmic.speech.types import SpeechOptions
from tests.support import media
from tests.support.scripted_engine import ScriptedEngine

PCM = AudioFormat("pcm_s16le", 16_000, 1)
Opener = Callable[..., RunningSession]


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


class Listener:
    """Keeps what a session says."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._more = threading.Condition()

    def __call__(self, event: SessionEvent) -> None:
        with self._more:
            self.events.append(event)
            self._more.notify_all()

    def wait_for(self, kind: type[SessionEvent], count: int = 1) -> SessionEvent:
        with self._more:
            assert self._more.wait_for(lambda: len(self.of(kind)) >= count, 20), (kind, self.events)
            return self.of(kind)[count - 1]

    def of(self, kind: type[SessionEvent]) -> list[SessionEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def kinds(self) -> list[type[SessionEvent]]:
        return [type(event) for event in self.events if not isinstance(event, Live | SpeechChanged)]


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine()
    yield engine
    engine.close()


@pytest.fixture
def open_session(tmp_path: Path, engine: ScriptedEngine) -> Iterator[Opener]:
    opened: list[RunningSession] = []
    holder = Holder(tmp_path, lease_seconds=300.0)

    def open_session(
        audio_format: AudioFormat = PCM,
        options: SpeechOptions = SpeechOptions(),  # noqa: B008 (frozen)
        max_seconds: float = 60,
        max_bytes: int = 10_000_000,
    ) -> RunningSession:
        name = f"{len(opened):032x}"
        began = OpenedEntry(name, hash_token("token"), time.time(), False, options, audio_format, 0.6)
        files = SessionFiles.create(tmp_path / f"session{len(opened)}", began, holder)
        session = RunningSession(files, JournalReplay(began), Limits(max_seconds, max_bytes, 0.6), engine, decode)
        session.resume_token = "token"
        opened.append(session)
        return session

    yield open_session
    for session in opened:
        session.abandon(PROBLEMS.error("server_stopping"))
        session.join(120)
        session.delete()
    holder.close()


def test_a_life_from_bytes_to_the_end(open_session: Opener, tmp_path: Path) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    assert session.state is State.RECEIVING
    assert session.write(tone(1.5)) == 48_000
    listener.wait_for(Committed)
    assert session.write(tone(1.0)) == 80_000
    session.stop()
    ended = listener.wait_for(Ended)
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.audio_seconds) == ("stopped", 2.5)
    assert listener.kinds() == [Committed, Committed, Committed, Finalised, Ended]
    assert [event.seq for event in listener.events if isinstance(event, Committed | Finalised | Ended)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    snapshot = session.snapshot()
    assert (snapshot.state, snapshot.audio_seconds, snapshot.received_bytes) == (State.ENDED, 2.5, 80_000)
    assert snapshot.committed_text == "one two three"
    assert snapshot.final is not None
    assert snapshot.final.text == " heard 2.5 seconds"
    session.join(120)
    assert sorted(path.name for path in (tmp_path / "session0").iterdir()) == ["journal", "lease.1", "recording"]
    assert sum(path.stat().st_size for path in (tmp_path / "session0").iterdir()) < 80_000  # without the bytes sent
    np.testing.assert_array_equal(session.recording.read(0, 40_000)[:24_000] * 32768, np.frombuffer(tone(1.5), "<i2"))


def test_what_comes_after_the_stop_is_refused(open_session: Opener) -> None:
    session = open_session()
    session.write(tone(0.5))
    session.stop()
    for late in (session.stop, session.flush, lambda: session.write(b"more")):
        with pytest.raises(OpenmicError) as caught:
            late()
        assert caught.value.code == "already_stopped"
    assert session.ended.wait(120)
    assert session.received_bytes == 16_000
    assert session.snapshot().final is not None


def test_flush_commits_what_was_said_so_far(open_session: Opener) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(tone(0.2))
    session.write(tone(0.2))
    session.flush()
    committed = listener.wait_for(Committed)
    assert isinstance(committed, Committed)
    assert committed.committed.end == pytest.approx(0.4, abs=0.01)
    session.flush()
    session.stop()
    listener.wait_for(Ended)
    assert len(listener.of(Committed)) == 1


def test_an_empty_stream_ends_with_a_warning_and_an_empty_final(open_session: Opener) -> None:
    for audio_format in (PCM, AudioFormat()):
        session = open_session(audio_format, SpeechOptions(language="tr"))
        listener = Listener()
        session.attach(listener)
        session.stop()
        ended = listener.wait_for(Ended)
        assert listener.kinds() == [Warned, Finalised, Ended]
        warned, finalised, _ = listener.events
        assert isinstance(warned, Warned)
        assert warned.error.code == "audio_empty"
        assert isinstance(finalised, Finalised)
        assert (finalised.final.text, finalised.final.language, finalised.final.duration) == ("", "tr", 0.0)
        assert isinstance(ended, Ended)
        assert ended.audio_seconds == 0


def test_silence_ends_with_an_empty_final(open_session: Opener) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(bytes(64_000))
    session.stop()
    listener.wait_for(Ended)
    assert listener.kinds() == [Finalised, Ended]
    snapshot = session.snapshot()
    assert snapshot.final is not None
    assert (snapshot.final.text, snapshot.audio_seconds) == ("", 2.0)


def test_what_is_not_audio_fails_with_its_reason(open_session: Opener) -> None:
    session = open_session(AudioFormat())
    listener = Listener()
    session.attach(listener)
    session.write(b"This is a letter, not a recording. " * 100)
    failed = listener.wait_for(Failed)
    assert isinstance(failed, Failed)
    assert failed.error.code == "audio_not_decodable"
    snapshot = session.snapshot()
    assert snapshot.state is State.ENDED
    assert snapshot.error is failed.error
    with pytest.raises(OpenmicError):
        session.write(b"more")


def test_an_error_midway_still_gives_the_final_of_what_was_heard(
    open_session: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(tone(2.0))
    listener.wait_for(Committed, 2)

    def full(samples: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(session.recording, "append", full)
    session.write(tone(1.0))
    failed = listener.wait_for(Failed)
    assert isinstance(failed, Failed)
    assert failed.error.code == "disk_full"
    assert listener.kinds() == [Committed, Committed, Finalised, Failed]
    snapshot = session.snapshot()
    assert snapshot.final is not None
    assert snapshot.final.duration == 2.0


def test_a_full_disk_under_the_journal_finishes_what_is_there(
    open_session: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(tone(1.0))
    listener.wait_for(Committed)
    real_pwrite = os.pwrite
    many = np.random.default_rng(1).bytes(40_000)  # which cannot be packed

    def full(file: int, data: bytes, offset: int) -> int:
        if len(data) > len(many):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert session.write(many) == 32_000
    failed = listener.wait_for(Failed)
    assert isinstance(failed, Failed)
    assert failed.error.code == "disk_full"
    assert session.snapshot().final is not None


def test_the_longest_duration_is_kept_to_the_sample(open_session: Opener) -> None:
    session = open_session(max_seconds=1.5)
    listener = Listener()
    session.attach(listener)
    session.write(tone(4.0))
    ended = listener.wait_for(Ended)
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.audio_seconds) == ("timeout", 1.5)
    warned = listener.wait_for(Warned)
    assert isinstance(warned, Warned)
    assert warned.error.code == "session_too_long"


def test_a_stop_before_the_limit_is_decoded_hides_it_not(open_session: Opener) -> None:
    session = open_session(max_seconds=1.5)
    listener = Listener()
    session.attach(listener)
    session.write(tone(4.0))
    with contextlib.suppress(OpenmicError):  # the limit was quicker
        session.stop()
    ended = listener.wait_for(Ended)
    assert isinstance(ended, Ended)
    assert ended.audio_seconds == 1.5
    assert [event.error.code for event in listener.events if isinstance(event, Warned)] == ["session_too_long"]


def test_more_bytes_than_allowed_finish_the_session(open_session: Opener) -> None:
    session = open_session(max_bytes=40_000)
    listener = Listener()
    session.attach(listener)
    session.write(tone(1.0))
    assert session.write(tone(1.0)) == 32_000
    ended = listener.wait_for(Ended)
    assert isinstance(ended, Ended)
    assert (ended.reason, ended.audio_seconds) == ("timeout", 1.0)
    warned = listener.wait_for(Warned)
    assert isinstance(warned, Warned)
    assert warned.error.code == "too_many_bytes"


def test_who_comes_back_hears_what_was_missed_and_the_other_is_replaced(open_session: Opener) -> None:
    session = open_session()
    first, second, third = Listener(), Listener(), Listener()
    session.attach(first)
    assert session.detached_at is None
    session.write(tone(2.2))
    first.wait_for(Committed, 2)
    session.detach(first)
    assert session.detached_at is not None
    session.write(tone(1.0))
    session.attach(second, after_seq=1)
    second.wait_for(Committed, 2)
    assert [event.seq for event in second.events if isinstance(event, Committed)] == [2, 3]
    session.attach(third, after_seq=3)
    assert isinstance(second.events[-1], Replaced)
    session.detach(second)
    assert session.detached_at is None
    session.stop()
    third.wait_for(Ended)
    assert not second.of(Ended)
    assert len(first.of(Committed)) == 2

    late = Listener()
    session.attach(late)
    assert late.kinds() == [Committed] * 4 + [Finalised, Ended]


def test_a_failed_session_tells_its_failure_again(open_session: Opener) -> None:
    session = open_session(AudioFormat())
    session.write(b"not audio" * 1000)
    assert session.ended.wait(120)
    late = Listener()
    session.attach(late)
    assert late.kinds() == [Failed]


def test_an_engine_that_fails_ends_the_session(open_session: Opener, engine: ScriptedEngine) -> None:
    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(tone(1.0))
    listener.wait_for(Committed)
    engine.streams[0].fail(SPEECH_PROBLEMS.error("engine_failed", detail="out of memory"))
    failed = listener.wait_for(Failed)
    assert isinstance(failed, Failed)
    assert failed.error.code == "engine_failed"
    session.join(120)
    assert session.recording.seconds == 1.0


def test_a_session_whose_last_step_fails_ends_all_the_same(
    open_session: Opener, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep its place for ever, and its client would wait for ever."""

    def fail() -> None:
        raise MemoryError

    session = open_session()
    listener = Listener()
    session.attach(listener)
    session.write(tone(1.0))
    monkeypatch.setattr(engine.streams[0], "finish", fail)
    session.stop()
    failed = listener.wait_for(Failed)
    assert isinstance(failed, Failed)
    assert failed.error.code == "session_failed"
    assert "MemoryError" in failed.error.message
    session.join(10)
    assert session.ended.is_set()


def test_a_language_the_model_does_not_know_leaves_nothing_behind(open_session: Opener, tmp_path: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_session(options=SpeechOptions(language="xx"))
    assert caught.value.code == "unknown_language"
    assert [path.name for path in tmp_path.iterdir()] == [HOLDERS]


def test_a_folder_that_cannot_be_made_is_a_full_disk(open_session: Opener, tmp_path: Path) -> None:
    (tmp_path / "session0").write_text("in the way")
    with pytest.raises(OpenmicError) as caught:
        open_session()
    assert caught.value.code == "disk_full"


def test_the_log_names_sessions_and_never_words(open_session: Opener, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        session = open_session(options=SpeechOptions(prompt="secret prompt"))
        session.write(tone(1.5))
        session.stop()
        assert session.ended.wait(120)
        session.join(120)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("openmic.sessions")]
    assert len(ours) == 3
    assert all(session.id in line for line in ours)
    assert not any(word in line for line in ours for word in ("one", "heard", "secret", session.resume_token))


def test_bytes_that_come_to_nothing_are_told_and_the_rest_is_kept(open_session: Opener) -> None:
    session = open_session(audio_format=AudioFormat())
    listener = Listener()
    session.attach(listener)
    spoken = np.frombuffer(tone(2.0), "<i2")
    session.write(media.mp3(spoken) + bytes(range(256)) * 200)
    session.stop()
    ended = listener.wait_for(Ended)
    assert isinstance(ended, Ended)
    assert ended.audio_seconds == pytest.approx(2.0, abs=0.2)
    warned = listener.wait_for(Warned)
    assert isinstance(warned, Warned)
    assert warned.error.code == "audio_not_understood"
