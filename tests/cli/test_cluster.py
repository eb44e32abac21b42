"""``openmic cluster`` where Ray is not installed; tests/cluster runs it where it is."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from openmic.cli.main import main


def test_without_ray_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find_spec(name, *more)
    )
    assert main(["cluster", "--replicas", "2", "--tunnel", "none"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "A cluster needs Ray, which is not installed."
    assert "pip install 'openmic[cluster]'" in told[2]


@pytest.mark.parametrize("replicas", ["0", "-1", "two"])
def test_no_replica_is_no_cluster(replicas: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cluster", "--replicas", replicas])
    assert ended.value.code == 2
