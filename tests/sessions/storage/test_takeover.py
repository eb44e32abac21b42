"""One process takes over what another left, stands still over, or let go of; and dies over it, at every step.

The process that dies does so by ``kill -9``, behind a number of calls to the system that a test chooses. Which steps
there are is not written down here: it is tried until one is not killed any more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.events import Committed
from openmic.sessions.storage.folder import Household, SessionFiles, is_held
from openmic.sessions.storage.holder import HOLDERS, Holder
from openmic.sessions.storage.lease import HeldElsewhere, Lease, LeaseLost
from openmic.sessions.storage.names import journal_path, recording_path
from openmic.sessions.storage.other_holders import OtherHolders
from openmic.sessions.storage.record_file import Kind, Scan
from openmic.sessions.storage.replay import OpenedEntry, read_replay_at, to_payload
from openmic.speech.types import CommittedText, SpeechOptions
from tests.support.killed_server import ROOT

SESSION = "a" * 32
OPENED = OpenedEntry(SESSION, "", 0.0, False, SpeechOptions(), AudioFormat("pcm_s16le", 16_000, 1))
COMMITTED = Committed(1, CommittedText(" one", 0.0, 1.0, ()))
PIECES = [bytes([number]) * 3200 for number in range(20)]


class Clock:
    """Stands still until a test has it go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Process:
    """One that shares the folder."""

    data_dir: Path
    household: Household
    clock: Clock

    @property
    def folder(self) -> Path:
        return self.data_dir / SESSION

    def take_over(self) -> tuple[SessionFiles, bytes]:
        """Take the session over; gives the audio that is in its journal, too."""
        files, replay = SessionFiles.take_over(self.folder, self.household)
        assert replay.counted == [COMMITTED]
        files.journal.record(Kind.RECOVERED, files.takeover)
        return files, audio(self.folder)

    def wait(self) -> None:
        """Let the others' leases run out, if they do not beat."""
        is_held(self.folder, self.household.others)
        self.clock.now += 1000
        self.household.holder.beat()


def process(data_dir: Path) -> Process:
    clock = Clock()
    return Process(data_dir, Household(Holder(data_dir, 1.0, clock=clock), OtherHolders(data_dir, 1.0, clock)), clock)


def audio(folder: Path) -> bytes:
    """What is in the journal that counts."""
    with journal_path(folder).open("rb") as file:
        return b"".join(one.payload for one in Scan(file.fileno()) if one.kind == Kind.AUDIO)


def begun(first: Process) -> SessionFiles:
    """A session into whose journal half of the pieces were written."""
    files = SessionFiles.create(first.folder, OPENED, first.household.holder)
    for piece in PIECES[:10]:
        files.journal.append(piece)
    files.journal.record(Kind.COMMITTED, to_payload(COMMITTED))
    return files


@dataclass(frozen=True)
class Dying:
    """What starts processes that take over and die."""

    program: subprocess.Popen[str]

    def take_over(self, data_dir: Path, calls: int) -> tuple[bool, bool]:
        """Have one take over, killed behind so many calls: whether it acknowledged more bytes, and whether it died."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        print(data_dir, SESSION, calls, file=self.program.stdin, flush=True)
        said, end = self.program.stdout.readline().split()
        return said == "acknowledged", end == "died"


@pytest.fixture(scope="module")
def dying() -> Iterator[Dying]:
    command = [sys.executable, "-m", "tests.support.dying_takeover"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield Dying(program)
        assert program.stdin is not None
        program.stdin.close()


def test_one_that_stood_still_writes_into_a_file_that_nobody_reads(tmp_path: Path) -> None:
    first, second = process(tmp_path), process(tmp_path)
    stopped = begun(first)
    with pytest.raises(HeldElsewhere):
        second.take_over()
    second.wait()
    taken, known = second.take_over()
    assert known == b"".join(PIECES[:10])
    taken.journal.append(PIECES[10])
    first.clock.now += 500
    for write in (
        lambda: stopped.journal.append(b"late" * 800),
        lambda: stopped.journal.record(Kind.FLUSHED, b""),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert len(stopped.journal) == 32_000  # nothing of it was acknowledged
    taken.journal.append(PIECES[11])
    assert audio(second.folder) == b"".join(PIECES[:12])
    # whatever else it may be about to do
    stopped.recording.pack()
    stopped.journal.compact()
    assert audio(second.folder) == b"".join(PIECES[:12])
    assert recording_path(second.folder).name == "recording.2"
    stopped.delete()
    taken.journal.append(PIECES[12])
    assert audio(second.folder) == b"".join(PIECES[:13])
    assert is_held(second.folder, process(tmp_path).household.others)


def test_one_whose_clock_stood_still_with_it_writes_nothing_either(tmp_path: Path) -> None:
    """As in a virtual machine that was paused: nothing says how long that was."""
    first, second = process(tmp_path), process(tmp_path)
    stopped = begun(first)
    second.wait()
    taken, _ = second.take_over()
    with pytest.raises(LeaseLost):
        stopped.journal.append(b"late" * 800)
    taken.journal.append(PIECES[10])
    assert audio(second.folder) == b"".join(PIECES[:11])


def test_what_was_let_go_of_goes_on_in_the_same_file(tmp_path: Path) -> None:
    processes = [process(tmp_path) for _ in range(3)]
    files = begun(processes[0])
    for number, piece in enumerate(PIECES[10:]):
        files.release()
        files, known = processes[number % 3].take_over()
        assert known == b"".join(PIECES[: 10 + number])
        files.journal.append(piece)
    names = sorted(path.name for path in processes[0].folder.iterdir())
    assert [name for name in names if "lease" not in name] == ["journal", "recording.11.pcm"]
    assert len([name for name in names if "lease" in name]) == 11


def test_of_two_that_stood_still_neither_writes_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one stood still in the middle of its takeover, with a copy that nobody knows yet."""
    first, second, third = (process(tmp_path) for _ in range(3))
    begun(first)
    second.wait()
    rename, held_up = os.rename, list[tuple[object, object]]()

    def stand_still(source: object, target: object) -> None:
        held_up.append((source, target))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", stand_still)
        patch.setattr(Lease, "release", lambda _: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            second.take_over()
    third.wait()
    taken, known = third.take_over()
    assert known == b"".join(PIECES[:10])
    taken.journal.append(PIECES[10])
    if Path(str(held_up[0][0])).exists():
        rename(str(held_up[0][0]), str(held_up[0][1]))  # it goes on
    assert audio(third.folder) == b"".join(PIECES[:11])
    assert journal_path(third.folder).name == "journal.3"


def test_a_journal_is_copied_where_one_who_stands_still_may_write_to_it_though_the_last_has_died(
    tmp_path: Path, dying: Dying
) -> None:
    first, third = process(tmp_path), process(tmp_path)
    stopped = begun(first)
    assert dying.take_over(tmp_path, calls=8) == (False, True)
    assert [path.name for path in first.folder.glob("lease.*")] != ["lease.1"]
    assert journal_path(first.folder).name == "journal"  # it has made its lease, and nothing else
    third.wait()
    taken, known = third.take_over()
    assert known == b"".join(PIECES[:10])
    assert journal_path(third.folder).name != "journal"
    first.clock.now += 500
    with pytest.raises(LeaseLost):
        stopped.journal.append(b"late")
    taken.journal.append(PIECES[10])
    assert audio(third.folder) == b"".join(PIECES[:11])


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("left", ["standing still", "dead", "let go"])
def test_killed_at_every_step_of_a_takeover_it_leaves_all_to_the_next(tmp_path: Path, dying: Dying, left: str) -> None:
    whole = b"".join(PIECES[:10])
    for calls in range(1, 200):
        data_dir = tmp_path / str(calls)
        first, third = process(data_dir), process(data_dir)
        stopped = begun(first)
        if left == "let go":
            stopped.release()
        elif left == "dead":
            leave_unlocked(data_dir / HOLDERS / first.household.holder.id)
            stopped.journal.close()
        acknowledged, died = dying.take_over(data_dir, calls)
        third.wait()
        taken, known = third.take_over()
        assert known in ([whole + PIECES[10]] if acknowledged else [whole, whole + PIECES[10]])
        taken.journal.append(PIECES[11])
        if left == "standing still":
            first.clock.now += 500
            with pytest.raises(LeaseLost):
                stopped.journal.append(b"late" * 800)
        assert audio(third.folder) == known + PIECES[11]
        replay = read_replay_at(journal_path(third.folder))
        assert (replay.counted, replay.received_bytes) == ([COMMITTED], len(known) + 3200)
        first.household.holder.close()
        third.household.holder.close()
        shutil.rmtree(data_dir)
        if not died:
            break
    else:
        pytest.fail("it was killed over and over")
    assert calls > 10


def test_on_a_full_disk_nothing_is_taken_over_and_nothing_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (process(tmp_path) for _ in range(3))
    stopped = begun(first)
    second.wait()
    pwrite = os.pwrite

    def full(file: int, data: bytes, place: int) -> int:
        if place + len(data) > 8000:
            raise OSError(28, "No space left on device")
        return pwrite(file, bytes(data), place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OpenmicError) as caught:
            second.take_over()
    assert caught.value.code == "disk_full"
    assert not [path for path in first.folder.iterdir() if path.name.endswith(".new")]
    first.clock.now += 500
    with pytest.raises(LeaseLost):  # the other may have had it
        stopped.journal.append(PIECES[10])
    taken, known = third.take_over()  # let go of, so at once
    assert known == b"".join(PIECES[:11])  # written before anybody took it over: it counts, though nobody was told
    taken.journal.append(PIECES[11])
    assert audio(third.folder) == b"".join(PIECES[:12])


def leave_unlocked(path: Path) -> None:
    """Have a process's file look as if that had been killed."""
    left = path.read_bytes()
    path.unlink()
    path.write_bytes(left)


def test_the_record_of_a_takeover_says_where_it_cut(tmp_path: Path) -> None:
    first, second = process(tmp_path), process(tmp_path)
    stopped = begun(first)
    size = journal_path(first.folder).stat().st_size
    with journal_path(first.folder).open("ab") as file:
        file.write(b"\xa5omR half a record")
    second.wait()
    second.take_over()
    stopped.journal.close()
    with journal_path(first.folder).open("rb") as file:
        said = [json.loads(one.payload) for one in Scan(file.fileno()) if one.kind == Kind.RECOVERED]
    assert said == [{"fence": 2, "cut_bytes": size}]
