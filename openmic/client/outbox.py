"""The bytes of one stream that the service has not confirmed yet."""

from __future__ import annotations


class Outbox:
    """Bytes by their offset in the stream: kept until acknowledged, and read from a cursor that a resume sets back.

    Attributes:
        confirmed: offset up to which the service has the bytes in its journal; those are not kept.
        cursor: offset of the next byte to write to the socket.
    """

    def __init__(self) -> None:
        self.confirmed = 0
        self.cursor = 0
        self._kept = bytearray()
        self._flushes: list[int] = []
        self._flushed = 0  # how many of _flushes were written to the present socket

    def __len__(self) -> int:
        """Bytes that are kept."""
        return len(self._kept)

    @property
    def end(self) -> int:
        """Offset behind the last byte put in."""
        return self.confirmed + len(self._kept)

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Append audio."""
        self._kept += data

    def put_flush(self) -> None:
        """Mark an utterance's end at this place."""
        self._flushes.append(self.end)

    def take(self, size: int) -> bytes | None:
        """The next thing to write: up to ``size`` bytes, ``b""`` for a flush that stands here, None for nothing."""
        stop = self.end
        if self._flushed < len(self._flushes):
            mark = self._flushes[self._flushed]
            if mark <= self.cursor:
                self._flushed += 1
                return b""
            stop = min(stop, mark)
        if self.cursor >= stop:
            return None
        begin = self.cursor - self.confirmed
        piece = bytes(self._kept[begin : min(begin + size, stop - self.confirmed)])
        self.cursor += len(piece)
        return piece

    def confirm(self, offset: int) -> None:
        """Forget the bytes before ``offset``, and the flushes that stand before it."""
        offset = min(offset, self.end)
        if offset <= self.confirmed:
            return
        del self._kept[: offset - self.confirmed]
        self.confirmed = offset
        past = sum(1 for mark in self._flushes if mark < offset)
        self._flushes = self._flushes[past:]
        self._flushed = max(0, self._flushed - past)

    def rewind(self, offset: int) -> bool:
        """Continue at ``offset`` on a new socket; False where those bytes are no longer (or not yet) here."""
        if not self.confirmed <= offset <= self.end:
            return False
        self.confirm(offset)
        self.cursor = offset
        self._flushed = 0
        return True
