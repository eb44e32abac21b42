"""Secrets do not get through."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

from openmic.tunnels.redaction import PYNGROK_LOGGERS, hide, quote, redact

SECRET = "2hiddenInThisTest_4711"


@pytest.fixture(autouse=True)
def hidden() -> None:
    hide(SecretStr(SECRET))
    hide(SecretStr(SECRET))


@pytest.mark.parametrize(
    "text", [SECRET, f"a{SECRET}b", f'{{"authtoken":"{SECRET}"}}', f"Your authtoken: {SECRET}\\nnext", f"x\n{SECRET}\n"]
)
def test_a_known_secret_is_hidden_wherever_it_stands(text: str) -> None:
    assert SECRET not in redact(text)
    assert "[hidden]" in redact(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Your authtoken: 2unknown_x\\nInstructions", "Your authtoken: [hidden]\\nInstructions"),
        ("NGROK_AUTHTOKEN=2unknown_x and", "NGROK_AUTHTOKEN=[hidden] and"),
        ('{"authtoken": "2unknown_x", "b": 1}', '{"authtoken": "[hidden]", "b": 1}'),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_an_unknown_one_is_hidden_where_it_is_called_by_name(text: str, left: str) -> None:
    assert redact(text) == left


def test_a_too_short_secret_does_not_eat_the_text() -> None:
    hide(SecretStr("a"))
    hide(SecretStr(""))
    assert redact("banana") == "banana"


def test_a_quotation_is_one_short_line() -> None:
    assert quote("failed: because\\r\\n\\r\\nERR_NGROK_1\\r\\n") == "failed: because ERR_NGROK_1."
    assert quote("  \\n ") == "(nothing)."
    assert quote("Why?") == "Why?"
    assert len(quote("word " * 500)) <= 300


@pytest.mark.parametrize("name", PYNGROK_LOGGERS)
def test_pyngroks_loggers_hide_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger(name).error("said %s", SECRET)
    assert "said [hidden]" in caplog.text
    assert SECRET not in caplog.text


def test_pyngroks_logger_does_not_fall_back_to_stderr() -> None:
    # logging prints warnings of loggers without any handler; a listener of the person's own still gets them.
    handlers = logging.getLogger("pyngrok").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
    assert all(logging.getLogger(name).propagate for name in PYNGROK_LOGGERS)
