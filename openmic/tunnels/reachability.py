"""Look at the public URL as a visitor would."""

from __future__ import annotations

import re

import httpx

from openmic.errors import OpenmicError
from openmic.tunnels.ngrok_errors import explain_code
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.types import Tunnel

SECONDS = 10.0

_CODE = re.compile(r"ERR_NGROK_(\d+)")


def problem_from_outside(tunnel: Tunnel) -> OpenmicError | None:
    """Ask the public URL for ``/healthz`` once; what a visitor would stumble over, or None if it answers.

    This goes out to the internet and back and counts as one request of ngrok's month: call it when somebody asks, not
    in a loop.
    """
    try:
        headers = {"ngrok-skip-browser-warning": "1"}
        answer = httpx.get(f"{tunnel.public_url}/healthz", timeout=SECONDS, headers=headers)
    except httpx.HTTPError as error:
        return PROBLEMS.error("not_reachable_from_here", detail=type(error).__name__)
    named = answer.headers.get("Ngrok-Error-Code", "")
    if match := _CODE.search(named) or (_CODE.search(answer.text) if answer.status_code >= 400 else None):
        return explain_code(int(match[1]), f"HTTP {answer.status_code}")
    if answer.status_code >= 500:
        return PROBLEMS.error("not_reachable_from_here", detail=f"HTTP {answer.status_code}")
    return None
