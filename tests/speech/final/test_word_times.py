"""The times of ``whisper.transcribe``, without a change to what other users of openai-whisper get."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper.timing
from whisper.audio import HOP_LENGTH, N_FRAMES, log_mel_spectrogram, pad_or_trim
from whisper.tokenizer import get_tokenizer

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.word_times import reference_word_times
from openmic.speech.model.decoder import Decoder


def test_openai_whisper_stays_as_it_is() -> None:
    for name in ("median_filter", "dtw", "find_alignment", "add_word_timestamps"):
        assert getattr(whisper.timing, name).__module__ == "whisper.timing"
        assert getattr(whisper.timing, name).__globals__["median_filter"] is whisper.timing.median_filter


@pytest.mark.weights
@torch.inference_mode()
def test_the_same_as_add_word_timestamps(
    base_model: Any, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    tokenizer = get_tokenizer(True, num_languages=base_model.num_languages, language="en", task="transcribe")
    samples = load_audio(sample_audio / "quickstart.wav")[: 20 * SAMPLE_RATE]
    mel_frames = len(samples) // HOP_LENGTH
    mel = pad_or_trim(log_mel_spectrogram(samples), N_FRAMES)
    words = (sample_audio / "quickstart.txt").read_text(encoding="utf-8").split()[:30]
    segments = [
        {"seek": 0, "start": start, "end": start + 5.0, "tokens": tokenizer.encode(" " + " ".join(part))}
        for start, part in ((0.0, words[:15]), (5.0, words[15:]))
    ]
    expected = copy.deepcopy(segments)
    whisper.timing.add_word_timestamps(
        segments=expected,
        model=base_model,
        tokenizer=tokenizer,
        mel=mel,
        num_frames=mel_frames,
        last_speech_timestamp=0.0,
    )
    decoder = Decoder(base_model, "float32")
    cross = decoder.cross_attention_kv(base_model.encoder(mel[None])[0])
    found = reference_word_times(segments, base_model, decoder, cross, tokenizer, mel_frames, 0.0)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours["start"], ours["end"]) == (theirs["start"], theirs["end"])
        assert [(w["word"], w["start"], w["end"]) for w in ours["words"]] == [
            (w["word"], w["start"], w["end"]) for w in theirs["words"]
        ]
    assert "words" not in segments[0], "what was given stays as it was"
