"""When an utterance is over: told once for each end of speech and for each flush, behind the words of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.speech.engine.stream import SKIP_BACKLOG_SECONDS, EngineStream
from openmic.speech.final.walk import FinalPass
from openmic.speech.live.hypothesis import Hypothesis
from openmic.speech.types import CommittedText, LiveText, SpeechEvent, SpeechOptions, UtteranceOver
from tests.speech.live.test_policy import words
from tests.support.clip import Clip


class Told:
    """A stream over silence, whose words are written by hand, and what it tells."""

    def __init__(self, seconds: float) -> None:
        self.events: list[SpeechEvent] = []
        nothing: Any = None  # no model
        options = SpeechOptions(language="en")
        self.recording = Clip(np.zeros(round(seconds * SAMPLE_RATE), np.float32))
        final = FinalPass(nothing, self.recording, options)
        self.stream = EngineStream(
            self.recording, options, final, nothing, self.events.append, lambda: None, 8_000, 192_000
        )

    def grow(self, seconds: float) -> None:
        """More silence."""
        longer = np.zeros(len(self.recording) + round(seconds * SAMPLE_RATE), np.float32)
        self.recording.samples, self.recording.length = longer, len(longer)

    def work(self, text: str = "", start: float = 0.5) -> None:
        """Do what is due; every decoding hears ``text``."""
        for _ in range(20):
            plan = self.stream.due_step()
            if plan is None:
                return
            heard = tuple(words(text, start=start)) if text else ()
            self.stream.apply_step(plan, Hypothesis(heard, "en", 0.0, -0.2, False))
        raise AssertionError("it is never done")

    @property
    def over(self) -> list[UtteranceOver]:
        return [event for event in self.events if isinstance(event, UtteranceOver)]


def boundaries(*at: tuple[Any, float], cut: bool = False) -> list[SpeechBoundary]:
    return [SpeechBoundary(state, seconds, cut and state == "ended") for state, seconds in at]


def test_a_pause_ends_an_utterance_behind_its_last_words() -> None:
    told = Told(4.0)
    told.stream.add_boundaries(boundaries(("started", 0.4), ("ended", 3.0)))
    told.work("ask not what")
    kinds = [type(event) for event in told.events if not isinstance(event, LiveText)]
    assert kinds == [CommittedText, UtteranceOver]
    assert told.over == [UtteranceOver(3.0, "silence")]


def test_an_utterance_without_words_is_over_too() -> None:
    told = Told(4.0)
    told.stream.add_boundaries(boundaries(("started", 0.4), ("ended", 3.0)))
    told.work()
    assert told.events == [UtteranceOver(3.0, "silence")]


def test_one_whose_words_were_all_committed_before_is_over_too() -> None:
    told = Told(2.9)
    told.stream.add_boundaries(boundaries(("started", 0.4)))
    told.stream.flush()
    told.work("ask not")
    told.grow(1.0)
    told.stream.add_boundaries(boundaries(("ended", 3.0)))
    told.work()
    assert told.over == [UtteranceOver(2.9, "flush"), UtteranceOver(3.0, "silence")]
    assert sum(isinstance(event, CommittedText) for event in told.events) == 1


def test_a_flush_is_answered_in_silence() -> None:
    told = Told(2.0)
    told.stream.flush()
    told.work()
    told.stream.add_boundaries(boundaries(("started", 0.4), ("ended", 1.5)))
    told.stream.flush()
    told.work("ask")
    assert told.over == [UtteranceOver(2.0, "flush"), UtteranceOver(1.5, "silence"), UtteranceOver(2.0, "flush")]


def test_each_flush_is_answered_once() -> None:
    told = Told(2.0)
    told.stream.add_boundaries(boundaries(("started", 0.4)))
    told.stream.flush()
    told.stream.flush()
    told.work("ask not")
    assert told.over == [UtteranceOver(2.0, "flush")] * 2
    assert told.stream.utterances.speaking, "it was flushed in the middle of speech"
    told.work("ask not")
    assert len(told.over) == 2


def test_the_streams_end_in_the_middle_of_speech_is_no_pause() -> None:
    told = Told(3.0)
    told.stream.add_boundaries(boundaries(("started", 0.4)))
    told.stream.add_boundaries(boundaries(("ended", 3.0), cut=True))
    told.stream.flush()
    told.stream.finish()
    told.work("ask not")
    assert told.over == [UtteranceOver(3.0, "flush"), UtteranceOver(3.0, "stop")]
    assert told.stream.live_over


@pytest.mark.parametrize("flushed", [True, False])
def test_live_text_that_is_given_up_ends_its_utterances(flushed: bool) -> None:
    told = Told(SKIP_BACKLOG_SECONDS * 2)
    told.stream.add_boundaries(
        boundaries(("started", 0.4), ("ended", 5.0), ("started", 6.0), ("ended", SKIP_BACKLOG_SECONDS * 2))
    )
    told.stream.plan()
    if flushed:
        told.stream.flush()
    told.stream.finish()
    told.work("ask")
    causes = [over.cause for over in told.over]
    assert (causes.count("silence"), causes.count("flush")) == (2, int(flushed))


def test_live_text_has_its_words() -> None:
    told = Told(2.0)
    told.stream.add_boundaries(boundaries(("started", 0.4)))
    told.work("ask not what")
    live = told.events[-1]
    assert isinstance(live, LiveText)
    assert live.words
    assert live.text == "".join(word.word for word in live.words)
    assert (live.start, live.end) == (live.words[0].start, live.words[-1].end)
