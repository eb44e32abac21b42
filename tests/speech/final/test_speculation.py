"""A pause is used to have the final text ready, and nothing is different for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import whisper
from torch import Tensor

from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.types import FinalText, SpeechOptions
from tests.support.clip import Clip

PIECE = SAMPLE_RATE // 10
ENGLISH = SpeechOptions("en")
BETWEEN_SECONDS = 4.3  # between the two sentences


class Encoder:
    """The real one, counted."""

    def __init__(self, encoder: FullEncoder) -> None:
        self.encoder = encoder
        self.windows = 0

    def encode(self, mel: Tensor) -> Generator[None, None, Tensor]:
        self.windows += 1
        states: Tensor = yield from self.encoder.encode(mel)
        return states


class Session:
    """Hears a recording in pieces of 0.1 s, as a device does that has all the time between them."""

    def __init__(
        self,
        model: FinalModel,
        samples: Samples,
        ahead: bool = True,
        most_steps: int = 10_000,
        options: SpeechOptions = ENGLISH,
    ) -> None:
        self.encoder = Encoder(model.encoder)
        self.clip = Clip(samples, 0)
        self.final = FinalPass(replace(model, encoder=cast(FullEncoder, self.encoder)), self.clip, options)
        self.walk = self.final.walk()
        self.ahead = ahead
        self.steps = most_steps
        self.voice = VoiceActivity(0.6)

    def hear(self, until: float | None = None) -> None:
        """Go on up to ``until`` seconds, or to the end of the recording."""
        end = len(self.clip.samples) if until is None else round(until * SAMPLE_RATE)
        with torch.inference_mode():
            while self.clip.length < end:
                begin, self.clip.length = self.clip.length, min(self.clip.length + PIECE, end)
                heard = self.voice.push(self.clip.samples[begin : self.clip.length])
                self.final.timeline.add_boundaries(heard, self.clip.length / SAMPLE_RATE)
                while self.final.ready() and next(self.walk) == "working":
                    pass
                while self.ahead and self.steps and not self.final.ready() and self.final.speculate():
                    self.steps -= 1

    def stop(self) -> tuple[FinalText, int]:
        """The final text, and how many windows were encoded for it after the stop."""
        before = self.encoder.windows
        self.final.timeline.add_boundaries(self.voice.flush(), self.clip.length / SAMPLE_RATE)
        self.final.ended = True
        with torch.inference_mode():
            for _ in self.walk:
                pass
        return self.final.result(), self.encoder.windows - before


@pytest.fixture(scope="module")
def speech(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    """Two sentences and 0.8 s between them."""
    return load_audio(sample_audio / "quickstart.wav")[: round(9.7 * SAMPLE_RATE)]


def room(seconds: float) -> Samples:
    noise: Samples = np.random.default_rng(4).normal(0.0, 0.0005, round(seconds * SAMPLE_RATE)).astype(np.float32)
    return noise


def test_who_falls_silent_and_stops_has_the_text_at_once(final_model: FinalModel, speech: Samples) -> None:
    samples = np.concatenate([speech, room(2.5)])
    waiting, ahead = Session(final_model, samples, ahead=False), Session(final_model, samples)
    waiting.hear()
    ahead.hear()
    assert ahead.final.speculation_complete()
    plain, windows = waiting.stop()
    found, windows_ahead = ahead.stop()
    assert (windows, windows_ahead) == (1, 0)
    assert found == plain
    theirs = whisper.transcribe(final_model.model, samples, word_timestamps=True, fp16=False, language="en")
    assert found.text == theirs["text"]


def test_who_goes_on_after_a_pause_gets_what_a_pass_without_looking_ahead_gives(
    final_model: FinalModel, speech: Samples
) -> None:
    cut = round(BETWEEN_SECONDS * SAMPLE_RATE)
    samples = np.concatenate([speech[:cut], room(2.5), speech[cut:]])
    waiting, ahead = Session(final_model, samples, ahead=False), Session(final_model, samples)
    ahead.hear(BETWEEN_SECONDS + 2.4)
    assert ahead.encoder.windows == 1, "the pause was not used"
    assert ahead.final.speculation_complete()
    ahead.hear(BETWEEN_SECONDS + 2.5 + 2.0)
    assert ahead.final._ahead is None, "what was found is kept when it has no use any more"
    ahead.hear()
    waiting.hear()
    found, windows = ahead.stop()
    assert windows == 1
    assert found == waiting.stop()[0]


def test_a_stop_in_the_middle_of_it_goes_on_from_there(final_model: FinalModel, speech: Samples) -> None:
    samples = np.concatenate([speech, room(1.8)])
    whole, begun = Session(final_model, samples, ahead=False), Session(final_model, samples, most_steps=3)
    whole.hear()
    begun.hear()
    assert begun.encoder.windows == 1
    found, windows = begun.stop()
    assert windows == 0
    assert found == whole.stop()[0]


def test_a_pause_that_becomes_long_is_not_worked_on_twice(final_model: FinalModel, speech: Samples) -> None:
    cut = round(BETWEEN_SECONDS * SAMPLE_RATE)
    samples = np.concatenate([speech[:cut], room(7.0), speech[cut:], room(2.0)])
    waiting, ahead = Session(final_model, samples, ahead=False), Session(final_model, samples)
    waiting.hear()
    ahead.hear()
    assert (waiting.encoder.windows, ahead.encoder.windows) == (1, 2)
    found, windows = ahead.stop()
    assert windows == 0
    assert found == waiting.stop()[0]


def test_while_somebody_speaks_there_is_nothing_to_look_ahead_to(final_model: FinalModel, speech: Samples) -> None:
    session = Session(final_model, speech)
    session.hear(3.0)
    assert session.encoder.windows == 0
    assert not session.final.speculate()
