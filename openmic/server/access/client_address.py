"""Where a client is, and how much may come from there.

Behind a tunnel of ours every connection comes from this machine, and the tunnel's agent says in ``X-Forwarded-For``
from where: the last address in it is the one that it added itself, all before it is what the client claims. The header
counts only from this machine and only while a tunnel of ours is open; anybody could send one otherwise.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import HTTPConnection

FORWARDED = "x-forwarded-for"
UNKNOWN = "unknown"  # a tunnel gave no address: all such clients share one budget
IPV6_PREFIX = 64  # one household or phone has that many addresses to choose from
MOST_ADDRESSES = 10_000  # remembered; the one longest quiet is forgotten for another


def client_address(connection: HTTPConnection, *, behind_tunnel: bool) -> str:
    """The address that opened the connection; an IPv6 one stands for its /64 network.

    Args:
        connection: a request or a WebSocket.
        behind_tunnel: whether a tunnel of ours leads here.
    """
    peer = connection.client.host if connection.client is not None else ""
    if behind_tunnel and is_local(peer):
        lines = connection.headers.getlist(FORWARDED)
        if not lines:  # a program of this machine, past the tunnel
            return peer
        return _normal(_without_port(lines[-1].rpartition(",")[2].strip())) or UNKNOWN
    return _normal(peer) or peer


def is_local(address: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _without_port(text: str) -> str:
    """``1.2.3.4:5`` and ``[2001:db8::1]:5`` without what follows the address."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _normal(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


class RefillingBudget:
    """A budget for each address (or whatever else is named) that refills steadily; from any thread.

    Args:
        most: that may be spent in a row before an address is blocked.
        seconds: in which a spent budget is whole again.
        clock: monotonic seconds.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how much, and when that was so
        self._lock = threading.Lock()
        self.total = 0

    def blocked_for(self, address: str) -> float:
        """Seconds until this address may spend again; 0.0: now."""
        with self._lock:
            over = self._now(address) - (self._most - 1)
        return over * self._seconds / self._most if over > 0 else 0.0

    def count(self, address: str) -> bool:
        """One more is spent; whether that has blocked the address just now."""
        with self._lock:
            self.total += 1
            before = self._now(address)
            after = min(before + 1.0, float(self._most))
            self._spent[address] = (after, self._clock())
            self._spent.move_to_end(address)
            while len(self._spent) > MOST_ADDRESSES:
                self._spent.popitem(last=False)
        return before <= self._most - 1 < after

    def blocked(self) -> int:
        """How many addresses are blocked now."""
        with self._lock:
            addresses = list(self._spent)
        return sum(1 for address in addresses if self.blocked_for(address) > 0)

    def _now(self, address: str) -> float:
        spent, at = self._spent.get(address, (0.0, 0.0))
        return max(0.0, spent - (self._clock() - at) * self._most / self._seconds)
