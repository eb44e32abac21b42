"""A client with the token of the server that a test module starts as ``server``."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.scripted_engine import ScriptedServer


@pytest.fixture
def http(server: ScriptedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=120) as client:
        yield client
