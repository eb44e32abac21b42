from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.audio.decoder import AudioFormat
from openmic.sessions.storage.journal import INDEX_BYTES, InUse, Journal, lock
from openmic.sessions.storage.record_file import DamagedRecord, Kind, Scan

AUTO = AudioFormat()


def reopened(path: Path) -> Journal:
    """What another process finds."""
    file = os.open(path, os.O_RDWR)
    scan = Scan(file)
    for _ in scan:
        pass
    return Journal.reopen(path, file, scan.good_bytes)


def everything(journal: Journal) -> bytes:
    journal.end()
    reader, data = journal.reader(), b""
    while more := reader.read(1000):
        data += more
    return data


def test_a_reader_waits_for_bytes_and_sees_the_end(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    seen: list[bytes] = []
    caught_up = threading.Semaphore(0)
    reader = journal.reader(caught_up.release)

    def follow() -> None:
        while data := reader.read(4):
            seen.append(data)

    thread = threading.Thread(target=follow)
    thread.start()
    assert caught_up.acquire(timeout=120)
    assert journal.append(b"abcdef") == 6
    assert caught_up.acquire(timeout=120)
    assert seen == [b"abcd", b"ef"]
    journal.record(Kind.FLUSHED, b"")
    assert journal.append(b"g") == 7
    journal.end()
    thread.join(120)
    assert not thread.is_alive()
    assert b"".join(seen) == b"abcdefg"
    with pytest.raises(ValueError, match="ended"):
        journal.append(b"h")
    journal.close()


def test_abort_ends_a_waiting_reader_and_hides_the_rest(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    waiting = threading.Event()
    results: list[bytes] = []
    reader = journal.reader(waiting.set)
    thread = threading.Thread(target=lambda: results.append(reader.read(1)))
    thread.start()
    assert waiting.wait(120)
    journal.abort()
    thread.join(120)
    assert results == [b""]

    other = Journal.create(tmp_path / "k")
    other.append(b"unread")
    other.abort()
    assert other.reader().read(10) == b""


def test_another_process_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.append(b"abc")
    journal.record(Kind.COMMITTED, b"{}")
    journal.append(b"def")
    journal.close()
    again = reopened(tmp_path / "j")
    assert again.append(b"ghi") == 9
    assert everything(again) == b"abcdefghi"
    again.close()


def test_a_journal_torn_at_any_byte_goes_on_behind_its_last_whole_message(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    messages, ends = [b"one", b"two two", b"three three three"], []
    for message in messages:
        journal.append(message)
        ends.append((tmp_path / "j").stat().st_size)
    journal.close()
    data = (tmp_path / "j").read_bytes()
    for size in range(8, len(data) + 1):
        (tmp_path / "torn").write_bytes(data[:size])
        again = reopened(tmp_path / "torn")
        whole = b"".join(messages[: sum(end <= size for end in ends)])
        assert len(again) == len(whole)
        again.append(b"!")
        assert everything(again) == whole + b"!"
        again.close()


def test_only_its_owner_can_read_it_and_only_one_process_can_write_it(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Journal.create(tmp_path / "j")
    file = os.open(tmp_path / "j", os.O_RDWR)
    with pytest.raises(InUse):
        lock(file)
    journal.close()
    lock(file)
    os.close(file)


def test_a_failed_write_leaves_the_journal_as_it_was_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.append(b"good")
    size = (tmp_path / "j").stat().st_size
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
    assert (tmp_path / "j").stat().st_size == size
    journal.append(b"new")
    assert everything(journal) == b"goodnew"
    journal.close()


def test_a_disk_that_cannot_keep_what_it_took_is_not_trusted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.append(b"good")

    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    journal.sync()
    with pytest.raises(OSError, match="Input/output"):
        journal.append(b"more")
    journal.close()


def test_only_what_is_new_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path / "j")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.append(b"a")
    journal.sync()
    journal.sync()
    assert len(synced) == 1
    journal.record(Kind.FLUSHED, b"")
    journal.sync()
    assert len(synced) == 2
    journal.close()
    journal.sync()
    assert len(synced) == 2


def test_damage_under_a_running_session_is_an_error_and_not_other_sound(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.append(b"spoken words")
    data = bytearray((tmp_path / "j").read_bytes())
    data[-2] ^= 1
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(DamagedRecord):
        journal.reader().read(100)
    journal.close()


def test_a_compact_journal_stands_there_at_one_moment_without_the_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.record(Kind.OPENED, b"{}")
    journal.append(bytes(1000))
    journal.record(Kind.FLUSHED, b"")
    journal.record(Kind.COMMITTED, b"[]")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.compact()
    assert [path.name for path in tmp_path.iterdir()] == ["j"]
    journal.compact()
    file = os.open(tmp_path / "j", os.O_RDONLY)
    assert [record.kind for record in Scan(file)] == [Kind.OPENED, Kind.COMPACTED, Kind.COMMITTED]
    os.close(file)
    assert journal.reader().read(10) == b""
    journal.record(Kind.FLUSHED, b"")  # too late, and harmless


def test_a_damaged_journal_is_not_made_compact(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.record(Kind.OPENED, b"{}")
    journal.append(b"spoken words")
    journal.record(Kind.COMMITTED, b"[]")
    data = bytearray((tmp_path / "j").read_bytes())
    data[data.index(b"words")] ^= 1
    (tmp_path / "j").write_bytes(data)
    with pytest.raises(DamagedRecord):
        journal.compact()
    assert (tmp_path / "j").read_bytes() == data
    journal.close()


def test_any_place_of_a_long_journal_is_found(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j")
    whole = bytes(range(256)) * 1024
    for start in range(0, len(whole), 999):
        journal.append(whole[start : start + 999])
    assert len(journal._index_starts) <= len(whole) / INDEX_BYTES + 1
    reader = journal.reader()
    for offset in (200_000, 5, 262_143, 131_072, 0, 65_536, 65_535):
        reader.seek(offset)
        assert reader.read(7) == whole[offset : offset + 7][: len(reader._piece)]
    journal.close()


@settings(max_examples=60)
@given(
    messages=st.lists(st.binary(max_size=30), max_size=6),
    moves=st.lists(st.tuples(st.sampled_from("rsc"), st.integers(0, 70)), max_size=20),
)
def test_a_reader_reads_like_a_file(
    tmp_path_factory: pytest.TempPathFactory, messages: list[bytes], moves: list[tuple[str, int]]
) -> None:
    journal = Journal.create(tmp_path_factory.mktemp("journal") / "j")
    for message in messages:
        journal.append(message)
    journal.end()
    data = b"".join(messages)
    file, reader = io.BytesIO(data), journal.reader()
    for move, number in moves:
        if move == "s":
            assert reader.seek(number) == file.seek(number)
        elif move == "c":
            assert reader.seek(number, 1) == file.seek(number, 1)
        else:
            got = reader.read(number)
            assert got == data[file.tell() : file.tell() + len(got)]
            assert bool(got) == bool(data[file.tell() : file.tell() + number])
            file.seek(len(got), 1)
        assert reader.tell() == file.tell()
    journal.close()


def test_a_reader_seeks_only_where_a_growing_file_can(tmp_path: Path) -> None:
    reader = Journal.create(tmp_path / "j").reader()
    with pytest.raises(ValueError, match="whence"):
        reader.seek(0, 2)
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)
    assert reader.read(0) == b""
