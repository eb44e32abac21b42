"""What a person leaves empty is the default, never a value."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.corpus.recordings import shared_folder
from openmic.service.arguments import make_settings
from openmic.settings import Settings
from openmic_setup import environment, place


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


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_argument_is_the_default(name: str) -> None:
    """As a notebook's form gives it for a field that is left empty."""
    default = getattr(make_settings(), name)
    empty: dict[str, Any] = {name: ""}
    assert getattr(make_settings(**empty), name) == default
    assert getattr(Settings(**empty), name) == default


def test_an_empty_argument_leaves_the_variable_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMIC_LANGUAGE", "tr")
    assert make_settings(language="").language == "tr"
    assert Settings(language="").language == "tr"


def test_an_empty_variable_of_the_set_up_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read before anything is installed, and so not by ``Settings``."""
    for variable in ("OPENMIC_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    usual = place.cache_dir()
    for variable in ("OPENMIC_CACHE_DIR", "XDG_CACHE_HOME", environment.LOCK_VARIABLE):
        monkeypatch.setenv(variable, "")
    assert place.cache_dir() == usual
    environment.finish()  # holds no lock
    monkeypatch.setenv("OPENMIC_SHARED_AUDIO", "")
    beside = shared_folder()
    monkeypatch.delenv("OPENMIC_SHARED_AUDIO")
    assert beside == shared_folder()


def test_threads_wait_as_they_should_where_the_variable_is_empty() -> None:
    code = "import os, openmic.speech; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_WAIT_POLICY": ""}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "PASSIVE"
