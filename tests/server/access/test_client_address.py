from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from openmic.server.access import client_address as addresses
from openmic.server.access.client_address import RefillingBudget, client_address, is_local


def connection(peer: str | None, *forwarded: str) -> HTTPConnection:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    client = (peer, 50_000) if peer is not None else None
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(
    ("peer", "forwarded", "behind_tunnel", "address"),
    [
        ("127.0.0.1", ["203.0.113.7"], True, "203.0.113.7"),
        ("127.0.0.1", ["10.9.9.9, 203.0.113.7"], True, "203.0.113.7"),  # what stands before is the client's claim
        ("127.0.0.1", ["10.9.9.9", "203.0.113.7"], True, "203.0.113.7"),
        ("::1", ["2001:db8:1:2:3:4:5:6"], True, "2001:db8:1:2::/64"),
        ("127.0.0.1", ["203.0.113.7"], False, "127.0.0.1"),  # no tunnel of ours: anybody may have written it
        ("198.51.100.1", ["203.0.113.7"], True, "198.51.100.1"),  # did not come through the tunnel
        ("127.0.0.1", ["203.0.113.7:5555"], True, "203.0.113.7"),
        ("127.0.0.1", ["[2001:db8::1]:443"], True, "2001:db8::/64"),
        ("127.0.0.1", ["nonsense"], True, "unknown"),  # not this machine, which is never blocked
        ("127.0.0.1", [""], True, "unknown"),
        ("127.0.0.1", [], True, "127.0.0.1"),
        ("2001:db8:1:2::9", [], False, "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", [], False, "198.51.100.1"),
        (None, [], False, ""),
    ],
)
def test_whose_address_counts(peer: str | None, forwarded: list[str], behind_tunnel: bool, address: str) -> None:
    assert client_address(connection(peer, *forwarded), behind_tunnel=behind_tunnel) == address


def test_this_machine() -> None:
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert not is_local("203.0.113.7")
    assert not is_local("2001:db8:1:2::/64")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_is_spent_and_refills() -> None:
    clock = Clock()
    budget = RefillingBudget(3, 30.0, clock)
    assert [budget.count("a") for _ in range(3)] == [False, False, True]
    assert budget.blocked_for("a") == pytest.approx(10.0)
    assert budget.blocked_for("b") == 0.0
    assert budget.blocked() == 1
    assert not budget.count("a")  # it is blocked already, and not for longer
    assert budget.blocked_for("a") == pytest.approx(10.0)
    clock.now = 10.1
    assert budget.blocked_for("a") == 0.0
    assert budget.blocked() == 0
    assert budget.count("a")  # one was forgiven, not all
    clock.now = 100.0
    assert [budget.count("a") for _ in range(3)] == [False, False, True]
    assert budget.total == 8


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_ADDRESSES", 2)
    budget = RefillingBudget(1, 60.0, Clock())
    for name in ("a", "b", "a", "c"):
        budget.count(name)
    assert [budget.blocked_for(name) > 0 for name in "abc"] == [True, False, True]
