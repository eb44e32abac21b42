"""One live step with real weights: short windows, drafts, prefixes, languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.hypothesis import Hypothesis, StepCache, StepInput
from openmic.speech.live.language import LanguageEvidence
from openmic.speech.live.policy import CommitPolicy
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.units import STATE_SECONDS
from openmic.speech.model.window_encoder import SETTLED_SECONDS, WindowEncoder, tail_clip


@pytest.fixture(scope="module")
def live(base_model: Any) -> LiveStepDecoder:
    decoder = Decoder(base_model, "float32")
    return LiveStepDecoder(WindowEncoder(base_model, decoder, "float32"), decoder, Vocabulary(base_model))


@pytest.fixture(scope="module")
def samples(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    return load_audio(sample_audio / "quickstart.wav")


def cut(samples: Samples, start: float, end: float, **fields: Any) -> StepInput:
    window = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return StepInput(window, start, fields.pop("language", "en"), "transcribe", **fields)


def text_of(hypothesis: Hypothesis) -> str:
    return "".join(word.text for word in hypothesis.words)


def tokens_of(hypothesis: Hypothesis) -> tuple[int, ...]:
    return tuple(token for word in hypothesis.words for token in word.tokens)


def test_a_short_window_says_what_was_said_and_no_more(
    live: LiveStepDecoder, samples: Samples, word_error_rate: Callable[[str, str], float]
) -> None:
    """Without the silent tail, windows this short make the decoder loop; with its words in it, they leak."""
    first, second = live.step([cut(samples, 0.3, 4.0), cut(samples, 4.2, 9.6)])
    assert word_error_rate("Good morning and thank you for calling the garden library.", text_of(first)) == 0
    reading = "Our reading room is open from Tuesday to Saturday and closes at half past six."
    assert word_error_rate(reading, text_of(second)) < 0.1
    assert not first.looped
    assert not second.looped


@pytest.mark.parametrize("end", [0.9, 1.1, 1.3, 1.6, 2.0])
def test_the_tails_own_words_never_show(live: LiveStepDecoder, samples: Samples, end: float) -> None:
    said = text_of(live.step([cut(samples, 0.4, end)])[0]).lower()
    assert "today" not in said
    assert "that is all" not in said
    assert len(said.split()) <= 5


def test_the_tail_ends_within_two_seconds() -> None:
    assert 0.5 < len(tail_clip()) / SAMPLE_RATE < 2.0


def test_words_have_times_inside_the_window_and_in_order(live: LiveStepDecoder, samples: Samples) -> None:
    words = live.step([cut(samples, 4.2, 9.6)])[0].words
    assert all(4.2 <= word.start <= word.end <= 10.2 for word in words)
    assert all(before.end <= after.start for before, after in pairwise(words))
    saturday = next(word for word in words if "Saturday" in word.text)
    assert 6.4 < saturday.start < 7.6
    assert 0 < saturday.probability <= 1


def test_a_draft_changes_nothing(live: LiveStepDecoder, samples: Samples) -> None:
    plain = live.step([cut(samples, 0.3, 4.0)])[0]
    right = tokens_of(plain)
    half = (*right[:4], 1234, *right[5:])
    for draft in (right, half, right[:2], right + right):
        assert tokens_of(live.step([cut(samples, 0.3, 4.0, draft=draft)])[0]) == right


def test_a_prefix_is_not_said_again(live: LiveStepDecoder, samples: Samples) -> None:
    plain = live.step([cut(samples, 0.3, 4.0)])[0]
    prefix = tuple(token for word in plain.words[:3] for token in word.tokens)
    rest = live.step([cut(samples, 0.3, 4.0, prefix=prefix)])[0]
    assert text_of(rest).split() == text_of(plain).split()[3:]


def test_rows_of_a_batch_do_not_touch_each_other(live: LiveStepDecoder, samples: Samples) -> None:
    one, other = cut(samples, 0.3, 4.0), cut(samples, 4.2, 9.6, language=None)
    together = live.step([one, other, one])
    assert tokens_of(together[0]) == tokens_of(together[2]) == tokens_of(live.step([one])[0])
    assert tokens_of(together[1]) == tokens_of(live.step([other])[0])
    assert together[1].language == "en"


def test_a_growing_window_says_what_one_that_is_worked_out_at_once_says(
    live: LiveStepDecoder, samples: Samples
) -> None:
    memory = StepCache()
    draft: tuple[int, ...] = ()
    for end in np.arange(5.0, 9.7, 0.4):
        request = cut(samples, 4.2, end, draft=draft, memory=memory)
        growing = live.step([request])[0]
        draft = tokens_of(growing)
    assert text_of(growing) == text_of(live.step([cut(samples, 4.2, end)])[0])
    assert memory.settled.states == int((len(request.samples) / SAMPLE_RATE - SETTLED_SECONDS) / STATE_SECONDS)


def test_a_window_elsewhere_owes_nothing_to_the_one_before(live: LiveStepDecoder, samples: Samples) -> None:
    memory = StepCache()
    for end in (2.5, 3.0, 3.5, 4.0):
        live.step([cut(samples, 0.3, end, memory=memory)])
    memory.clear()
    new, fresh = live.step([cut(samples, 4.2, 9.6, memory=memory), cut(samples, 4.2, 9.6)])
    assert tokens_of(new) == tokens_of(fresh)


def test_settled_frames_are_not_worked_out_again(base_model: Any, samples: Samples) -> None:
    decoder = Decoder(base_model, "float32")
    encoder = WindowEncoder(base_model, decoder, "float32")
    settled = EncoderCache()
    first = encoder.window(samples[: 4 * SAMPLE_RATE], settled)
    kept = settled.states
    second = encoder.window(samples[: 5 * SAMPLE_RATE], settled)
    at_once = encoder.window(samples[: 5 * SAMPLE_RATE])
    assert kept == round((4 - SETTLED_SECONDS) / STATE_SECONDS)
    assert second.states == at_once.states
    for then, now, fresh in zip(first.cross.values, second.cross.values, at_once.cross.values, strict=True):
        assert (then[:, :kept] == now[:, :kept]).all()
        alike = np.corrcoef(now[:, : second.states].flatten(), fresh[:, : second.states].flatten())[0, 1]
        assert 0.95 < alike < 1


@pytest.fixture(scope="module")
def german(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    return load_audio(sample_audio / "german.ogg")


def evidence_of(live: LiveStepDecoder, *windows: StepInput) -> LanguageEvidence:
    """What is known of the language after some windows, each heard once."""
    languages = LanguageEvidence()
    for window in windows:
        live.step([replace(window, language=None, languages=languages)])
        languages.begin_window()
    return languages


def test_another_language_takes_over_and_leaves_the_context(
    live: LiveStepDecoder, samples: Samples, german: Samples
) -> None:
    said = tuple(token for word in live.step([cut(samples, 0.3, 4.0)])[0].words for token in word.tokens)

    def known() -> LanguageEvidence:
        return evidence_of(live, cut(samples, 0.3, 4.0))

    other, told, same = live.step(
        [
            cut(german, 0.0, 4.0, language=None, context=said, context_language="en", languages=known()),
            cut(german, 0.0, 4.0, context=said),
            cut(samples, 4.2, 9.6, language=None, context=said, context_language="en", languages=known()),
        ]
    )
    assert other.language == "de"
    assert told.language == same.language == "en"
    assert tokens_of(other) == tokens_of(live.step([cut(german, 0.0, 4.0, language="de")])[0])


def test_half_a_second_is_in_the_language_of_what_was_said_before(live: LiveStepDecoder, german: Samples) -> None:
    beginnings = [cut(german, at, at + 0.5, language=None) for at in np.arange(0.0, 20.0, 1.3)]
    alone = {live.step([window])[0].language for window in beginnings}
    assert alone > {"de"}
    known = evidence_of(live, cut(german, 0.0, 4.0))
    for window in beginnings:
        assert live.step([replace(window, languages=known)])[0].language == "de"


def test_a_change_of_language_is_followed_within_two_seconds(
    live: LiveStepDecoder, samples: Samples, german: Samples
) -> None:
    for before, now, at, language in ((german, samples, 0.3, "en"), (samples, german, 0.3, "de")):
        languages = evidence_of(live, *(cut(before, begin, begin + 2.0) for begin in (0.0, 4.0, 6.0)))
        memory = StepCache()
        heard = [
            live.step([cut(now, at, at + seconds, language=None, languages=languages, memory=memory)])[0].language
            for seconds in (0.5, 1.0, 1.5, 2.0)
        ]
        assert heard[-1] == language, heard


def test_a_window_is_asked_for_its_language_until_it_is_long_enough(live: LiveStepDecoder, german: Samples) -> None:
    memory, languages = StepCache(), LanguageEvidence()
    for end in (0.8, 3.2):
        assert not memory.language_known
        live.step([cut(german, 0.0, end, language=None, languages=languages, memory=memory)])
    assert memory.language_known
    languages.place = 0  # as if it had been another
    again = live.step([cut(german, 0.0, 3.6, language=None, languages=languages, memory=memory)])[0]
    assert again.language != "de"


@pytest.mark.parametrize("loudness", [0.005, 0.1])
def test_what_is_heard_in_noise_is_not_believed(live: LiveStepDecoder, loudness: float) -> None:
    """Should voice activity ever take noise for speech."""
    noise = np.random.default_rng(0).normal(0, loudness, 3 * SAMPLE_RATE).astype(np.float32)
    hypothesis = live.step([StepInput(noise, 0.0, "en", "transcribe")])[0]
    assert CommitPolicy().update(hypothesis, len(noise), True).committed == ()


def test_a_window_beyond_the_models_context_is_an_error(base_model: Any) -> None:
    decoder = Decoder(base_model, "float32")
    encoder = WindowEncoder(base_model, decoder, "float32")
    with pytest.raises(ValueError, match="does not fit"):
        encoder.window(np.zeros(30 * SAMPLE_RATE, np.float32))


def test_half_precision_hears_the_same(base_model: Any, samples: Samples) -> None:
    """What a GPU runs, on the processor: every product and state in float16."""
    decoder = Decoder(base_model, "float16")
    half = LiveStepDecoder(WindowEncoder(base_model, decoder, "float16"), decoder, Vocabulary(base_model))
    said = text_of(half.step([cut(samples, 0.3, 4.0, language=None)])[0])
    assert said.strip().rstrip(".").lower() == "good morning and thank you for calling the garden library"


def test_a_language_token_is_never_said(
    live: LiveStepDecoder, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    """German told to be Turkish: this window's likeliest word once was ``<|tr|>``, and was committed."""
    german = load_audio(sample_audio / "german.ogg")
    found = live.step([cut(german, 406_056 / SAMPLE_RATE, 406_056 / SAMPLE_RATE + 1.2, language="tr")])[0]
    assert found.words
    assert "<|" not in text_of(found)
