"""Our forward pass over openai-whisper's weights, held against openai-whisper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper.tokenizer import get_tokenizer

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.decode import decode
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.mel import log_mel_power_of, normalized
from openmic.speech.model.tokens import Vocabulary
from tests.support.clip import Clip


@pytest.fixture(scope="module")
def samples(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    return load_audio(sample_audio / "quickstart.wav")


@pytest.fixture(scope="module")
def states(base_model: Any, samples: Samples) -> torch.Tensor:
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))
    with torch.inference_mode():
        result: torch.Tensor = base_model.encoder(mel[None])[0]
    return result


def drained(steps: Any) -> Any:
    """Run a generator to its end; its return value."""
    with torch.inference_mode():
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value


def test_logits_equal_whispers_for_rows_of_different_length(base_model: Any, states: torch.Tensor) -> None:
    decoder = Decoder(base_model, "float32")
    rows_tokens = [[50258, 50259, 50359, 50363, 2264], [50258, 50259, 50359]]
    with torch.inference_mode():
        cross = decoder.cross_attention_kv(states)
        rows = [decoder.row(cross), decoder.row(cross)]
        hidden = decoder.forward(rows, rows_tokens)
        more = decoder.forward(rows, [[11], [50363, 2264, 11]])
        for tokens, first, then, extra in zip(rows_tokens, hidden, more, [[11], [50363, 2264, 11]], strict=True):
            expected = base_model.decoder(torch.tensor([tokens + extra]), states[None])[0]
            ours = decoder.logits(torch.cat([first, then]))
            assert torch.allclose(ours, expected, atol=2e-3)


def test_encoder_states_equal_whispers(base_model: Any, samples: Samples, states: torch.Tensor) -> None:
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))
    ours = drained(FullEncoder(base_model, "float32").encode(mel))
    assert ours.shape == states.shape
    assert torch.allclose(ours, states, atol=2e-3)


def test_forgetting_tokens_is_setting_the_length_back(base_model: Any, states: torch.Tensor) -> None:
    decoder = Decoder(base_model, "float32")
    with torch.inference_mode():
        cross = decoder.cross_attention_kv(states)
        row, fresh = decoder.row(cross), decoder.row(cross)
        decoder.forward([row], [[50258, 50259, 50359, 50363, 1, 2, 3]])
        row.length = 4
        again = decoder.forward([row], [[2264]])[0]
        expected = decoder.forward([fresh], [[50258, 50259, 50359, 50363, 2264]])[0][-1:]
    assert torch.allclose(again, expected, atol=0.01)  # other products, other rounding; hidden states are some 10 large


def test_the_likeliest_token_that_may_be_taken_is_chosen(base_model: Any, states: torch.Tensor) -> None:
    decoder = Decoder(base_model, "float32")
    feed = [50258, 50259, 50359]
    with torch.inference_mode():
        rows = [decoder.row(decoder.cross_attention_kv(states[:count])) for count in (1500, 900)]
        decoder.forward(rows, [feed, feed[:2]])
        scores = base_model.decoder(torch.tensor([[*feed, 50363]]), states[None])[0, -1]
        first, second = scores.topk(2).indices.tolist()
        never = torch.tensor([first])
        tokens, logprobs = decoder.choose(rows, [50363, 50359], never)
        scores[never] = -torch.inf
    assert tokens[0] == second
    assert logprobs[0] == pytest.approx(float(scores.log_softmax(dim=-1)[second]), abs=1e-3)
    assert first not in tokens
    assert [row.length for row in rows] == [4, 3]


def test_a_row_that_is_full_is_an_error(base_model: Any, states: torch.Tensor) -> None:
    decoder = Decoder(base_model, "float32")
    with torch.inference_mode(), pytest.raises(ValueError, match="do not fit"):
        decoder.forward([decoder.row(decoder.cross_attention_kv(states), 2)], [[1, 2, 3]])


def test_greedy_decoding_equals_whispers_token_for_token(
    base_model: Any,
    samples: Samples,
    shared_audio: Path | None,
    load_audio: Callable[[Path], Samples],
    sample_audio: Path,
) -> None:
    encoder, decoder = FullEncoder(base_model, "float32"), Decoder(base_model, "float32")
    vocabulary = Vocabulary(base_model)
    windows = [samples, load_audio(sample_audio / "interview.wav")[: 30 * SAMPLE_RATE]]
    if shared_audio:
        windows += [load_audio(path) for path in (shared_audio / "jfk.flac", shared_audio / "librivox" / "0870.wav")]
    for window in windows:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(window))
        theirs = whisper.decode(base_model, mel, whisper.DecodingOptions(language="en", fp16=False))
        cross_states = drained(encoder.encode(mel))
        tokenizer = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
        with torch.inference_mode():
            cross = decoder.cross_attention_kv(cross_states)
        ours = drained(decode(decoder, vocabulary, cross, tokenizer, [], 0.0))
        assert list(ours.tokens) == theirs.tokens
        assert ours.avg_logprob == pytest.approx(theirs.avg_logprob, abs=1e-4)
        assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob, abs=1e-4)


@pytest.mark.parametrize("first", [0, 1, 700])
def test_a_stretch_of_mel_equals_the_whole_files(samples: Samples, first: int) -> None:
    whole = whisper.log_mel_spectrogram(samples, padding=480_000)
    power = log_mel_power_of(Clip(samples), first, 500, 80, torch.device("cpu"))
    loudest = float(log_mel_power_of(Clip(samples), 0, len(samples) // 160, 80, torch.device("cpu")).max())
    assert torch.allclose(normalized(power, loudest), whole[:, first : first + 500], atol=1e-4)


def test_mel_of_a_recording_shorter_than_one_frame() -> None:
    power = log_mel_power_of(Clip(np.zeros(10, np.float32)), 0, 1, 80, torch.device("cpu"))
    assert power.shape == (80, 1)


def test_an_expected_text_changes_nothing_and_saves_passes(base_model: Any, states: torch.Tensor) -> None:
    """Right, wrong and half right: the tokens and their probability are the same, only the passes are fewer."""
    decoder, vocabulary = Decoder(base_model, "float32"), Vocabulary(base_model)
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    with torch.inference_mode():
        cross = decoder.cross_attention_kv(states)

    def run(expected: list[int]) -> tuple[Any, int]:
        passes, steps = 0, decode(decoder, vocabulary, cross, tokenizer, [], 0.0, expected)
        with torch.inference_mode():
            while True:
                try:
                    next(steps)
                    passes += 1
                except StopIteration as end:
                    return end.value, passes

    plain, plain_passes = run([])
    words = [token for token in plain.tokens if token < tokenizer.eot]
    half = [token for i, token in enumerate(words) if i % 9]
    for expected, most in ((words, plain_passes // 3), (half, plain_passes - 5), ([11] * 50, plain_passes)):
        result, passes = run(expected)
        assert result.tokens == plain.tokens
        assert result.avg_logprob == pytest.approx(plain.avg_logprob, abs=1e-4)
        assert passes <= most
