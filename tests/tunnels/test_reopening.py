from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from openmic.errors import OpenmicError
from openmic.tunnels import PROBLEMS
from openmic.tunnels import reopening as kept
from openmic.tunnels.reopening import ReopeningTunnel
from openmic.tunnels.types import Tunnel
from tests.support.tunnel_fixtures import http_server, ngrok_tunnels, running_under
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(kept, "FIRST_SECONDS", 0.05)


class StandInTunnel:
    """A tunnel that breaks when it is told to."""

    name = "stand-in"
    expires: str | None = None

    def __init__(self, public_url: str) -> None:
        self.public_url = public_url
        self.broken = False
        self.closed = 0

    def alive(self) -> bool:
        return not self.broken and not self.closed

    def close(self) -> None:
        self.closed += 1


def test_it_is_opened_again_after_failures_and_a_new_address_is_told() -> None:
    first, second, third = (StandInTunnel(f"https://{name}.example") for name in ("a", "a", "b"))
    answers: Iterator[Tunnel | OpenmicError] = iter([PROBLEMS.error("ngrok_unreachable", detail="x"), second, third])
    moved: list[str] = []

    def reopen() -> Tunnel:
        answer = next(answers)
        if isinstance(answer, OpenmicError):
            raise answer
        return answer

    tunnel = ReopeningTunnel(first, reopen, moved.append)
    assert tunnel.alive()
    first.broken = True
    wait_until(lambda: tunnel._tunnel is second)
    assert first.closed == 1
    assert moved == []  # the address is the old one: nobody needs to know
    second.broken = True
    wait_until(lambda: moved == ["https://b.example"])
    assert tunnel.public_url == "https://b.example"
    assert tunnel.problem == ""
    tunnel.close()
    assert third.closed == 1


def test_why_it_does_not_come_back_is_told() -> None:
    first = StandInTunnel("https://a.example")

    def reopen() -> Tunnel:
        raise PROBLEMS.error("authtoken_revoked")

    tunnel = ReopeningTunnel(first, reopen, lambda url: None)
    first.broken = True
    wait_until(lambda: tunnel.problem == PROBLEMS["authtoken_revoked"].what)
    assert not tunnel.alive()
    tunnel.close()
    assert not tunnel._thread.is_alive()


def test_one_that_comes_after_the_end_is_closed() -> None:
    first, late = StandInTunnel("https://a.example"), StandInTunnel("https://b.example")
    opening, go_on = threading.Event(), threading.Event()

    def reopen() -> Tunnel:
        opening.set()
        go_on.wait(20)
        return late

    moved: list[str] = []
    tunnel = ReopeningTunnel(first, reopen, moved.append)
    first.broken = True
    assert opening.wait(120)
    closer = threading.Thread(target=tunnel.close)
    closer.start()
    wait_until(tunnel._closed.is_set)
    go_on.set()
    closer.join(120)
    assert late.closed == 1
    assert moved == []


def test_a_real_program_that_is_killed_is_replaced(tmp_path: Path) -> None:
    moved: list[str] = []
    with http_server() as port, ngrok_tunnels(tmp_path, port) as open_one:
        first = open_one()
        tunnel = ReopeningTunnel(first, open_one, moved.append)
        (agent,) = running_under(tmp_path)
        psutil.Process(agent.pid).kill()
        wait_until(lambda: tunnel._tunnel is not first and tunnel.alive())
        assert len(running_under(tmp_path)) == 1
        tunnel.close()
        assert running_under(tmp_path) == []


def test_nothing_that_is_raised_ends_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """Not what a system without descriptors raises, which is no ``OpenmicError``, and not who is told of a change."""
    caplog.set_level(logging.INFO, "openmic")
    first, second, third = (StandInTunnel(f"https://{name}.example") for name in "abc")
    refuse_to_close = iter([OSError(24, "Too many open files")])
    first.close = lambda: raise_next(refuse_to_close)  # type: ignore[method-assign]
    answers: Iterator[StandInTunnel | Exception] = iter([OSError(24, "Too many open files"), second, third])
    moved: list[str] = []

    def reopen() -> Tunnel:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(url: str) -> None:
        moved.append(url)
        if len(moved) == 1:
            raise RuntimeError("the server has gone")

    tunnel = ReopeningTunnel(first, reopen, told)
    first.broken = True
    wait_until(lambda: tunnel._tunnel is second)
    second.broken = True
    wait_until(lambda: moved == ["https://b.example", "https://c.example"])
    wait_until(lambda: tunnel.problems == ())
    faults = [record.getMessage() for record in caplog.records if "service_fault" in record.getMessage()]
    assert faults == [f"service_fault part=openmic-tunnel-watch {part}" for part in ("closing", "opening", "telling")]
    tunnel.close()


def raise_next(errors: Iterator[Exception]) -> None:
    for error in errors:
        raise error


def test_while_it_cannot_be_opened_for_whatever_reason_that_is_told() -> None:
    first = StandInTunnel("https://a.example")

    def reopen() -> Tunnel:
        raise OSError(24, "Too many open files")

    tunnel = ReopeningTunnel(first, reopen, lambda url: None)
    first.broken = True
    wait_until(lambda: tunnel.problems == ("openmic-tunnel-watch opening fails",))
    assert "OSError" in tunnel.problem
    tunnel.close()
