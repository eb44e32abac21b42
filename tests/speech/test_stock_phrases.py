"""What Whisper writes for coughs and breath is not written; who says the same words is heard."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hibari import Hibari

from benchmarks.corpus.sounds import SOUNDS
from benchmarks.corpus.terms import spoken
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.languages import LANGUAGES
from openmic.speech.stock_phrases import STOCK_PHRASES, is_invented, is_stock
from openmic.speech.types import SpeechOptions
from tests.support.heard import heard

SAID = ("Thank you.", "Thank you very much.", "Good night.", "Thanks for watching.", "Bye-bye.")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (" Thank you.", "en"),
        (" thank you", "de"),  # English ones turn up in every language
        (" Thank you. Thank you.", "en"),
        (" Bye." * 400, "en"),
        (" Altyazı M.K.", "tr"),
        (" ALTYAZI M.K.", "tr"),
        (" İzlediğiniz için teşekkür ederim.", "tr"),
        (" Untertitel der Amara.org-Community", "de"),
        (" ¡Gracias por ver el video!", "es"),
        (" Продолжение следует...", "ru"),
        (" B-b-b-B", "en"),
        ("ご視聴ありがとうございました", "ja"),
    ],
)
def test_they_are_known_however_they_are_written(text: str, language: str) -> None:
    assert is_stock(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        (" ...", "en"),
        (" Thank you for calling.", "en"),
        (" I said thank you.", "en"),
        (" I", "en"),
        (" Good", "en"),
        (" Thanks for", "en"),
        (" 0-0-0", "en"),
        ("对对对", "zh"),
        (" Bye." * 400 + " Anna.", "en"),
        (" Altyazı M.K.", "en"),
    ],
)
def test_what_says_more_is_none(text: str, language: str) -> None:
    assert not is_stock(text, language)


@pytest.mark.parametrize(
    ("text", "is_beginning"), [(" Thanks for", True), (" Thank you. Thanks for", True), (" I", False)]
)
def test_of_a_text_that_grows_the_beginning_of_a_phrase_is_known(text: str, is_beginning: bool) -> None:
    assert is_stock(text, "en", grows=True) == is_beginning
    assert not is_stock(text, "en")


def test_a_language_that_is_not_known_has_the_english_ones() -> None:
    assert is_stock(" Thank you.", None)
    assert not is_stock(" Danke.", None)


def test_only_what_the_model_did_not_hear_begin_is_invented() -> None:
    assert is_invented(" Thank you.", 0.06, "en")
    assert not is_invented(" Thank you.", 0.7, "en")
    assert not is_invented(" We are", 0.06, "en")


def test_each_language_of_the_table_is_one_of_whispers() -> None:
    assert set(STOCK_PHRASES) <= set(LANGUAGES)
    for language, phrases in STOCK_PHRASES.items():
        assert all(is_stock(phrase, language) for phrase in phrases)


@pytest.fixture(scope="module")
def said() -> Samples:
    """Each phrase of ``SAID``, with silence around it: an utterance of its own."""
    voice, pause = Hibari(), np.zeros(2 * SAMPLE_RATE, np.float32)
    pieces = [pause]
    for place, phrase in enumerate(SAID):
        pieces += [0.6 * spoken(voice, phrase, place), pause]
    sound = np.concatenate(pieces)
    return (sound + np.random.default_rng(0).normal(0, 0.0003, len(sound))).astype(np.float32)


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", None])
def test_who_says_them_is_heard(engine_parts: Any, said: Samples, language: str | None) -> None:
    live, final = heard(engine_parts[0], said, SpeechOptions(language))
    for text in (live, final):
        assert re.findall(r"\w+", text.lower()) == re.findall(r"\w+", " ".join(SAID).lower())


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("sound", ["coughs", "breath"])
@pytest.mark.parametrize("language", ["en", "tr", "de"])
def test_nobody_who_coughs_or_breathes_says_them(engine_parts: Any, sound: str, language: str) -> None:
    assert heard(engine_parts[0], SOUNDS[sound](12.0), SpeechOptions(language)) == ("", "")
