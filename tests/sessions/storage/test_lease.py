"""Who holds a session: exactly one, and nobody who stood still for too long."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openmic.sessions.storage.holder import HOLDERS, Holder
from openmic.sessions.storage.lease import HeldElsewhere, Lease, LeaseLost, newest_lease, read_leases
from openmic.sessions.storage.other_holders import STALE_SECONDS, Life, OtherHolders

LEASE_SECONDS = 10.0
SESSION = "a" * 32


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """One of those that share a folder, with a clock that has nothing to do with the others'."""

    data_dir: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.holder = Holder(self.data_dir, LEASE_SECONDS, "here", self.clock)
        self.others = OtherHolders(self.data_dir, LEASE_SECONDS, self.clock)

    def take(self) -> Lease:
        return Lease.take(self.data_dir / SESSION, self.holder, self.others)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / SESSION).mkdir()
    return tmp_path / SESSION


def another_machine(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a holder beat as if it were under another kernel: its lock proves nothing."""
    with monkeypatch.context() as patch:
        patch.setattr("openmic.sessions.storage.holder.machine_id", lambda: "another")
        holder.beat()


def test_a_lease_is_good_while_its_process_beats(tmp_path: Path, folder: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path, Clock(5e6))
    lease = mine.take()
    assert lease.fence == 1
    for _ in range(20):
        for process in (mine, other):
            process.clock.now += LEASE_SECONDS / 4
        mine.holder.beat()
        lease.confirm()
        with pytest.raises(HeldElsewhere) as caught:
            other.take()
        assert caught.value.holder_id == mine.holder.id
    assert len(read_leases(folder)) == 1  # confirmed by the clock alone
    assert (other.others.life(mine.holder.id), other.others.name(mine.holder.id)) == (Life.ALIVE, "here")


def test_one_that_was_silent_for_a_lease_loses_it_and_notices(tmp_path: Path, folder: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path, Clock(-77.0))
    lease = mine.take()
    assert other.others.life(mine.holder.id) is Life.ALIVE
    other.clock.now += LEASE_SECONDS
    with pytest.raises(HeldElsewhere):  # a little longer than a lease: no two clocks run equally fast
        other.take()
    other.clock.now += LEASE_SECONDS
    taken = other.take()
    assert taken.fence == 2
    mine.clock.now += 3 * LEASE_SECONDS
    for _ in range(2):
        with pytest.raises(LeaseLost):
            lease.confirm()
    assert lease.lost
    lease.release()  # says nothing to anybody
    newest = newest_lease(folder)
    assert newest is not None
    assert (newest.holder_id, newest.released) == (other.holder.id, False)
    taken.confirm()


def test_one_that_was_silent_and_is_not_missed_makes_its_lease_anew(tmp_path: Path, folder: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    lease = mine.take()
    other.others.watch()
    mine.clock.now += 2 * LEASE_SECONDS
    lease.confirm()
    assert (lease.fence, [one.holder_id for one in read_leases(folder)]) == (2, [mine.holder.id] * 2)
    other.clock.now += 2 * LEASE_SECONDS  # it has been silent for long enough, but it has beaten since
    with pytest.raises(HeldElsewhere):
        other.take()


def test_a_beat_that_hangs_on_the_disk_counts_as_silence(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Process(tmp_path)
    lease = mine.take()
    write = Holder._write

    def hang(holder: Holder) -> None:
        mine.clock.now += LEASE_SECONDS
        write(holder)

    monkeypatch.setattr(Holder, "_write", hang)
    mine.clock.now += LEASE_SECONDS / 2
    mine.holder.beat()  # begun in time, seen by the others too late
    monkeypatch.undo()
    mine.holder.beat()
    Lease.take(folder, Holder(tmp_path, LEASE_SECONDS), _impatient(tmp_path))
    with pytest.raises(LeaseLost):
        lease.confirm()


def _impatient(data_dir: Path) -> OtherHolders:
    """One that has found all others silent."""
    clock = Clock()
    others = OtherHolders(data_dir, LEASE_SECONDS, clock)
    others.watch()
    clock.now += 2 * LEASE_SECONDS
    return others


def test_what_was_released_can_be_taken_at_once(tmp_path: Path, folder: Path) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    for number in range(1, 7):
        lease = (first, second)[number % 2].take()
        assert lease.fence == number
        lease.release()
        lease.release()
    assert [one.released for one in read_leases(folder)] == [True] * 6


def test_one_whose_lock_is_free_has_gone(tmp_path: Path, folder: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    mine.take()
    assert other.others.life(mine.holder.id) is Life.ALIVE
    assert other.others.knows(mine.holder.id)  # the lock is held
    path = tmp_path / HOLDERS / mine.holder.id
    left = path.read_bytes()
    path.unlink()
    path.write_bytes(left)  # a file that nobody has open, as a killed process leaves it
    assert other.others.life(mine.holder.id) is Life.GONE
    assert other.take().fence == 2


def test_a_lock_proves_nothing_under_another_kernel(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    mine.take()
    another_machine(mine.holder, monkeypatch)
    path = tmp_path / HOLDERS / mine.holder.id
    left = path.read_bytes()
    path.unlink()
    path.write_bytes(left)
    assert other.others.life(mine.holder.id) is Life.ALIVE
    assert not other.others.knows(mine.holder.id)
    path.write_bytes(left.replace(b'"beat": 2', b'"beat": 3'))
    assert other.others.knows(mine.holder.id)  # it beats
    other.clock.now += 2 * LEASE_SECONDS
    assert other.others.life(mine.holder.id) is Life.SILENT


@pytest.mark.parametrize("torn", [b"", b"{", b"0123456789abcdef", b"\xff\xfe held\n"])
def test_a_lease_whose_maker_died_over_it_runs_out(tmp_path: Path, folder: Path, torn: bytes) -> None:
    (folder / "lease.1").write_bytes(torn)
    mine = Process(tmp_path)
    with pytest.raises(HeldElsewhere):
        mine.take()
    mine.clock.now += 2 * LEASE_SECONDS
    assert mine.take().fence == 2


def test_of_many_who_want_a_lease_at_once_exactly_one_gets_it(tmp_path: Path, folder: Path) -> None:
    processes = [Process(tmp_path) for _ in range(6)]
    for round_number in range(1, 31):
        start, taken = threading.Barrier(len(processes)), list[Lease]()

        def want(process: Process, start: threading.Barrier = start, taken: list[Lease] = taken) -> None:
            start.wait()
            with contextlib.suppress(HeldElsewhere):
                taken.append(process.take())

        threads = [threading.Thread(target=want, args=(process,)) for process in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1
        assert taken[0].fence == round_number
        taken[0].release()


def test_within_one_process_two_cannot_hold_it(tmp_path: Path, folder: Path) -> None:
    mine = Process(tmp_path)
    lease = mine.take()
    with pytest.raises(HeldElsewhere):
        mine.take()
    lease.release()
    assert mine.take().fence == 2


def test_a_wish_is_heard_once_and_only_by_the_one_it_is_for(tmp_path: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    assert mine.holder.wanted() == []
    mine.holder.beat()
    other.holder.beat()
    for _ in range(3):
        other.holder.ask(mine.holder.id, SESSION)
    assert other.holder.wanted() == []
    assert mine.holder.wanted() == [SESSION]
    assert mine.holder.wanted() == []
    mine.holder.close()
    with pytest.raises(OSError, match="No such file"):
        other.holder.ask(mine.holder.id, SESSION)
    other.holder.close()
    assert not (tmp_path / HOLDERS).exists()


def test_a_file_that_was_taken_away_is_written_again(tmp_path: Path, folder: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    lease = mine.take()
    (tmp_path / HOLDERS / mine.holder.id).unlink()
    mine.clock.now += LEASE_SECONDS / 4
    mine.holder.beat()
    lease.confirm()
    with pytest.raises(HeldElsewhere):
        other.take()


def test_files_of_processes_of_long_ago_are_taken_away(tmp_path: Path) -> None:
    mine, other = Process(tmp_path), Process(tmp_path)
    mine.holder.beat()
    other.others.watch()
    other.clock.now += STALE_SECONDS - 1
    other.others.watch()
    assert (tmp_path / HOLDERS / mine.holder.id).exists()
    other.clock.now += 2
    other.others.watch()
    assert list((tmp_path / HOLDERS).iterdir()) == []


def test_a_disk_on_which_no_lease_can_be_made_anew_loses_it(tmp_path: Path, folder: Path) -> None:
    mine = Process(tmp_path)
    lease = mine.take()
    mine.clock.now += 2 * LEASE_SECONDS
    folder.rename(tmp_path / "gone")
    with pytest.raises(LeaseLost):
        lease.confirm()
