"""What a server finds that starts on the folder of one that died.

A copy of the folder, made while a session runs, is what ``kill -9`` at that moment leaves: everything that was written,
and no lock. (``test_reliability`` kills real processes.)
"""

from __future__ import annotations

import os
import random
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import openmic.sessions.keeper
from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.ended import EndedSession
from openmic.sessions.events import Committed, Ended, Failed, Finalised, SessionEvent
from openmic.sessions.on_disk import SessionElsewhere
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recovery import MOST_RECOVERIES
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.folder import Household, SessionFiles
from openmic.sessions.storage.holder import HOLDERS, Holder
from openmic.sessions.storage.names import DAMAGED, JOURNAL
from openmic.sessions.storage.other_holders import OtherHolders
from openmic.sessions.storage.record_file import Kind, Scan
from openmic.sessions.storage.replay import read_replay_at
from openmic.speech.types import SpeechOptions, Term
from tests.support import media
from tests.support.scripted_sessions import scripted_sessions
from tests.support.waiting import wait_until

PCM = AudioFormat("pcm_s16le", 16_000, 1)
OPTIONS = SpeechOptions(language="en", prompt="names: Zoë")
Counted = Committed | Finalised | Ended


def tone(seconds: float) -> bytes:
    noise = np.random.default_rng(4).normal(0, 300, round(16_000 * seconds))
    return (np.cumsum(noise) % 20_000 - 10_000).astype("<i2").tobytes()


def counted(session: Session, after_seq: int = 0) -> list[Counted]:
    events: list[SessionEvent] = []
    session.attach(events.append, after_seq)
    return [event for event in events if isinstance(event, Committed | Finalised | Ended)]


def sent(session: Session, data: bytes, message_bytes: int = 3200) -> None:
    for start in range(0, len(data), message_bytes):
        session.write(data[start : start + message_bytes])


def ask_for_everything(kept: EndedSession) -> None:
    """What a client that has not read of the end yet may send: it is refused, or comes to nothing."""
    for command in (lambda: kept.write(b"\0\0"), kept.flush, kept.stop):
        with pytest.raises(OpenmicError) as refused:
            command()
        assert refused.value.code == "already_stopped"
    kept.set_endpoint_silence(1.0)
    kept.change_vocabulary((Term("openmic"),), "A prompt.")
    kept.warn(PROBLEMS.error("session_failed", detail="nothing"))


def is_decoded(session: Session) -> bool:
    return session.backlog_bytes == 0


def dead(living: Path, grave: Path) -> Path:
    """The folder as a server leaves it that dies now."""
    shutil.copytree(living, grave)
    return grave


def undisturbed(folder: Path, audio_format: AudioFormat, data: bytes) -> tuple[list[Counted], bytes]:
    """What a session tells, and its sound, if nothing happens."""
    with scripted_sessions(folder) as (sessions, _):
        session = sessions.create(audio_format, OPTIONS)
        sent(session, data)
        session.stop()
        assert session.ended.wait(120)
        return counted(session), session.recording.read_pcm(0, len(session.recording))


@pytest.fixture(scope="module")
def speech(sample_audio: Path) -> dict[str, tuple[AudioFormat, bytes]]:
    recording = media.read_wav(sorted(sample_audio.glob("*.wav"))[0])[: 16_000 * 7]
    return {
        "webm": (AudioFormat(), media.webm(recording)),
        "wav": (AudioFormat(), media.wav(recording)),
        "mp4": (AudioFormat(), media.fragmented_mp4(recording)),
        "pcm": (PCM, tone(7)),
    }


@pytest.mark.parametrize("kind", ["webm", "wav", "mp4", "pcm"])
@pytest.mark.slow
@pytest.mark.faults
def test_killed_at_random_moments_a_session_ends_as_if_nothing_had_happened(
    tmp_path: Path, speech: dict[str, tuple[AudioFormat, bytes]], kind: str
) -> None:
    audio_format, data = speech[kind]
    expected, sound = undisturbed(tmp_path / "undisturbed", audio_format, data)
    dice = random.Random(kind)
    for life in range(6):
        folder, heard, name = tmp_path / f"{life}-0", list[Counted](), ("", "")
        for death in range(1 + life % 4):
            with scripted_sessions(folder) as (sessions, _):
                if death == 0:
                    session = sessions.create(audio_format, OPTIONS, words=True)
                    name = (session.id, session.resume_token)
                else:
                    session = sessions.resume(*name)
                received = session.received_bytes
                end = dice.randint(received, len(data))
                sent(session, data[received:end], dice.choice([200, 3200, 20_000]))
                if dice.random() < 0.7:
                    wait_until(partial(is_decoded, session))
                    time.sleep(dice.random() * 0.1)
                heard += counted(session, len(heard))
                folder = dead(folder, tmp_path / f"{life}-{death + 1}")
            assert read_back(folder / name[0]) == data[:end]  # all that was acknowledged
            assert read_replay_at(folder / name[0] / JOURNAL).seq >= len(heard)  # all that was told
        with scripted_sessions(folder) as (sessions, _):
            session = sessions.resume(*name)
            sent(session, data[session.received_bytes :])
            session.stop()
            assert session.ended.wait(120)
            heard += counted(session, len(heard))
            assert session.recording.read_pcm(0, len(session.recording)) == sound
            assert session.words
        assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
        assert texts(heard) == texts(expected)


def texts(events: list[Counted]) -> list[object]:
    """What was said: the committed words, the final, the end."""
    words = "".join(event.committed.text for event in events if isinstance(event, Committed))
    rest = [event for event in events if not isinstance(event, Committed)]
    return [words, *(event.final.text if isinstance(event, Finalised) else event.reason for event in rest)]


def read_back(folder: Path) -> bytes:
    """The audio bytes in a journal."""
    with (folder / JOURNAL).open("rb") as file:
        return b"".join(one.payload for one in Scan(file.fileno()) if one.kind == Kind.AUDIO)


@pytest.fixture
def unfinished(tmp_path: Path) -> tuple[Path, str, str]:
    """A folder in which a session of two seconds was left, with two commits; its name and its resume token."""
    with scripted_sessions(tmp_path / "living") as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        sent(session, tone(2.3))
        wait_until(lambda: len(session.commits()) == 2)
        return dead(tmp_path / "living", tmp_path / "dead"), session.id, session.resume_token


def test_a_client_that_stays_away_gets_its_final_all_the_same(unfinished: tuple[Path, str, str]) -> None:
    folder, session_id, token = unfinished
    with scripted_sessions(folder, resume_seconds=0.2) as (sessions, _):
        session = sessions.get(session_id)
        assert session.ended.wait(120)
        snapshot = session.snapshot()
        assert snapshot.final is not None
        assert (snapshot.final.duration, snapshot.reason, snapshot.committed_text) == (2.3, "timeout", "one two three")
        assert sessions.resume(session_id, token) is session
        assert [event.seq for event in counted(session, 2)] == [3, 4, 5]


def test_what_another_server_works_on_is_left_alone(
    unfinished: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 0.1)
    folder, session_id, token = unfinished
    with scripted_sessions(folder) as (first, _), scripted_sessions(folder) as (second, _):
        running = first.get(session_id)
        own = second.create(PCM, OPTIONS)
        for sessions, other in ((second, session_id), (first, own.id)):
            assert isinstance(sessions.get(other), SessionElsewhere)  # to be read
            assert other not in [one.id for one in sessions.list()]
        sent(running, tone(1.0))
        running.stop()
        assert running.ended.wait(120)
        wait_until(lambda: any(one.id == session_id for one in second.list()))  # ended: both have it
        kept = second.resume(session_id, token)
        assert kept.snapshot().final == running.snapshot().final
        first.close()
        assert own.state is State.RECEIVING


def test_a_server_that_dies_leaves_its_sessions_to_one_that_runs(
    tmp_path: Path, unfinished: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 0.1)
    folder, session_id, token = unfinished
    (tmp_path / "other").mkdir()
    with scripted_sessions(tmp_path / "other") as (sessions, _):
        (folder / HOLDERS).rename(tmp_path / "other" / HOLDERS)
        (folder / session_id).rename(tmp_path / "other" / session_id)
        wait_until(lambda: any(one.id == session_id for one in sessions.list()))
        assert sessions.resume(session_id, token).received_bytes == 73_600


def test_ended_sessions_are_there_after_a_restart_until_their_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_sessions(tmp_path, keep_seconds=100) as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        sent(session, tone(2))
        session.stop()
        assert session.ended.wait(120)
        told = counted(session)
        sound = session.recording.read_pcm(0, 99_999)
    with scripted_sessions(tmp_path, keep_seconds=100) as (sessions, engine):
        kept = sessions.resume(session.id, session.resume_token)
        assert isinstance(kept, EndedSession)
        assert engine.streams == []
        assert counted(kept) == told
        assert kept.recording.read_pcm(0, 99_999) == sound
        before, after = session.snapshot(), kept.snapshot()
        assert (after.final, after.committed_text) == (before.final, before.committed_text)
        assert (after.created, after.revised) == (before.created, before.revised)
        assert (after.received_bytes, after.audio_seconds, after.reason) == (64_000, 2.0, "stopped")
        ask_for_everything(kept)
        assert sessions.known.received_bytes_total() == sessions.known.audio_seconds_total() == 0
        with pytest.raises(OpenmicError) as caught:
            kept.write(b"more")
        assert caught.value.code == "already_stopped"
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() + 200)
    with scripted_sessions(tmp_path, keep_seconds=100) as (sessions, _):
        assert len(sessions.list()) == 1  # by the clock of its disk it is young: this machine's may be wrong
    os.utime(tmp_path / session.id / JOURNAL, (real_time() - 200,) * 2)
    with scripted_sessions(tmp_path, keep_seconds=100) as (sessions, _):
        assert sessions.list() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jump", [-1e8, -5000.0, 1e8])
def test_a_clock_that_jumps_deletes_nothing_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    real_time = time.time
    with scripted_sessions(tmp_path, keep_seconds=50, resume_seconds=50) as (sessions, _):
        running, ended = sessions.create(PCM, OPTIONS), sessions.create(PCM, OPTIONS)
        sent(running, tone(1))
        sent(ended, tone(1))
        ended.stop()
        assert ended.ended.wait(120)
        monkeypatch.setattr(time, "time", lambda: real_time() + jump)
        time.sleep(0.6)
        assert {one.id: one.state for one in sessions.list()} == {running.id: State.RECEIVING, ended.id: State.ENDED}
        sent(running, tone(1))
        running.stop()
        assert running.ended.wait(120)
        assert running.recording.seconds == 2
    monkeypatch.setattr(time, "time", real_time)
    if jump < 0:
        return
    with scripted_sessions(tmp_path, keep_seconds=50) as (sessions, _):  # it seems to have ended in the future
        assert sessions.get(running.id).snapshot().final is not None


def test_a_session_that_was_stopped_takes_no_more_and_gets_its_final(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path / "living") as (sessions, engine):
        engine.may_finish.clear()
        session = sessions.create(PCM, OPTIONS)
        sent(session, tone(1.5))
        session.stop()
        wait_until(lambda: len(session.commits()) == 2)
        folder = dead(tmp_path / "living", tmp_path / "dead")
    with scripted_sessions(folder) as (sessions, _):
        again = sessions.resume(session.id, session.resume_token)
        with pytest.raises(OpenmicError) as caught:
            again.write(b"more")
        assert caught.value.code == "already_stopped"
        assert again.ended.wait(120)
        assert texts(counted(again)) == [" one two", " heard 1.5 seconds", "stopped"]


def test_killed_between_the_final_and_the_end_it_is_not_transcribed_again(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path / "living") as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        sent(session, tone(1.5))
        wait_until(lambda: len(session.commits()) == 1)
        folder = dead(tmp_path / "living", tmp_path / "dead")
        session.stop()
        assert session.ended.wait(120)
        session.join(120)
    compact = read_replay_at(tmp_path / "living" / session.id / JOURNAL)
    assert compact.compact
    holder = Holder(folder, lease_seconds=300.0)
    household = Household(holder, OtherHolders(folder, lease_seconds=300.0))
    reopened = SessionFiles.take_over(folder / session.id, household)[0]
    with (tmp_path / "living" / session.id / JOURNAL).open("rb") as file:
        for record in Scan(file.fileno()):
            if record.kind in (Kind.STOPPED, Kind.FINALISED) or b'" two"' in record.payload:
                reopened.journal.record(Kind(record.kind), record.payload)
    reopened.release()
    holder.close()
    with scripted_sessions(folder) as (sessions, engine):
        engine.may_finish.clear()  # nobody may need another final
        again = sessions.resume(session.id, session.resume_token)
        assert again.ended.wait(120)
        assert counted(again) == counted(session)
        assert len(again.recording) == 24_000
        again.join(120)
        assert read_replay_at(folder / session.id / JOURNAL).compact


def test_numbers_that_a_notebook_has_seeded_stay_as_they_are(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path / "living") as (sessions, _):
        ids = [sessions.create(PCM, OPTIONS).id for _ in range(3)]
        folder = dead(tmp_path / "living", tmp_path / "dead")
    random.seed(7)
    before = random.getstate()
    with scripted_sessions(folder, resume_seconds=0.2) as (sessions, _):
        assert all(sessions.get(session_id).ended.wait(60) for session_id in ids)
    assert random.getstate() == before


def test_damage_in_the_middle_is_told_and_what_came_before_is_kept(unfinished: tuple[Path, str, str]) -> None:
    folder, session_id, token = unfinished
    path = folder / session_id / JOURNAL
    with path.open("rb") as file:
        audio = [record for record in Scan(file.fileno()) if record.kind == Kind.AUDIO]
    data = bytearray(path.read_bytes())
    data[audio[14].start + 40] ^= 1
    path.write_bytes(data)
    with scripted_sessions(folder) as (sessions, _):
        session = sessions.resume(session_id, token)
        assert session.ended.wait(120)
        events: list[SessionEvent] = []
        session.attach(events.append)
        assert isinstance(events[-1], Failed)
        assert events[-1].error.code == "journal_damaged"
        snapshot = session.snapshot()
        assert snapshot.final is not None
        assert (snapshot.final.duration, snapshot.received_bytes) == (1.4, 14 * 3200)
        assert (folder / session_id / DAMAGED).read_bytes() == data
        assert (folder / session_id / DAMAGED).stat().st_mode & 0o777 == 0o600
    with scripted_sessions(folder) as (sessions, _):
        again = sessions.get(session_id).snapshot()
        assert again.error is not None
        assert (again.error.code, again.final) == ("journal_damaged", snapshot.final)


def test_an_ended_session_whose_words_are_damaged_still_has_its_sound(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        session = sessions.create(PCM, OPTIONS)
        sent(session, tone(2))
        session.stop()
        assert session.ended.wait(120)
    path = tmp_path / session.id / JOURNAL
    data = bytearray(path.read_bytes())
    data[data.index(b"listening" if b"listening" in data else b" heard 2.0")] ^= 1
    path.write_bytes(data)
    with scripted_sessions(tmp_path) as (sessions, engine):
        kept = sessions.get(session.id)
        snapshot = kept.snapshot()
        assert snapshot.error is not None
        assert (snapshot.error.code, snapshot.committed_text) == ("journal_damaged", "one two")
        assert kept.recording.seconds == 2
        assert engine.streams == []


def test_a_session_that_servers_die_of_is_left_for_its_owner_or_its_client(
    unfinished: tuple[Path, str, str], tmp_path: Path
) -> None:
    folder, session_id, token = unfinished
    for life in range(MOST_RECOVERIES):
        with scripted_sessions(folder) as (sessions, engine):
            engine.may_finish.clear()
            assert sessions.get(session_id).state is State.RECEIVING
            folder = dead(folder, tmp_path / f"life{life}")
    with scripted_sessions(folder) as (sessions, engine):
        assert (sessions.list(), engine.streams) == ([], [])
        assert isinstance(sessions.get(session_id), SessionElsewhere)
        for name, wrong in ((session_id, "x"), ("a" * 32, token), ("../" + session_id, token)):
            with pytest.raises(OpenmicError):
                sessions.resume(name, wrong)
        again = sessions.resume(session_id, token)  # unless its client comes for it
        assert sessions.resume(session_id, token) is again
        again.stop()
        assert again.ended.wait(120)
        assert again.recording.seconds == 2.3


def test_a_language_that_this_model_does_not_know_leaves_the_session_for_another(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path / "living") as (sessions, _):
        session = sessions.create(PCM, SpeechOptions(language="tr"))
        sent(session, tone(1))
        folder = dead(tmp_path / "living", tmp_path / "dead")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.scripted_engine.LANGUAGES", {"en"})
        with scripted_sessions(folder) as (sessions, _):
            assert sessions.list() == []
    with scripted_sessions(folder) as (sessions, _):
        assert sessions.get(session.id).received_bytes == 32_000


def test_no_secret_is_written_down(unfinished: tuple[Path, str, str]) -> None:
    folder, session_id, token = unfinished
    assert token.encode() not in b"".join(path.read_bytes() for path in (folder / session_id).iterdir())


def test_a_folder_that_was_never_finished_making_goes_once_it_is_old(tmp_path: Path) -> None:
    old, fresh = tmp_path / ("new-" + "a" * 32), tmp_path / ("new-" + "b" * 32)
    for folder in (old, fresh):
        folder.mkdir()
    os.utime(old, (1, 1))
    with scripted_sessions(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [fresh.name]
