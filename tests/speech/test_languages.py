from __future__ import annotations

import pytest

from openmic.errors import OpenmicError
from openmic.speech.languages import CODES, LANGUAGES, OWN_NAMES, language_code, language_name


def test_codes_have_the_names_that_whisper_gives_them() -> None:
    assert [language_name(code) for code in ("en", "tr", "yue", "")] == ["english", "turkish", "cantonese", ""]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        *[(code, code) for code in ("en", "tr", "yue", "haw")],
        *[("en-US", "en"), ("EN", "en"), ("pt_BR", "pt"), ("zh-Hans", "zh"), ("zh-Hant-TW", "zh"), ("zh-yue", "yue")],
        *[("English", "english"[:2]), ("turkish", "tr"), ("castilian", "es"), ("nb-NO", "no"), ("fil", "tl")],
        *[("Türkçe", "tr"), ("TÜRKÇE", "tr"), ("Deutsch", "de"), ("español", "es"), ("日本語", "ja"), ("Česky", "cs")],
        *[("tr-TR", "tr"), ("iw", "he"), ("jv", "jw"), ("Kiswahili", "sw"), ("te reo Māori", "mi"), ("العربية", "ar")],
        *[(word, None) for word in (None, "", " ", "auto", "multi", "MULTI")],
    ],
)
def test_a_language_is_known_however_it_is_written(written: str | None, code: str | None) -> None:
    assert language_code(written) == code


def test_every_language_has_a_name_of_its_own() -> None:
    entries = [entry.split() for entry in OWN_NAMES.split("|")]
    assert [code for code, *names in entries if names] == sorted(LANGUAGES)
    for code, *names in entries:
        assert {language_code(name.replace("_", " ")) for name in names} == {code}


@pytest.mark.parametrize("written", ["xx", "klingon", "us-en", "en US", "-"])
def test_what_is_no_language_is_refused_by_its_own_name(written: str) -> None:
    with pytest.raises(OpenmicError, match=written) as refused:
        language_code(written)
    assert refused.value.code == "unknown_language"


def test_the_table_is_whispers() -> None:
    from whisper import tokenizer

    assert tokenizer.LANGUAGES == LANGUAGES
    assert tokenizer.TO_LANGUAGE_CODE == CODES
