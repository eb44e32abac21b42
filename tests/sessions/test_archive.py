from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.archive import Archive
from openmic.sessions.offline import finish, needs_finishing
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.holder import HOLDERS, Holder
from openmic.settings import Settings
from openmic.speech.problems import PROBLEMS as SPEECH_PROBLEMS
from openmic.speech.types import SpeechOptions
from tests.support import media
from tests.support.scripted_engine import ScriptedEngine
from tests.support.scripted_sessions import scripted_sessions

PCM = AudioFormat("pcm_s16le", 16_000, 1)
TONE = (np.sin(np.arange(40_000) / 10) * 8000).astype("<i2").tobytes()  # 2.5 s


def spoken(sessions: Sessions, data: bytes = TONE, audio_format: AudioFormat = PCM, *, end: bool = True) -> Session:
    session = sessions.create(audio_format, SpeechOptions())
    session.write(data)
    if end:
        session.stop()
        assert session.ended.wait(120)
        session.join(120)
    return session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings: one that has ended, one whose server died, one that nobody can read."""
    with scripted_sessions(tmp_path / "living") as (sessions, _):
        spoken(sessions)
        left = spoken(sessions, end=False)
        while len(left.commits()) < 2:
            pass
        shutil.copytree(tmp_path / "living", tmp_path / "dead")
    broken = tmp_path / "dead" / ("f" * 32)
    broken.mkdir()
    (broken / "journal").write_bytes(b"what is this")
    (tmp_path / "dead" / "notes.txt").write_text("not ours")
    return tmp_path / "dead"


def test_it_says_how_each_recording_stands(folder: Path) -> None:
    ended, unfinished, unreadable = Archive(folder).entries()
    assert [one.standing for one in (ended, unfinished, unreadable)] == ["ended", "unfinished", "unreadable"]
    assert ended.snapshot().final is not None
    assert (ended.damaged, unfinished.damaged, unreadable.damaged) == (False, False, True)
    snapshot = unfinished.snapshot()
    assert (snapshot.state, snapshot.committed_text, snapshot.received_bytes) == (State.RECEIVING, "one two", 80_000)
    assert [commit.text for commit in unfinished.commits()] == [" one", " two"]
    assert unreadable.disk_bytes == 12
    with pytest.raises(OpenmicError) as caught:
        unreadable.snapshot()
    assert caught.value.code == "journal_unreadable"
    assert Archive(folder / "nowhere").entries() == []


def test_a_recording_is_found_by_how_its_name_begins(folder: Path) -> None:
    archive = Archive(folder)
    name = archive.entries()[0].id
    assert archive.find(name[:20].upper()).id == name
    shutil.copytree(folder / name, folder / (name[:20] + "0" * 12))
    for wrong, code in (("", "no_such_recording"), ("xyz", "no_such_recording"), (name[:20], "recording_not_clear")):
        with pytest.raises(OpenmicError) as caught:
            archive.find(wrong)
        assert caught.value.code == code


def test_the_sound_of_what_has_not_ended_comes_from_its_journal(tmp_path: Path, sample_audio: Path) -> None:
    webm = media.webm(media.read_wav(sample_audio / "quickstart.wav")[:48_000])
    with scripted_sessions(tmp_path) as (sessions, _):
        for audio_format, data in ((PCM, TONE), (AudioFormat(), webm)):
            session = spoken(sessions, data, audio_format, end=False)
            entry = Archive(tmp_path).find(session.id)
            assert entry.standing == "running"
            with entry.sound() as sound:
                heard = sound.read_pcm(0, 10**6)
            session.stop()
            assert session.ended.wait(120)
            session.join(120)
            assert heard == session.recording.read_pcm(0, 10**6)
            with Archive(tmp_path).find(session.id).sound() as sound:
                assert heard == sound.read_pcm(0, 10**6)


def test_what_was_sent_and_is_no_sound_says_so(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        session = sessions.create(AudioFormat(), SpeechOptions())
        session.write(b"a letter, not a recording")
        assert session.ended.wait(120)
        session.join(120)
        entry = Archive(tmp_path).find(session.id)
        assert entry.standing == "failed"
        assert entry.snapshot().error is not None
        with pytest.raises(OpenmicError) as caught, entry.sound():
            pass
        assert caught.value.code == "audio_not_decodable"


def test_what_a_server_works_on_can_be_read_and_nothing_else(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, _):
        entry = Archive(tmp_path).find(spoken(sessions, end=False).id)
        for action in (partial(entry.take, Holder(tmp_path, lease_seconds=300.0)), entry.delete):
            with pytest.raises(OpenmicError) as caught:
                action()
            assert caught.value.code == "recording_in_use"
        assert entry.snapshot().received_bytes == 80_000
        assert not needs_finishing(entry)


def test_deleting_leaves_nothing_of_it(folder: Path) -> None:
    for entry in Archive(folder).entries():
        entry.delete()
    assert sorted(path.name for path in folder.iterdir()) == [HOLDERS, "notes.txt"]


def test_an_unfinished_one_is_transcribed_and_kept_like_any_other(folder: Path) -> None:
    archive, engine = Archive(folder), ScriptedEngine()
    ended, unfinished, unreadable = archive.entries()
    assert [needs_finishing(one) for one in (ended, unfinished, unreadable)] == [False, True, False]
    final = finish(unfinished, engine, Settings(data_dir=folder), lambda event: None)
    assert final.duration == 2.5
    again = archive.find(unfinished.id)
    assert (again.standing, again.snapshot().final) == ("ended", final)
    assert again.snapshot().committed_text == "one two three"
    assert again.replay is not None
    assert again.replay.compact
    engine.close()


def test_one_that_an_engine_failed_on_is_finished_by_a_better_one(tmp_path: Path) -> None:
    with scripted_sessions(tmp_path) as (sessions, engine):
        session = spoken(sessions, end=False)
        while not session.commits():
            pass
        engine.streams[0].fail(SPEECH_PROBLEMS.error("engine_failed", detail="out of memory"))
        assert session.ended.wait(120)
        session.join(120)
    entry = Archive(tmp_path).find(session.id)
    assert entry.standing == "failed"
    assert needs_finishing(entry)
    engine = ScriptedEngine()
    assert finish(entry, engine, Settings(data_dir=tmp_path), lambda event: None).duration == 2.5
    assert Archive(tmp_path).find(session.id).standing == "ended"
    engine.close()


def test_an_engine_that_fails_again_says_why(folder: Path) -> None:
    engine = ScriptedEngine()
    engine.may_finish.clear()
    unfinished = Archive(folder).entries()[1]

    def fail(_: object) -> None:
        engine.streams[0].fail(SPEECH_PROBLEMS.error("engine_failed", detail="out of memory"))

    with pytest.raises(OpenmicError) as caught:
        finish(unfinished, engine, Settings(data_dir=folder), fail)
    assert caught.value.code == "engine_failed"
    engine.close()
