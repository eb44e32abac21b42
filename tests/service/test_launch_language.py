"""The language of those who name none is looked at when the service starts, not when the first of them speaks."""

from __future__ import annotations

import pytest

from openmic.errors import OpenmicError
from openmic.service.arguments import make_settings


@pytest.mark.parametrize(
    ("named", "code"),
    [
        *(("tr", "tr"), ("TR", "tr"), ("Turkish", "tr"), ("türkçe", "tr"), ("TÜRKÇE", "tr"), (" English ", "en")),
        *(("ITALIANO", "it"), ("Mandarin", "zh"), ("日本語", "ja"), ("auto", None), ("", None)),
    ],
)
def test_a_language_is_known_by_code_and_by_name(named: str, code: str | None) -> None:
    assert make_settings(language=named).language == code


def test_an_unknown_language_is_told_at_the_start() -> None:
    with pytest.raises(OpenmicError) as caught:
        make_settings(language="Klingon")
    assert caught.value.code == "unknown_language"
    assert "Klingon" in caught.value.what


def test_an_english_model_takes_english_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_settings(model="base.en", language="English").language == "en"
    monkeypatch.setenv("OPENMIC_LANGUAGE", "Türkçe")
    with pytest.raises(OpenmicError) as caught:
        make_settings(model="base.en")
    assert caught.value.code == "english_model"
