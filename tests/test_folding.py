"""Words are compared by the letters of their language."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from openmic.folding import fold, fold_letters

TURKISH_CAPITALS = str.maketrans("abcçdefgğhıijklmnoöprsştuüvyz", "ABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZ")
TURKISH_SMALL = {capital: small for small, capital in TURKISH_CAPITALS.items()}


def test_what_sounds_the_same_is_folded_to_the_same() -> None:
    assert fold("Don't") == fold("dont")
    assert fold("CAFÉ") == fold("cafe\N{COMBINING ACUTE ACCENT}")
    assert fold("IŞIK", "tr") == fold("ışık", "tr") != fold("işik", "tr")
    assert fold("İZMİR", "tr") == fold("izmir", "tr")
    assert fold("INPUT") == fold("input")
    assert fold("straße") == fold("STRASSE")
    assert fold("می\N{ZERO WIDTH NON-JOINER}خواهم") == fold("میخواهم")


@given(st.text(alphabet=[chr(code) for code in TURKISH_CAPITALS], max_size=30))
def test_turkish_words_are_the_same_in_capitals_and_no_others(word: str) -> None:
    capitals = word.translate(TURKISH_CAPITALS)
    assert fold(capitals, "tr") == fold(word, "tr") == fold(unicodedata.normalize("NFD", capitals), "tr") == word
    assert fold(word.capitalize() if not word.startswith("i") else "İ" + word[1:], "tr") == word
    dotless = word.translate({ord("i"): "ı"})
    assert (fold(dotless, "tr") == fold(word, "tr")) == ("i" not in word)


@given(st.text(max_size=30), st.sampled_from(["tr", "az", "en", "de", None]))
def test_folding_again_changes_nothing(text: str, language: str | None) -> None:
    assert fold(fold(text, language), language) == fold(text, language)


@given(st.text(max_size=30))
def test_case_does_not_count_in_other_languages(text: str) -> None:
    assert fold(text.swapcase().casefold()) == fold(text.casefold().swapcase())
    assert fold_letters("Is it?") == "isit" != fold_letters("Is it?", "tr")
