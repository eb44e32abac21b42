"""The log: one JSON line per event, with the session it is about and numbers, never a word of anybody.

Every event has a name from ``EVENTS``; docs/operations.md says of each what it means and what to do about it. Lines of
other libraries appear as the event ``note``. Words are written only while ``show_words`` is on (a setting).
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

from openmic.ownership import make_private_folder

FILE_BYTES = 2_000_000  # then the next file is begun
FILES = 5  # kept beside the one that is written
LOGGERS = ("openmic", "uvicorn")

EVENTS = frozenset(
    {
        "service_started",
        "service_stopping",
        "service_stopped",
        "service_fault",
        "service_recovered",
        "token_made",
        "token_revoked",
        "address_blocked",
        "connection_refused",
        "descriptors_short",
        "engine_overloaded",
        "engine_recovered",
        "request_refused",
        "stream_attached",
        "stream_detached",
        "decoder_unlimited",
        "session_opened",
        "session_finishing",
        "session_ended",
        "session_deleted",
        "session_taken_up",
        "session_left_alone",
        "session_not_asked_for",
        "session_fault",
        "tunnel_opened",
        "tunnel_lost",
        "tunnel_not_reopened",
        "note",
    }
)

_show_words = False


def log_event(
    logger: logging.Logger, event: str, level: int = logging.INFO, *, words: str | None = None, **fields: Any
) -> None:
    """Log one event.

    Args:
        logger: the module's own.
        event: one of ``EVENTS``.
        level: of ``logging``; from ERROR on inside an ``except`` block, the traceback goes with it.
        words: what somebody said; dropped here unless the setting ``log_words`` is on.
        fields: numbers, codes and ids; never a secret.

    Raises:
        ValueError: there is no such event.
    """
    if event not in EVENTS:
        raise ValueError(f"{event} is not in openmic.log.EVENTS")
    if not logger.isEnabledFor(level):
        return
    if words is not None and _show_words:
        fields["words"] = words
    failing = level >= logging.ERROR and sys.exc_info()[0] is not None
    text = " ".join([event, *(f"{name}={value}" for name, value in fields.items() if name != "words")])
    logger.log(level, text.replace("%", "%%"), exc_info=failing, extra={"openmic_event": (event, fields)}, stacklevel=2)


class JsonLines(logging.Formatter):
    """Each record as one line of JSON: ``time`` (UTC), ``level``, ``event``, then the event's own fields.

    Args:
        redact: takes known secrets out of text; a belt beside the braces.
    """

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event, fields = getattr(record, "openmic_event", ("note", None))
        if fields is None:
            fields = {"logger": record.name, "message": record.getMessage()}
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": event,
            **{name: value for name, value in fields.items() if value is not None},
        }
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return self._redact(json.dumps(line, ensure_ascii=False, default=str))


class PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """Each file that it begins can be read by its owner alone."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return TextIOWrapper(open(os.open(self.baseFilename, flags, 0o600), "ab"), self.encoding, self.errors)


class Log:
    """The log of one service while it is open; ``with`` closes it.

    Args:
        to: ``file`` (``openmic.jsonl`` in ``folder``, a new one at ``FILE_BYTES``), ``stderr`` or ``none``.
        folder: of the file; made if it is not there. Where it cannot be written, stderr is used.
        words: whether events may hold what people said.
        redact: takes known secrets out of text.
    """

    def __init__(self, to: str, folder: Path, *, words: bool = False, redact: Callable[[str], str] = str) -> None:
        global _show_words
        self.path: Path | None = None
        self._handler = self._open(to, folder)
        if self._handler is None:
            return
        self._handler.setFormatter(JsonLines(redact))
        self._levels = {name: logging.getLogger(name).level for name in LOGGERS}
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
        logging.getLogger("openmic").setLevel(logging.INFO)
        _show_words = words

    def _open(self, to: str, folder: Path) -> logging.Handler | None:
        if to == "none":
            return None
        if to == "file":
            try:
                make_private_folder(folder)
                path = folder / "openmic.jsonl"
                handler = PrivateFileHandler(path, "a", FILE_BYTES, FILES, encoding="utf-8")
            except OSError:
                return logging.StreamHandler(sys.stderr)
            self.path = path
            return handler
        return logging.StreamHandler(sys.stderr)

    def close(self) -> None:
        """Write no more; again: nothing."""
        global _show_words
        if self._handler is None:
            return
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)
        logging.getLogger("openmic").setLevel(self._levels["openmic"])
        self._handler.close()
        self._handler = None
        _show_words = False

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
