"""A final pass that another process began is taken up behind its last window, and says what it would have said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.final.walk_state import WalkState
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.types import FinalText, FinalWindow, SpeechOptions
from tests.speech.final.test_speculation import Encoder
from tests.support.clip import Clip

SILENCE_SECONDS = 9.0
ENGLISH = SpeechOptions("en")


def walk(
    model: FinalModel,
    samples: Samples,
    piece_seconds: float,
    before: Sequence[FinalWindow] = (),
    options: SpeechOptions = ENGLISH,
) -> tuple[FinalText, list[FinalWindow], int]:
    """Hear and walk a recording piece by piece, as a session does; gives the text, what was told, and the windows."""
    encoder, clip, told = Encoder(model.encoder), Clip(samples, 0), list[FinalWindow]()
    final = FinalPass(replace(model, encoder=cast(FullEncoder, encoder)), clip, options)
    final.state = WalkState.after(before, model.name)
    steps, voice, windows = final.walk(), VoiceActivity(0.6), 0

    def go_on(until: str | None) -> None:
        nonlocal windows
        for pause in steps:
            if final.state.windows != windows:
                windows = final.state.windows
                segments = sum(len(one.segments) for one in (*before, *told))
                told.append(final.state.since(segments, model.name))
            if pause == until:
                return

    with torch.inference_mode():
        while clip.length < len(samples):
            begin, clip.length = clip.length, min(clip.length + round(piece_seconds * SAMPLE_RATE), len(samples))
            final.timeline.add_boundaries(voice.push(samples[begin : clip.length]), clip.length / SAMPLE_RATE)
            go_on("waiting")
        final.timeline.add_boundaries(voice.flush(), clip.length / SAMPLE_RATE)
        final.ended = True
        go_on(None)
    return final.result(), told, encoder.windows


def written_down(windows: Sequence[FinalWindow]) -> list[FinalWindow]:
    """As a journal has them."""
    adapter = TypeAdapter(FinalWindow)
    return [adapter.validate_python(json.loads(json.dumps(asdict(window)))) for window in windows]


@pytest.mark.slow
def test_only_what_is_left_is_decoded_and_the_text_is_the_same(
    final_model: FinalModel, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    speech = load_audio(sample_audio / "interview.wav")
    pause = np.zeros(round(SILENCE_SECONDS * SAMPLE_RATE), np.float32)
    samples = np.concatenate([pause, speech[: 40 * SAMPLE_RATE], pause, speech[40 * SAMPLE_RATE :]])
    whole, told, windows = walk(final_model, samples, 0.5)
    told = written_down(told)
    assert len(told) >= 3
    for known, piece_seconds in ((1, 7.0), (len(told) - 1, 0.5)):  # heard again as fast as it can be, or slower
        again, later, decoded = walk(final_model, samples, piece_seconds, told[:known])
        assert again == whole
        assert decoded == windows - known
        assert [one.segments for one in written_down(later)] == [one.segments for one in told[known:]]


def test_what_another_model_has_walked_counts_for_nothing() -> None:
    first = FinalWindow("base", (), 0, 3000, "en", "en", (1, 2), 0.5, 29.0, 29.0, False)
    second = replace(first, model="tiny", seek=2800)
    assert WalkState.after([first, second], "tiny").seek == 2800
    assert WalkState.after([first, second], "base").seek == 3000
    assert WalkState.after([first, second], "turbo") == WalkState()
    missing = replace(first, segments_before=4, seek=6000)  # a record between them is not there
    assert WalkState.after([first, missing], "base").seek == 3000
