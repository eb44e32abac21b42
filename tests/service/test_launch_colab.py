"""Launching in Colab's runtime (a stand-in): the secret is asked for once, by the main thread, and never again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import openmic.service.service as launching
from openmic.service.launch import launch, stop_current
from openmic.tunnels import Authtoken, AuthtokenFound
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tunnel_fixtures import COLAB
from tests.support.waiting import wait_until

TEXT = "2abcDEFghiJKLmnoPQRstuVWXyz_7NonSecretForTests"


@pytest.fixture(autouse=True)
def colab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Colab with a scripted engine; the package goes with the test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(COLAB)
    monkeypatch.delenv("NGROK_AUTHTOKEN", raising=False)
    monkeypatch.setenv("OPENMIC_DATA_DIR", str(tmp_path / "recordings"))
    monkeypatch.setenv("OPENMIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    yield
    stop_current()
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "google":
            del sys.modules[name]


class Tunnel:
    """Stands for ngrok's, which cannot be had here; it breaks when it is told to."""

    name, expires = "ngrok", None

    def __init__(self, number: int) -> None:
        self.public_url = f"https://{number}.example"
        self.up = True

    def alive(self) -> bool:
        return self.up

    def close(self) -> None:
        self.up = False


def test_a_lost_tunnel_is_opened_again_without_asking_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.colab import userdata

    askers: list[threading.Thread] = []

    def get(key: str) -> str:
        askers.append(threading.current_thread())
        return TEXT

    monkeypatch.setattr(userdata, "get", get)
    opened: list[Tunnel] = []
    given: list[str] = []

    def open_one(settings: object, port: int, progress: object = None, authtoken: Authtoken | None = None) -> Tunnel:
        assert isinstance(authtoken, AuthtokenFound)
        given.append(authtoken.authtoken.get_secret_value())
        opened.append(Tunnel(len(opened)))
        return opened[-1]

    monkeypatch.setattr(launching, "open_tunnel", open_one)
    with launch() as mic:
        opened[0].up = False
        wait_until(lambda: mic.url == "https://1.example")
    assert given == [TEXT, TEXT]
    assert askers == [threading.main_thread()]


@pytest.mark.parametrize(("tunnel", "told"), [("auto", "No public link: Colab did not"), ("ngrok", "What to do: Keep")])
def test_a_tab_that_does_not_answer_costs_one_line_unless_a_link_was_asked_for(
    tunnel: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLAB_STAND_IN_SECRET", "timeout")
    with launch(tunnel=tunnel) as mic:
        out = capsys.readouterr().out
        assert told in out
        assert len(out.splitlines()) == (1 if tunnel == "auto" else 4)
        assert mic.url == mic.local_url
