from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.sessions.storage.record_file import MAGIC, Ending, Kind, NotRecords, Scan, frame, read_record, write_all

PAYLOADS = [b"first", b"", bytes(range(256)), b"\xa5omR" * 5, b"last"]


def file_of(payloads: list[bytes]) -> bytes:
    data = MAGIC
    for place, payload in enumerate(payloads):
        data += frame(Kind.AUDIO if place % 2 else Kind.FLUSHED, payload, len(data))
    return data


def scan(path: Path, data: bytes) -> tuple[list[bytes], Scan]:
    path.write_bytes(data)
    file = os.open(path, os.O_RDONLY)
    try:
        scan = Scan(file)
        return [record.payload for record in scan], scan
    finally:
        os.close(file)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    data = file_of(PAYLOADS)
    payloads, seen = scan(tmp_path / "f", data)
    assert (payloads, seen.ending, seen.good_bytes) == (PAYLOADS, Ending.CLEAN, len(data))


def test_a_file_torn_at_any_byte_ends_with_its_last_whole_record(tmp_path: Path) -> None:
    data = file_of(PAYLOADS)
    ends = [len(file_of(PAYLOADS[:count])) for count in range(len(PAYLOADS) + 1)]
    for size in range(len(data) + 1):
        if size < len(MAGIC):
            with pytest.raises(NotRecords):
                scan(tmp_path / "f", data[:size])
            continue
        payloads, seen = scan(tmp_path / "f", data[:size])
        whole = sum(end <= size for end in ends) - 1
        assert payloads == PAYLOADS[:whole]
        assert seen.good_bytes == ends[whole]
        assert seen.ending is (Ending.CLEAN if size == ends[whole] else Ending.TORN)


def test_a_torn_file_that_the_disk_filled_with_zeros_is_torn(tmp_path: Path) -> None:
    data = file_of(PAYLOADS)
    payloads, seen = scan(tmp_path / "f", data[:-2] + bytes(5000))
    assert (payloads, seen.ending) == (PAYLOADS[:-1], Ending.TORN)


def test_a_flipped_bit_anywhere_is_found_and_what_came_before_is_kept(tmp_path: Path) -> None:
    data = file_of(PAYLOADS)
    ends = [len(file_of(PAYLOADS[:count])) for count in range(len(PAYLOADS) + 1)]
    for place in range(len(MAGIC), len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        payloads, seen = scan(tmp_path / "f", bytes(damaged))
        whole = sum(end <= place for end in ends) - 1
        assert payloads == PAYLOADS[:whole]
        assert seen.ending is (Ending.TORN if whole == len(PAYLOADS) - 1 else Ending.DAMAGED)


def test_a_record_is_accepted_only_where_it_was_written(tmp_path: Path) -> None:
    one, two = frame(Kind.AUDIO, b"one", len(MAGIC)), frame(Kind.AUDIO, b"two", len(MAGIC))
    assert scan(tmp_path / "f", MAGIC + one + one)[0] == [b"one"]
    assert scan(tmp_path / "f", MAGIC + two)[0] == [b"two"]


def test_damage_is_found_in_front_of_records_far_behind_it(tmp_path: Path) -> None:
    data = bytearray(file_of([b"a" * 100, bytes(3_000_000), b"end"]))
    data[len(MAGIC) + 30] ^= 1
    assert scan(tmp_path / "f", bytes(data))[1].ending is Ending.DAMAGED


@settings(max_examples=200)
@given(payloads=st.lists(st.binary(max_size=80), max_size=6), data=st.data())
def test_no_change_of_the_file_makes_it_say_what_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: st.DataObject
) -> None:
    original = file_of(payloads)
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(changed) - 1)))
        change = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat", "insert"]))
        if change == "flip" and changed:
            changed[place] ^= data.draw(st.integers(1, 255))
        elif change == "cut":
            del changed[place:]
        elif change == "drop":
            del changed[place : place + data.draw(st.integers(1, 40))]
        elif change == "repeat":
            changed[place:place] = changed[place : place + data.draw(st.integers(1, 40))]
        else:
            changed[place:place] = data.draw(st.binary(max_size=40))
    path = tmp_path_factory.mktemp("mutated") / "f"
    try:
        found, seen = scan(path, bytes(changed))
    except NotRecords:
        assert not changed.startswith(MAGIC)
        return
    assert found == payloads[: len(found)]
    assert bytes(changed[: seen.good_bytes]) == original[: seen.good_bytes]


def test_a_write_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    assert write_all(file, b"good", 0) == 4
    real_pwrite = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_pwrite(file, data[:3], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        write_all(file, b"torn away", 4)
    monkeypatch.undo()
    os.close(file)
    assert (tmp_path / "f").read_bytes() == b"good"


def test_a_record_that_says_it_is_longer_than_the_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(file_of([b"abc"]))
    file = os.open(path, os.O_RDONLY)
    assert read_record(file, len(MAGIC), path.stat().st_size - 1) is None
    assert read_record(file, len(MAGIC), path.stat().st_size) is not None
    os.close(file)
