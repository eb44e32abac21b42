"""Keep secrets out of what other programs say.

The agent repeats the authtoken in its own error texts, and pyngrok passes those on to Python's logging.
"""

from __future__ import annotations

import logging
import re
import threading

from pydantic import SecretStr

HIDDEN = "[hidden]"
PYNGROK_LOGGERS = ("pyngrok", "pyngrok.ngrok", "pyngrok.process", "pyngrok.process.ngrok", "pyngrok.installer")

_NAMED = re.compile(r"(auth_?token\"?\s*[:=]\s*\"?)[^\s\"\\,}]+", re.IGNORECASE)
_LINE_ENDS = re.compile(r"(?:\\r|\\n|\s)+")  # the agent writes them as a backslash and a letter
_SHORTEST = 4  # characters; no authtoken is that short, and hiding "a" would leave no readable text
_LONGEST = 300  # characters of foreign text shown to a person

_lock = threading.Lock()
_secrets: dict[str, SecretStr] = {}


def hide(secret: SecretStr) -> None:
    """From now on, let ``secret`` through neither ``redact`` nor pyngrok's loggers."""
    text = secret.get_secret_value()
    if len(text) < _SHORTEST:
        return
    with _lock:
        _secrets[text] = secret
    for name in PYNGROK_LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # adding it again changes nothing


def redact(text: str) -> str:
    """``text`` without the secrets known here and without anything that is called an authtoken."""
    with _lock:
        known = sorted(_secrets, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, HIDDEN)
    return _NAMED.sub(rf"\g<1>{HIDDEN}", text)


def quote(text: str) -> str:
    """``text`` made fit to be quoted in a sentence: redacted, on one line, not too long, with a full stop."""
    line = _LINE_ENDS.sub(" ", redact(text)).strip()
    if not line:
        return "(nothing)."
    if len(line) > _LONGEST:
        return line[: _LONGEST - 1].rstrip() + "…"
    return line if line.endswith((".", "!", "?")) else f"{line}."


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_FILTER = _Redacting()
# Without a handler of its own, logging would print the agent's errors beside the ones that are written for a person.
logging.getLogger("pyngrok").addHandler(logging.NullHandler())
