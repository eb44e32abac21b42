"""Turn what the agent, its API and pyngrok say into a row of the problem table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyngrok.exception import PyngrokNgrokError, PyngrokNgrokHTTPError, PyngrokNgrokURLError
from pyngrok.log import NgrokLog

from openmic.errors import OpenmicError
from openmic.tunnels.problems import NGROK_CODES, PROBLEMS
from openmic.tunnels.redaction import quote

_CODE = re.compile(r"ERR_NGROK_(\d+)")
_NO_NETWORK = re.compile(
    r"no such host|network is unreachable|connection refused|i/o timeout|dial tcp|no route to host|TLS handshake",
    re.IGNORECASE,
)
_DETAIL = re.compile(r'"(?:err|msg)"\s*:\s*"((?:[^"\\]|\\.)*)"')


def explain(
    error: Exception,
    program: Path,
    stderr: str = "",
    log: Sequence[NgrokLog] = (),
    timed_out: bool = False,
    seconds: float = 0.0,
) -> OpenmicError:
    """The problem behind ``error``.

    Args:
        error: what pyngrok raised, or the system underneath it.
        program: the agent.
        stderr: what the agent wrote there.
        log: what the agent logged while it started.
        timed_out: whether it was ended because it took too long.
        seconds: how long it was given.
    """
    if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
        return PROBLEMS.error("agent_not_executable", program=program, detail=error.strerror or type(error).__name__)
    texts = [text for text in _texts(error, stderr, log) if text]
    for text in texts:
        if match := _CODE.search(text):
            return explain_code(int(match[1]), text, program)
    if found := next((text for text in texts if _NO_NETWORK.search(text)), None):
        return PROBLEMS.error("ngrok_unreachable", detail=quote(found).rstrip("."))
    if timed_out and any("tunnel session started" in (line.msg or "") for line in log):
        # It is connected, and only its API does not answer as today's does.
        return PROBLEMS.error("agent_too_old", program=program)
    timed_out = timed_out or (isinstance(error, PyngrokNgrokURLError) and "timed out" in str(error.reason))
    if timed_out:
        return PROBLEMS.error("agent_start_timeout", seconds=round(seconds))
    if isinstance(error, PyngrokNgrokHTTPError):
        return PROBLEMS.error("ngrok_other", number=f"HTTP {error.status_code}", detail=quote(_detail(error.body)))
    return PROBLEMS.error("agent_died", detail=quote(next(iter(texts), "")))


def explain_code(number: int, text: str, program: Path | str = "ngrok") -> OpenmicError:
    """The problem behind ``ERR_NGROK_number``, whose text is shown only where the table has no row for it."""
    if number in NGROK_CODES:
        return PROBLEMS.error(NGROK_CODES[number], program=program)
    return PROBLEMS.error("ngrok_other", number=f"ERR_NGROK_{number}", detail=quote(_detail(text)))


def _texts(error: Exception, stderr: str, log: Sequence[NgrokLog]) -> Iterable[str]:
    if isinstance(error, PyngrokNgrokHTTPError):
        yield error.body
    if isinstance(error, PyngrokNgrokError):
        yield error.ngrok_error or ""
    for line in reversed(log):
        yield line.err if line.err and line.err != "<nil>" else ""
    yield stderr


def _detail(text: str) -> str:
    """The innermost message of the API's JSON, or the text as it is."""
    found = _DETAIL.findall(text)
    return found[-1].replace('\\"', '"') if found else text
