"""Cloudflare's quick tunnel, through a stand-in for its program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from websockets.sync.client import connect

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels import open_tunnel
from openmic.tunnels.cloudflare import CloudflareTunnel, cloudflared_program, open_cloudflare
from tests.support.tunnel_fixtures import WAIT_SECONDS, echo_server, lives, make_cloudflared, running_under
from tests.support.waiting import wait_until

Open = Callable[..., CloudflareTunnel]


@pytest.fixture
def open_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    program = make_cloudflared(tmp_path)
    monkeypatch.setenv("CLOUDFLARED_STAND_IN_PORT_FILE", str(tmp_path / "port"))
    opened: list[CloudflareTunnel] = []

    def open_one(mode: str = "ok", port: int = 9, start_seconds: float = WAIT_SECONDS) -> CloudflareTunnel:
        monkeypatch.setenv("CLOUDFLARED_STAND_IN_MODE", mode)
        opened.append(open_cloudflare(port, program, tmp_path / "running", start_seconds=start_seconds))
        return opened[-1]

    yield open_one
    for tunnel in opened:
        tunnel.close()


@pytest.mark.parametrize("mode", ["ok", "old_log"])
def test_the_url_is_read_from_the_log(open_one: Open, tmp_path: Path, mode: str) -> None:
    tunnel = open_one(mode)
    assert tunnel.public_url == "https://stand-in-of-four-words.trycloudflare.com"
    assert tunnel.name == "Cloudflare quick tunnel"
    assert tunnel.alive()
    (process,) = running_under(tmp_path)
    assert "--no-autoupdate" in process.cmdline()
    tunnel.close()
    tunnel.close()
    assert not tunnel.alive()
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


def test_a_websocket_goes_through_the_program(open_one: Open, tmp_path: Path) -> None:
    with echo_server() as port:
        open_one(port=port)
        with connect(f"ws://127.0.0.1:{(tmp_path / 'port').read_text()}") as client:
            client.send(b"\x00" * 70_000)
            assert client.recv() == b"\x00" * 70_000


def test_a_talkative_program_does_not_choke_on_its_log(open_one: Open, tmp_path: Path) -> None:
    tunnel = open_one("noisy")
    wait_until(lambda: (tmp_path / "port.said").exists())
    assert tunnel.alive()


@pytest.mark.slow
def test_a_program_that_ignores_the_signal_is_ended_all_the_same(open_one: Open, tmp_path: Path) -> None:
    open_one("stubborn").close()
    assert running_under(tmp_path) == []


def test_a_program_that_dies_is_noticed(open_one: Open, tmp_path: Path) -> None:
    tunnel = open_one()
    running_under(tmp_path)[0].kill()
    wait_until(lambda: not tunnel.alive())
    tunnel.close()


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("busy", "cloudflare_busy"),
        ("offline", "cloudflare_unreachable"),
        ("blocked", "cloudflare_unreachable"),
        ("dies", "cloudflared_died"),
        ("hang", "cloudflare_timeout"),
    ],
)
@pytest.mark.slow
def test_each_failure_has_its_row(open_one: Open, tmp_path: Path, mode: str, code: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(mode, start_seconds=5.0 if mode in ("blocked", "hang") else WAIT_SECONDS)
    assert caught.value.code == code
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


def test_a_missing_program_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for path in (None, tmp_path / "not there"):
        with pytest.raises(OpenmicError) as caught:
            open_tunnel(Settings(tunnel="cloudflare", cache_dir=tmp_path, cloudflared_path=path), 9)
        assert caught.value.code == "cloudflared_missing"
        assert "Install" in caught.value.hint


def test_a_program_that_cannot_run(tmp_path: Path) -> None:
    program = tmp_path / "cloudflared"
    program.write_text("no program")
    with pytest.raises(OpenmicError) as caught:
        open_cloudflare(9, program, tmp_path / "running")
    assert caught.value.code == "cloudflared_not_executable"
    assert list((tmp_path / "running").iterdir()) == []


def test_the_program_on_the_search_path_or_the_one_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_cloudflared(tmp_path)
    assert cloudflared_program(program) == program
    monkeypatch.setenv("PATH", str(program.parent))
    assert cloudflared_program(None) == program
    monkeypatch.setenv("OPENMIC_CLOUDFLARED_PATH", str(program))
    tunnel = open_tunnel(Settings(tunnel="cloudflare", cache_dir=tmp_path), 9)
    assert tunnel is not None
    tunnel.close()


OWNER = """
import sys, time
from pathlib import Path
from openmic.tunnels.cloudflare import open_cloudflare
open_cloudflare(9, Path(sys.argv[1]), Path(sys.argv[2]))
print("open", flush=True)
time.sleep(600)
"""


def test_the_next_open_ends_an_orphan(tmp_path: Path) -> None:
    program = make_cloudflared(tmp_path)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(program), str(tmp_path / "tunnels" / "running")],
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        (orphan,) = [p for p in psutil.Process(owner.pid).children() if "tunnel" in p.cmdline()]
        os.kill(owner.pid, signal.SIGKILL)
    settings = Settings(tunnel="cloudflare", cache_dir=tmp_path, cloudflared_path=program)
    tunnel = open_tunnel(settings, 9)
    assert tunnel is not None
    assert not lives(orphan)
    tunnel.close()
