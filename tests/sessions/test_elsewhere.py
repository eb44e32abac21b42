"""What processes that share a folder say of their sessions, and which of several sayings counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from openmic.sessions import elsewhere
from openmic.sessions.elsewhere import Elsewhere
from openmic.sessions.events import Reason
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.sessions.storage.folder import Household
from openmic.sessions.storage.holder import HOLDERS, RUNNING, Holder
from openmic.sessions.storage.lease import HELD, RELEASED, lease_path
from openmic.sessions.storage.other_holders import STALE_SECONDS, OtherHolders


def session(name: str, **more: Any) -> SessionSnapshot:
    reason: Reason | None = None
    facts = {"state": State.RECEIVING, "attached": True, "created": 1.0, "received_bytes": 3, "audio_seconds": 2.0}
    facts |= {"lag": 0.5, "committed_text": "said", "live_text": "now", "final": None, "revised": (), "error": None}
    return SessionSnapshot(**{"id": name, "reason": reason, **facts, **more})


class Process:
    """One that shares the folder; it tells whenever it is asked to."""

    def __init__(self, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(elsewhere, "REPORT_SECONDS", 0.0)
        self.now = 0.0
        self.folder = folder
        self.holder = Holder(folder, 10.0, name)
        self.holder.beat()
        self.others = OtherHolders(folder, 10.0, lambda: self.now)
        self.elsewhere = Elsewhere(folder, Household(self.holder, self.others))

    def has(self, *sessions: SessionSnapshot, fence: int = 1, state: str = HELD) -> None:
        for one in sessions:
            (self.folder / one.id).mkdir(exist_ok=True)
            lease_path(self.folder / one.id, fence).write_text(f"{self.holder.id} {state}\n")
        self.elsewhere.tell((one, None) for one in sessions)

    def die(self) -> None:
        """Its lock is free, and nothing is tidied up."""
        file, self.holder._file = self.holder._file, None
        assert file is not None
        os.close(file)

    def sees(self) -> list[tuple[str, str | None, bool]]:
        return [(one.id, one.holder, one.holder_silent) for one in self.elsewhere.read(set())]


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    return [Process(tmp_path, name, monkeypatch) for name in ("a", "b", "c")]


def test_what_one_tells_the_others_read_as_it_was(processes: list[Process]) -> None:
    a, b, _ = processes
    error = PROBLEMS.error("server_stopping")
    told = session("1" * 32, state=State.FINISHING, reason="stopped", error=error)
    a.has(told)
    (read,) = b.elsewhere.read(set())
    assert (read.holder, read.holder_silent) == ("a", False)
    assert (read.error.code if read.error else "") == "server_stopping"
    fields = ("id", "state", "attached", "created", "received_bytes", "audio_seconds", "lag", "committed_text")
    assert [getattr(read, field) for field in fields] == [getattr(told, field) for field in fields]
    assert b.elsewhere.read({told.id}) == []  # it is here already
    assert a.elsewhere.read(set()) == []


def test_long_texts_are_told_by_their_end(processes: list[Process]) -> None:
    a, b, _ = processes
    a.has(session("1" * 32, committed_text="x" * 1_000_000 + " the end"))
    (read,) = b.elsewhere.read(set())
    assert read.committed_text.endswith(" the end")
    assert len(read.committed_text) == elsewhere.MOST_CHARACTERS


def test_the_sessions_of_one_that_has_died_stay_listed_until_another_has_them(processes: list[Process]) -> None:
    a, b, c = processes
    one = session("1" * 32)
    a.has(one)
    a.die()
    assert c.sees() == [(one.id, "a", True)]
    b.has(one, fence=2)
    assert c.sees() == [(one.id, "b", False)]
    b.elsewhere.tell([])  # the lease is there, and b has not told of it yet
    assert c.sees() == [(one.id, "b", False)]
    lease_path(c.folder / one.id, 2).write_text(f"{b.holder.id} {RELEASED}\n")
    assert c.sees() == []


def test_one_that_is_silent_is_marked_before_anybody_takes_its_sessions(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = processes
    a.has(session("1" * 32))
    monkeypatch.setattr("openmic.sessions.storage.other_holders.machine_id", lambda: "another")  # its lock says nothing
    assert b.sees() == [("1" * 32, "a", False)]
    b.now = 20.0
    assert b.sees() == [("1" * 32, "a", True)]


def test_what_has_ended_is_told_for_a_moment_and_what_was_deleted_is_gone(processes: list[Process]) -> None:
    a, b, _ = processes
    one = session("1" * 32, state=State.ENDED)
    a.has(one)
    assert b.sees() == [(one.id, "a", False)]
    lease_path(a.folder / one.id, 1).unlink()
    (a.folder / one.id).rmdir()
    assert b.sees() == []
    a.elsewhere.tell([(one, -elsewhere.ENDED_SECONDS)])
    assert json.loads((a.folder / HOLDERS / (a.holder.id + RUNNING)).read_bytes())["sessions"] == []


def test_one_that_has_nothing_writes_nothing_and_one_that_leaves_takes_its_file_along(
    processes: list[Process],
) -> None:
    a, b, _ = processes
    path = a.folder / HOLDERS / (a.holder.id + RUNNING)
    a.elsewhere.tell([])
    assert not path.exists()
    a.has(session("1" * 32))
    assert path.stat().st_mode & 0o777 == 0o600
    a.holder.close()
    assert not path.exists()
    assert b.sees() == []


def test_files_that_cannot_be_read_are_passed_over_and_old_ones_taken_away(processes: list[Process]) -> None:
    a, b, _ = processes
    a.has(session("1" * 32))
    path = a.folder / HOLDERS / (a.holder.id + RUNNING)
    whole = path.read_bytes()
    for data in (b"", b"[]", b"{}", whole[:-9], whole.replace(b"created", b"made"), whole.replace(b"receiving", b"x")):
        path.write_bytes(data)
        assert b.sees() == []
    b.others.watch()
    b.now = STALE_SECONDS + 1
    b.others.watch()
    assert not path.exists()
