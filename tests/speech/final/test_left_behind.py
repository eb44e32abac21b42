"""Speech that a window leaves out is decoded alone: real weights, two languages by turns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from whisper.timing import WordTiming

from benchmarks.corpus.sounds import SOUNDS, room
from benchmarks.left_behind import by_turns, left_seconds, timeline_of
from openmic.audio.types import SAMPLE_RATE, Samples, SpeechBoundary
from openmic.speech.final.left_behind import LEFT_BEHIND_SECONDS, speech_without_words, with_left_behind
from openmic.speech.final.segments import TimedSegment, put_in
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.final.walk import FinalModel
from openmic.speech.types import FinalText, SpeechOptions
from tests.speech.final.test_speculation import Session
from tests.speech.final.test_walk import walk
from tests.speech.final.test_walk_goes_on import walk as walk_on
from tests.speech.final.test_walk_goes_on import written_down
from tests.support.clip import Clip

DETECTED = SpeechOptions()


@pytest.fixture(scope="module")
def two_languages(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    """8 s in English, 8 s in German, and both once more, in one window."""
    english, german = (load_audio(sample_audio / name) for name in ("interview.wav", "german.ogg"))
    return by_turns(english, german, 8.0)[: round(28.5 * SAMPLE_RATE)]


def check(final: FinalText, samples: Samples) -> None:
    """Nothing is left out, and the text is still a text."""
    words = [word for segment in final.segments for word in segment.words]
    spans = [(word.start, word.end) for word in words]
    assert max(left_seconds(timeline_of(samples), spans, final.duration)) < LEFT_BEHIND_SECONDS
    assert "".join(segment.text for segment in final.segments) == final.text == "".join(word.word for word in words)
    assert all(before.end <= after.start for before, after in pairwise(words))
    assert [segment.id for segment in final.segments] == list(range(len(final.segments)))


@pytest.mark.slow
def test_the_other_language_is_in_the_final(final_model: FinalModel, two_languages: Samples) -> None:
    """whisper.transcribe leaves the German greeting out."""
    final = walk(final_model, Clip(two_languages), DETECTED, grow_seconds=1.0)
    check(final, two_languages)
    place = final.text.index("Guten Morgen und herzlich willkommen")
    assert final.text.index("bakery near the harbor") < place < final.text.index("How does your day begin?")
    greeting = next(one for one in final.segments if "Guten Morgen" in one.text)
    assert 7.5 < greeting.start < 9.0


@pytest.mark.slow
def test_it_is_the_same_looking_ahead_and_taken_up(final_model: FinalModel, two_languages: Samples) -> None:
    """In a pause behind it, and from the journal of a server that died behind the window that leaves something out."""
    pause = np.zeros(6 * SAMPLE_RATE, np.float32)
    samples = np.concatenate([two_languages, pause, two_languages[: 4 * SAMPLE_RATE], pause])
    whole, told, _ = walk_on(final_model, samples, 0.5, options=DETECTED)
    check(whole, samples)
    assert "Guten Morgen" in whole.text
    again, _, _ = walk_on(final_model, samples, 3.0, written_down(told)[:1], DETECTED)
    assert again == whole
    session = Session(final_model, samples, options=DETECTED)
    session.hear()
    ahead, windows = session.stop()
    assert windows == 0
    assert ahead == whole


@pytest.mark.slow
def test_a_stretch_that_begins_in_one_language_is_tried_in_the_next_likeliest(
    final_model: FinalModel, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    """It is most likely English, and as English too unlikely: a German sentence, and then an English one."""
    english, german = (load_audio(sample_audio / name) for name in ("interview.wav", "german.ogg"))
    samples = by_turns(english, german, 8.0)[: 70 * SAMPLE_RATE]
    steps = with_left_behind(final_model, Clip(samples), DETECTED, timeline_of(samples), [], 56.2, 67.54)
    with torch.inference_mode():
        text = "".join(one.fields["text"] for one in returned(steps))
    assert "Der Zug hatte drei Stunden" in text
    assert text.endswith(" She has been with us since 2019.")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["murmur", "music", "humming", "coughs"])
def test_what_voice_activity_mistakes_for_speech_adds_no_word(
    final_model: FinalModel, sample_audio: Path, load_audio: Callable[[Path], Samples], name: str
) -> None:
    """Five voices at once, backwards, which it does; and other sounds, as if it did."""
    if name == "murmur":
        backwards = load_audio(sample_audio / "interview.wav")[::-1]
        voices = np.sum([backwards[place * SAMPLE_RATE :][: 12 * SAMPLE_RATE] for place in (0, 9, 18, 27, 36)], axis=0)
        samples = (voices / np.sqrt((voices**2).mean()) * 10 ** (-35 / 20) + room(12.0, -60.0)).astype(np.float32)
        assert timeline_of(samples).speech_seconds(0.0, 12.0) > 6.0
    else:
        samples = SOUNDS[name](12.0)
    taken_for_speech = timeline((0.0, 12.0), known=12.0)
    steps = with_left_behind(final_model, Clip(samples), DETECTED, taken_for_speech, [], 0.0, 12.0)
    with torch.inference_mode():
        assert returned(steps) == []


def returned(steps: Generator[object, None, list[TimedSegment]]) -> list[TimedSegment]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: list[TimedSegment] = end.value
            return found


def timeline(*spans: tuple[float, float], known: float) -> SpeechTimeline:
    found = SpeechTimeline()
    boundaries = [(SpeechBoundary("started", start), SpeechBoundary("ended", end)) for start, end in spans]
    found.add_boundaries([boundary for pair in boundaries for boundary in pair], known)
    return found


def word(text: str, start: float, end: float) -> WordTiming:
    return WordTiming(text, [len(text)], start, end, 0.9)


def test_where_speech_is_without_words() -> None:
    spoken = timeline((1.0, 4.0), (4.5, 6.0), (9.0, 12.0), known=20.0)
    assert speech_without_words(spoken, [], 0.0, 20.0) == (1.0, 12.0)
    assert speech_without_words(spoken, [word(" a", 1.0, 3.5)], 0.0, 20.0) == (3.5, 12.0)
    said = [word(" a", 1.0, 3.5), word(" b", 5.1, 5.4)]  # half a second in each of two spans
    assert speech_without_words(spoken, said, 0.0, 9.0) is None
    assert speech_without_words(spoken, said, 0.0, 20.0) == (5.4, 12.0)
    assert speech_without_words(spoken, [], 10.6, 20.0) is None
    assert speech_without_words(SpeechTimeline(), [], 0.0, 20.0) is None  # nothing was ever told


def segment(tokens: list[int], *words: WordTiming) -> TimedSegment:
    text = "".join(one.word for one in words)
    fields: dict[str, Any] = {"tokens": tokens, "text": text, "start": words[0].start, "end": words[-1].end}
    return TimedSegment(fields, list(words))


def test_what_was_left_behind_comes_between_the_words() -> None:
    one = segment([90, 2, 3, 91], word(" a", 1.0, 2.0), word(" bb", 6.0, 7.0))
    two = segment([92, 4, 93], word(" ccc", 8.0, 9.0))
    found = segment([94, 5, 95], word(" dddd", 3.0, 4.0))
    whole = put_in([one, two], [found], 2.5)
    assert [part.fields["text"] for part in whole] == [" a", " dddd", " bb", " ccc"]
    assert [part.fields["tokens"] for part in whole] == [[90, 2], [94, 5, 95], [3, 91], [92, 4, 93]]
    assert (whole[0].fields["end"], whole[2].fields["start"]) == (2.0, 6.0)
    assert [part.fields["text"] for part in put_in([one, two], [found], 7.5)] == [" a bb", " dddd", " ccc"]
    assert put_in([one, two], [found], 0.5) == [found, one, two]
    assert put_in([one, two], [found], 9.5) == [one, two, found]
    assert put_in([], [found], 3.0) == [found]
