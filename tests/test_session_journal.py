from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.sessions.journal import Journal


def test_a_reader_waits_for_bytes_and_sees_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    seen: list[bytes] = []
    caught_up = threading.Semaphore(0)
    reader = journal.reader(caught_up.release)

    def follow() -> None:
        while data := reader.read(4):
            seen.append(data)

    thread = threading.Thread(target=follow)
    thread.start()
    assert caught_up.acquire(timeout=10)
    assert journal.append(b"abcdef") == 6
    assert caught_up.acquire(timeout=10)
    assert seen == [b"abcd", b"ef"]
    assert journal.append(b"g") == 7
    journal.end()
    thread.join(10)
    assert not thread.is_alive()
    assert b"".join(seen) == b"abcdefg"
    assert (tmp_path / "j").read_bytes() == b"abcdefg"
    with pytest.raises(ValueError, match="ended"):
        journal.append(b"h")
    journal.delete()


def test_abort_ends_a_waiting_reader_and_hides_the_rest(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    waiting = threading.Event()
    results: list[bytes] = []
    reader = journal.reader(waiting.set)
    thread = threading.Thread(target=lambda: results.append(reader.read(1)))
    thread.start()
    assert waiting.wait(10)
    journal.abort()
    thread.join(10)
    assert results == [b""]

    other = Journal(tmp_path / "k")
    other.append(b"unread")
    other.abort()
    assert other.reader().read(10) == b""


def test_deleting_closes_and_removes_twice_without_harm(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(b"x")
    journal.delete()
    journal.delete()
    assert not (tmp_path / "j").exists()
    assert len(journal) == 1
    assert journal.reader().read(1) == b""


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    Journal(tmp_path / "j")
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "j")


def test_a_failed_write_leaves_the_length_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(b"good")
    real_pwrite = os.pwrite

    def torn(file: int, data: bytes, offset: int) -> int:
        if len(data) == 1:
            raise OSError(28, "No space left on device")
        return real_pwrite(file, data[:-1], offset)

    monkeypatch.setattr(os, "pwrite", torn)
    with pytest.raises(OSError, match="No space"):
        journal.append(b"torn")
    monkeypatch.undo()
    assert len(journal) == 4
    journal.append(b"new")
    journal.end()
    assert journal.reader().read(100) == b"goodnew"


@given(data=st.binary(max_size=60), moves=st.lists(st.tuples(st.sampled_from("rsc"), st.integers(0, 70)), max_size=20))
def test_a_reader_reads_like_a_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, moves: list[tuple[str, int]]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "j")
    journal.append(data)
    journal.end()
    reader, file = journal.reader(), io.BytesIO(data)
    for move, number in moves:
        if move == "r":
            assert reader.read(number) == file.read(number)
        elif move == "s":
            assert reader.seek(number) == file.seek(number)
        else:
            assert reader.seek(number, 1) == file.seek(number, 1)
        assert reader.tell() == file.tell()
    journal.delete()


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (0, 2), (-5, 1)])
def test_a_seek_that_makes_no_sense_is_refused(tmp_path: Path, offset: int, whence: int) -> None:
    reader = Journal(tmp_path / "j").reader()
    with pytest.raises(ValueError, match=r"before the start|whence"):
        reader.seek(offset, whence)
