"""A local port that answers, and tunnels to it through a stand-in for ngrok's agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tunnel_fixtures import OpenNgrok, http_server, ngrok_tunnels


@pytest.fixture
def port() -> Iterator[int]:
    with http_server() as port:
        yield port


@pytest.fixture
def open_one(tmp_path: Path, port: int) -> Iterator[OpenNgrok]:
    with ngrok_tunnels(tmp_path, port) as open_one:
        yield open_one
