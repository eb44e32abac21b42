"""What was sent and is not confirmed."""

from __future__ import annotations

from openmic.client.outbox import Outbox


def test_the_outbox_keeps_what_is_not_confirmed_and_goes_back() -> None:
    outbox = Outbox()
    outbox.put(b"abcdef")
    outbox.put_flush()
    outbox.put(b"ghi")
    assert [outbox.take(4), outbox.take(4), outbox.take(4), outbox.take(4), outbox.take(4)] == [
        b"abcd",
        b"ef",
        b"",
        b"ghi",
        None,
    ]
    outbox.confirm(5)
    assert (len(outbox), outbox.confirmed, outbox.end) == (4, 5, 9)
    assert not outbox.rewind(4)
    assert not outbox.rewind(10)
    assert outbox.rewind(6)
    assert [outbox.take(9), outbox.take(9), outbox.take(9)] == [b"", b"ghi", None]
    outbox.confirm(9)
    assert outbox.rewind(9)
    assert outbox.take(9) is None
