"""What a person leaves empty is the default, never a value."""

from __future__ import annotations

import pytest

from openmic.settings import Settings


def variables(name: str) -> list[str]:
    """The environment variables that a setting reads."""
    alias = Settings.model_fields[name].validation_alias
    choices = getattr(alias, "choices", [alias] if alias else [])
    return [str(choice) for choice in choices if str(choice).isupper()] or [f"OPENMIC_{name.upper()}"]


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in variables(name):
        monkeypatch.delenv(variable, raising=False)
    default = getattr(Settings(), name)
    for variable in variables(name):
        monkeypatch.setenv(variable, "")
    assert getattr(Settings(), name) == default


def test_a_variable_that_says_something_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMIC_HOST", "::1")
    assert Settings().host == "::1"


def test_an_empty_language_is_to_be_detected() -> None:
    assert Settings(language="").language is None
