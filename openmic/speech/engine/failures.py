"""A stream on which the model failed ends, and is told so; its neighbours go on."""

from __future__ import annotations

import logging

from openmic.errors import OpenmicError
from openmic.speech.engine.stream import EngineStream
from openmic.speech.problems import PROBLEMS

log = logging.getLogger(__name__)


def fail(stream: EngineStream, error: Exception) -> None:
    """End a stream on which the model failed; its session may be what is at fault, and raise here too."""
    log.exception("the model failed on a stream", exc_info=error)
    if not isinstance(error, OpenmicError):
        error = PROBLEMS.error("engine_failed", detail=type(error).__name__)
    try:
        stream.fail(error)
    except Exception:
        log.exception("a stream that failed could not be told so")
