from __future__ import annotations

from openmic.speech.languages import language_name


def test_codes_have_the_names_that_whisper_gives_them() -> None:
    assert [language_name(code) for code in ("en", "tr", "yue", "")] == ["english", "turkish", "cantonese", ""]
