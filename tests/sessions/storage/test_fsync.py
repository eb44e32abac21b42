from __future__ import annotations

import threading

from openmic.sessions.storage.fsync import FsyncThread


class Disk:
    """Counts how often it was synced."""

    def __init__(self) -> None:
        self.times = 0
        self._more = threading.Condition()

    def sync(self) -> None:
        with self._more:
            self.times += 1
            self._more.notify_all()

    def wait_for(self, times: int) -> bool:
        with self._more:
            return self._more.wait_for(lambda: self.times >= times, 20)


def test_everything_is_synced_again_and_again() -> None:
    one, other = Disk(), Disk()
    syncer = FsyncThread(0.01, lambda: [one, other])
    assert one.wait_for(3)
    assert other.wait_for(3)
    syncer.close(20)


def test_what_should_not_wait_does_not_wait_for_the_next_round() -> None:
    disk = Disk()
    syncer = FsyncThread(3600, lambda: [disk])
    syncer.soon()
    assert disk.wait_for(1)
    syncer.close(20)
    assert disk.times == 2  # and once more at the end


class FullDisk(Disk):
    """Cannot be synced while it is full."""

    full = True

    def sync(self) -> None:
        super().sync()
        if self.full:
            raise OSError(28, "No space left on device")


def test_one_that_cannot_be_synced_keeps_no_other_from_it_and_ends_nothing() -> None:
    broken, well = FullDisk(), Disk()
    syncer = FsyncThread(0.01, lambda: [broken, well])
    assert well.wait_for(3)
    assert syncer.problems == ("openmic-sync fails",)
    broken.full = False
    assert broken.wait_for(broken.times + 3)
    assert syncer.problems == ()
    syncer.close(20)


def test_a_round_that_cannot_even_begin_is_tried_again() -> None:
    calls: list[None] = []
    again = threading.Event()

    def everything() -> list[Disk]:
        calls.append(None)
        if len(calls) < 3:
            raise OSError(24, "Too many open files")
        again.set()
        return []

    syncer = FsyncThread(0.01, everything)
    assert again.wait(120)
    syncer.close(20)
