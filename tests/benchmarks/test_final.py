"""What the benchmark of finals keeps, and how the quiet benchmark judges."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus.reading import clips_of
from benchmarks.corpus.recordings import SHARED_AUDIO_VARIABLE, sample_clips
from benchmarks.corpus.sounds import SAID, SOUNDS, room
from benchmarks.corpus.words import SpokenWord
from benchmarks.final import Length, after_the_fact, done_before, in_lanes, keep
from benchmarks.peers.batch import BatchResult, NotRun
from benchmarks.quiet import Heard, judged
from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.speech.types import FinalText, Segment, Word


def test_a_run_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    file, run = tmp_path / "final.json", {"model": "base", "speed": 4.0}
    assert done_before(file, run) == {}
    lengths = {"1": Length(1.0, 2.5, 0.03, 0.02, 1_000_000, 2_000_000, 0.5, cpu_after=3.0)}
    keep(file, "title", run, lengths)
    assert done_before(file, run) == lengths
    assert done_before(file, run | {"speed": 1.0}) == {}
    assert "| 1.0 | 2.5 |" in lengths["1"].markdown()


def test_only_the_transcriptions_that_are_missing_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = clips_of(sample_clips(), 1.0)[0]
    asked = list[tuple[str, bool]]()

    def whisper(file: Path, model: str, language: str, words: bool = False) -> BatchResult:
        assert file.stat().st_size > 2 * len(spoken.samples)
        asked.append(("openai-whisper", words))
        return BatchResult(f" {spoken.text}", 4.0, 8.0, 1)

    def faster(file: Path, language: str) -> BatchResult:
        raise NotRun("no such program")

    monkeypatch.setenv(SHARED_AUDIO_VARIABLE, "/nowhere")
    monkeypatch.setattr("benchmarks.peers.batch.openai_whisper", whisper)
    monkeypatch.setattr("benchmarks.peers.batch.faster_whisper", faster)
    length = Length(0.1, 2.5, 0.03, 0.02, 0, 0, 0.5, plain_seconds=3.0, final_text=spoken.text)
    assert "| - |" in length.markdown()
    for found in after_the_fact(length, "0.1", "base", "en"):
        length = replace(length, **found)
    assert asked == [("openai-whisper", True)]
    assert (length.plain_seconds, length.worded_seconds, length.worded_wer, length.quick_wer) == (3.0, 4.0, 0.0, None)
    assert "| yes |" in length.markdown()
    assert "| no |" in replace(length, final_text="Something else.").markdown()


def test_lengths_are_streamed_two_at_a_time_and_kept_as_they_are_done() -> None:
    both, order = threading.Barrier(2), list[str]()

    def stream_one(minutes: str) -> Length:
        if minutes != "1":
            both.wait(120)  # the two longest meet
        return Length(float(minutes), 2.5, 0.0, 0.0, 0, 0, 0.5)

    in_lanes(["30", "10", "1"], 2, stream_one, lambda minutes, length: order.append(f"{minutes} {length.minutes:g}"))
    assert sorted(order) == ["1 1", "10 10", "30 30"]


@pytest.mark.parametrize("name", [name for name in SOUNDS if name not in SAID])
def test_nobody_speaks_in_the_sounds(name: str) -> None:
    samples = SOUNDS[name](12.0)
    assert (samples.dtype, len(samples)) == (np.float32, 12 * SAMPLE_RATE)
    assert np.abs(samples).max() <= 1
    voice = VoiceActivity(0.6)
    assert voice.push(samples) + voice.flush() == []


@pytest.mark.parametrize(("decibels", "exponent"), [(-50.0, 1.0), (-30.0, 1.0), (-30.0, 2.0)])
def test_a_room_is_as_loud_as_it_says(decibels: float, exponent: float) -> None:
    noise = room(2.0, decibels, exponent)
    assert 10 * np.log10((noise.astype(np.float64) ** 2).mean()) == pytest.approx(decibels, abs=0.1)


def final(*words: Word) -> FinalText:
    text = "".join(word.word for word in words)
    return FinalText(text, "en", 9.0, (Segment(0, 0, 0.0, 9.0, text, (), 0.0, -0.1, 1.0, 0.0, words),), "base")


def test_the_quiet_benchmark_finds_invented_lost_and_late_words() -> None:
    spoken = [SpokenWord("good", 1.0), SpokenWord("morning", 1.5)]
    right = final(Word(" Good", 0.5, 1.0, 0.9), Word(" morning.", 1.0, 1.6, 0.9))
    verdict = judged(Heard((), " Good morning.", right), spoken)
    assert (verdict.good, verdict.invented, verdict.lost) == (True, [], [])
    assert verdict.off_seconds == pytest.approx(0.1)
    late = final(Word(" Good", 0.5, 1.0, 0.9), Word(" morning.", 1.0, 1.9, 0.9))
    assert not judged(Heard((), " Good morning.", late), spoken).good
    assert judged(Heard((), " Good morning. Thank you.", right), spoken).invented == ["thank", "you"]
    assert judged(Heard((), " Good", final(Word(" Good", 0.5, 1.0, 0.9))), spoken).lost == ["morning"]
    assert judged(Heard((" You",), "", final()), []).invented == ["you"]
    assert judged(Heard((" Good", " Good you"), "", final()), [], "A good day.").invented == ["you"]
