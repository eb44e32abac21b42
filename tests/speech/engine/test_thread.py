"""The engine with real weights: streams in, live text, commits and finals out; and nobody disturbs a neighbour."""

from __future__ import annotations

import copy
import gc
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.errors import OpenmicError
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.overload import LATE_SECONDS
from openmic.speech.engine.scheduled_stream import ScheduledStream
from openmic.speech.engine.thread import EngineParts, WhisperEngine
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.types import CommittedText, FinalText, LiveText, SpeechEvent, SpeechFailed, SpeechOptions, Word
from tests.support.clip import Clip
from tests.support.waiting import wait_until

WAIT_SECONDS = 240.0  # a bound for a busy machine, not an expectation


class Listener:
    """Feeds a clip to an engine as a session does, and keeps what comes back."""

    def __init__(self, engine: WhisperEngine, samples: Samples, options: SpeechOptions | None = None) -> None:
        self.clip = Clip(samples, 0)
        self.events: list[SpeechEvent] = []
        self.over = threading.Event()
        self.news = threading.Condition()
        self.voice = VoiceActivity(0.6)
        self.stream = engine.open(self.clip, options or SpeechOptions(), self._on_event)

    def _on_event(self, event: SpeechEvent) -> None:
        with self.news:
            self.events.append(event)
            self.news.notify_all()
        if isinstance(event, FinalText | SpeechFailed):
            self.over.set()

    def hear(self, seconds: float) -> None:
        """Let the engine have more of the clip, as if it had just been said."""
        begin = self.clip.length
        self.clip.length = min(begin + round(seconds * SAMPLE_RATE), len(self.clip.samples))
        self.stream.add_boundaries(self.voice.push(self.clip.samples[begin : self.clip.length]))

    def wait_for(self, found: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(found, WAIT_SECONDS)

    def finish(self) -> FinalText:
        """Hear the rest, stop, and wait for the final."""
        self.hear(len(self.clip.samples))
        self.stream.add_boundaries(self.voice.flush())
        self.stream.finish()
        assert self.over.wait(WAIT_SECONDS)
        final = self.events[-1]
        assert isinstance(final, FinalText)
        return final

    @property
    def commits(self) -> list[CommittedText]:
        return [event for event in self.events if isinstance(event, CommittedText)]

    @property
    def committed(self) -> str:
        return "".join(commit.text for commit in self.commits)


@pytest.fixture(scope="module")
def quickstart(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> tuple[Samples, str]:
    path = sample_audio / "quickstart.wav"
    return load_audio(path), path.with_suffix(".txt").read_text()


def test_live_words_come_before_the_end_and_are_right(
    engine: WhisperEngine, quickstart: tuple[Samples, str], word_error_rate: Callable[[str, str], float]
) -> None:
    samples, reference = quickstart
    listener = Listener(engine, samples)
    while listener.clip.length < len(samples) - SAMPLE_RATE:
        listener.hear(0.5)
        listener.wait_for(lambda: listener.stream.waiting_seconds() < 1.5 or not listener.stream.utterances.speaking)
    early = listener.committed
    final = listener.finish()
    assert len(early.split()) > len(reference.split()) / 2
    assert listener.committed.startswith(early)
    assert word_error_rate(reference, listener.committed) < 0.1
    assert word_error_rate(reference, final.text) < 0.05
    words = [word for commit in listener.commits for word in commit.words]
    assert "".join(word.word for word in words) == listener.committed
    assert all(0 <= word.start <= word.end <= final.duration + 0.5 for word in words)
    assert any(isinstance(event, LiveText) and event.text for event in listener.events)
    assert listener.commits[-1].language == "en"


def test_in_a_pause_an_idle_engine_has_the_final_ready(
    engine: WhisperEngine, quickstart: tuple[Samples, str], word_error_rate: Callable[[str, str], float]
) -> None:
    samples, reference = quickstart
    listener = Listener(engine, np.concatenate([samples, np.zeros(2 * SAMPLE_RATE, np.float32)]))
    listener.hear(len(samples) / SAMPLE_RATE + 2.0)
    until = time.monotonic() + WAIT_SECONDS
    while not listener.stream.final.speculation_complete() and time.monotonic() < until:
        time.sleep(0.05)
    assert listener.stream.final.speculation_complete()
    assert not any(isinstance(event, FinalText) for event in listener.events), "it may still go on"
    assert word_error_rate(reference, listener.finish().text) < 0.05


def test_several_streams_share_the_engine_and_a_gone_one_harms_nobody(
    engine: WhisperEngine, quickstart: tuple[Samples, str], word_error_rate: Callable[[str, str], float]
) -> None:
    samples, reference = quickstart
    listeners = [Listener(engine, np.roll(samples, 0)), Listener(engine, samples[: 4 * SAMPLE_RATE])]
    gone = Listener(engine, samples)
    for listener in (*listeners, gone):
        listener.hear(3.0)
    gone.stream.abandon()
    finals = [listener.finish() for listener in listeners]
    assert word_error_rate(reference, finals[0].text) < 0.05
    assert word_error_rate(reference.split(".")[0], finals[1].text) < 0.2
    assert not gone.over.is_set()


def test_a_recording_that_cannot_be_read_fails_alone(
    engine: WhisperEngine, quickstart: tuple[Samples, str], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Clip):
        def read(self, start: int, stop: int) -> Samples:
            raise OSError("the disk has gone")

    samples, _ = quickstart
    good = Listener(engine, samples[: 4 * SAMPLE_RATE])
    bad = Listener(engine, samples)
    bad.clip = Broken(samples, 0)
    bad.stream.recording = bad.clip
    bad.stream.final.recording = bad.clip
    good.hear(3.0)
    bad.hear(3.0)
    assert bad.over.wait(WAIT_SECONDS)
    failed = bad.events[-1]
    assert isinstance(failed, SpeechFailed)
    assert failed.error.code == "engine_failed"
    assert "Good morning" in good.finish().text


def test_flush_commits_what_was_said_so_far(engine: WhisperEngine, quickstart: tuple[Samples, str]) -> None:
    listener = Listener(engine, quickstart[0])
    listener.hear(3.0)  # in the middle of the first sentence
    listener.stream.flush()
    listener.wait_for(lambda: "thank you" in listener.committed.lower())
    before = listener.committed
    assert listener.finish().text
    assert listener.committed.startswith(before)
    assert "Saturday" in listener.committed


def test_a_stream_that_is_over_holds_nothing_large(engine: WhisperEngine, quickstart: tuple[Samples, str]) -> None:
    """A session keeps its stream for as long as it can be downloaded."""
    done, left = Listener(engine, quickstart[0]), Listener(engine, quickstart[0])
    left.hear(4.0)
    left.wait_for(lambda: bool(left.events))
    left.stream.abandon()
    done.finish()
    Listener(engine, quickstart[0][:SAMPLE_RATE]).finish()  # the engine has come round
    for stream in (done.stream, left.stream):
        assert stream.memory.settled.cross is None
        assert inspect.getgeneratorstate(stream.walk) == inspect.GEN_CLOSED


def test_silence_says_nothing(engine: WhisperEngine) -> None:
    listener = Listener(engine, np.zeros(8 * SAMPLE_RATE, np.float32))
    assert listener.finish().text.strip() == ""
    assert not any(isinstance(event, LiveText | CommittedText) for event in listener.events)


def test_a_file_that_comes_at_once_is_committed_in_order(
    engine: WhisperEngine,
    sample_audio: Path,
    load_audio: Callable[[Path], Samples],
    word_error_rate: Callable[[str, str], float],
) -> None:
    path = sample_audio / "interview.wav"
    samples = load_audio(path)[: 25 * SAMPLE_RATE]
    listener = Listener(engine, samples)
    final = listener.finish()
    assert word_error_rate(final.text, listener.committed) < 0.15
    starts = [commit.start for commit in listener.commits]
    assert starts == sorted(starts)


def test_a_language_the_model_does_not_know(engine: WhisperEngine) -> None:
    with pytest.raises(OpenmicError, match="is not one this model knows") as caught:
        engine.open(Clip(np.zeros(0, np.float32)), SpeechOptions(language="xx"), lambda event: None)
    assert caught.value.code == "unknown_language"


def test_stats_name_what_runs(engine: WhisperEngine) -> None:
    before = engine.stats().streams
    listener = Listener(engine, np.zeros(SAMPLE_RATE, np.float32))
    assert engine.stats().streams == before + 1
    listener.finish()
    assert engine.info.name == "base"
    assert engine.info.device == "cpu"
    assert 0 <= engine.stats().busy <= 1


def test_closing_tells_open_streams(engine_parts: Any) -> None:
    """On an engine of its own, over the same model."""
    other = WhisperEngine(engine_parts[0], 0.5, 12.0)
    listener = Listener(other, np.zeros(SAMPLE_RATE, np.float32))
    other.close()
    other.close()
    assert listener.over.wait(WAIT_SECONDS)
    failed: Any = listener.events[-1]
    assert failed.error.code == "engine_closed"
    with pytest.raises(OpenmicError, match="has stopped"):
        other.open(Clip(np.zeros(0, np.float32)), SpeechOptions(), lambda event: None)


def test_a_session_whose_journal_holds_a_control_token_is_taken_up(
    engine: WhisperEngine, quickstart: tuple[Samples, str]
) -> None:
    """Sessions of earlier versions may have committed one."""
    samples, _ = quickstart
    words = tuple(Word(text, 0.8 + place, 1.0 + place, 0.9) for place, text in enumerate((" Good", "<|he|>")))
    said = CommittedText(" Good<|he|>", 0.8, 2.0, words, None)
    over, events = threading.Event(), list[SpeechEvent]()

    def on_event(event: SpeechEvent) -> None:
        events.append(event)
        if isinstance(event, FinalText | SpeechFailed):
            over.set()

    clip = Clip(samples[: 4 * SAMPLE_RATE])
    stream = engine.open(clip, SpeechOptions("en"), on_event, [said])
    stream.add_boundaries(VoiceActivity(0.6).push(clip.samples))
    stream.finish()
    assert over.wait(WAIT_SECONDS)
    assert isinstance(events[-1], FinalText)
    assert "thank you" in events[-1].text


def test_a_closed_engine_gives_its_model_back_though_somebody_holds_it(engine: WhisperEngine) -> None:
    """A notebook's variable holds the stopped service: what it keeps on a GPU, the next model does not get."""

    class Live(LiveStepDecoder):
        def __init__(self) -> None:
            pass

        def step(self, requests: Any) -> Any:
            raise AssertionError

    assert engine._final is not None
    live, final = Live(), copy.copy(engine._final)
    held = weakref.ref(live)
    costs = Costs(((1, 0.1),), 0.1)
    parts = EngineParts(engine.info, live, final)

    def again(still_idle: Callable[[], bool], live: Live = live) -> Costs | None:
        return None

    other = WhisperEngine(parts, 0.5, 12.0, costs, again)
    del parts, live, again
    assert held() is not None
    other.close()
    gc.collect()
    assert held() is None
    assert other._final is None
    assert other.stats().streams == 0


def test_a_turn_that_fails_does_not_end_the_engine(
    engine: WhisperEngine,
    quickstart: tuple[Samples, str],
    word_error_rate: Callable[[str, str], float],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One thread serves everybody: if it died, all streams would wait for ever, and nobody would be told."""
    take, turns = engine._turns.take, []

    def fails_at_first(places: Sequence[ScheduledStream]) -> bool:
        turns.append(len(places))
        if len(turns) < 3:
            raise MemoryError
        return take(places)

    monkeypatch.setattr(engine._turns, "take", fails_at_first)
    samples, reference = quickstart
    with caplog.at_level(logging.INFO, "openmic"):
        final = Listener(engine, samples).finish()
    assert word_error_rate(reference, final.text) < 0.05
    assert engine.stats().problems == ()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("service_")]
    assert told == ["service_fault part=openmic-engine", "service_recovered part=openmic-engine"]


@pytest.mark.slow
def test_an_engine_that_stands_still_is_late_until_it_has_caught_up(
    engine: WhisperEngine, quickstart: tuple[Samples, str]
) -> None:
    """Known in the middle of a step that does not end, and over by itself some seconds after it has."""

    class Stopped:
        def __init__(self) -> None:
            self.goes_on = threading.Event()

        def step(self, requests: Any) -> Any:
            assert self.goes_on.wait(WAIT_SECONDS)
            return engine._turns._live.step(requests)

    live = Stopped()
    assert engine._final is not None
    other = WhisperEngine(EngineParts(engine.info, live, copy.copy(engine._final)), 0.5, 12.0)
    try:
        listener = Listener(other, quickstart[0])
        began = time.monotonic()
        while not other.stats().late:
            listener.hear(0.1)
            assert time.monotonic() - began < WAIT_SECONDS
            time.sleep(0.1)
        assert time.monotonic() - began > LATE_SECONDS
        live.goes_on.set()
        wait_until(lambda: not other.stats().late)
        assert listener.finish().text
    finally:
        live.goes_on.set()
        other.close()
