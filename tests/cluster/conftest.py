"""One Ray for all tests of the cluster: it takes ten seconds to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.settings import Settings
from openmic.speech.types import Engine
from tests.support.scripted_cluster import load_scripted
from tests.support.serve import ServedCluster, running_serve


@pytest.fixture(scope="session")
def serve_port() -> Iterator[int]:
    with running_serve() as port:
        yield port


MakeCluster = Callable[..., ServedCluster]


@pytest.fixture
def make_cluster(serve_port: int, tmp_path: Path) -> Iterator[MakeCluster]:
    """Makes an application, which ends with the test."""
    made: list[ServedCluster] = []

    def make(load: Callable[[Settings], Engine] = load_scripted, **settings: Any) -> ServedCluster:
        made.append(ServedCluster(tmp_path, serve_port, load, **settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.end()
