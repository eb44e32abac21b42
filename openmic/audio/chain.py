"""A client's bytes as one container after another.

Recorders restart: a second header comes, of the same kind or another, in the middle of the stream (Ogg calls it
chaining; RFC 3533, section 4). FFmpeg reads on as if nothing had happened, or stops without a word. So a stream is cut
here where a header stands that no sound can look like, and each part gets a decoder of its own.
"""

from __future__ import annotations

import re

from openmic.audio.types import ByteSource

FETCH_BYTES = 32_768  # most that is asked of a source at once

_HEADER = re.compile(
    rb"(?:RIFF|RF64)....WAVE"
    rb"|fLaC[\x00\x80]\x00\x00\x22"
    rb"|(?P<ogg>OggS\x00[\x02\x06]\x00{8})"
    rb"|\x1aE\xdf\xa3.{1,60}?\x42\x82.{1,8}?(?:webm|matroska)"
    rb"|\x00\x00[\x00\x01][\x08-\xff]ftyp[ -~]{4}",
    re.DOTALL,
)
"""What a part begins with: WAV, FLAC's stream information, an Ogg stream's first page, EBML with type, MP4's brand."""

_FRAGMENT = re.compile(rb"\x00.{3}moof\x00\x00\x00.mfhd", re.DOTALL)

_OGG_LATER_PAGE = re.compile(rb"OggS\x00[\x00\x01\x04\x05]")

_BEGINNINGS: tuple[tuple[bytes | None, ...], ...] = (
    (b"R", b"I", b"F", b"F", None, None, None, None, b"W", b"A", b"V", b"E"),
    (b"R", b"F", b"6", b"4", None, None, None, None, b"W", b"A", b"V", b"E"),
    (b"f", b"L", b"a", b"C", b"\x00\x80", b"\x00", b"\x00", b"\x22"),
    (b"O", b"g", b"g", b"S", b"\x00", b"\x02\x06", *(b"\x00",) * 8),
    (b"\x1a", b"E", b"\xdf", b"\xa3", *(None,) * 78),
    (b"\x00", b"\x00", b"\x00\x01", None, b"f", b"t", b"y", b"p", None, None, None, None),
)
"""The same, byte by byte (any of these; None: any byte), to tell whether the rest of a header may still come."""

_LONGEST = max(len(beginning) for beginning in _BEGINNINGS)


class ChainReader:
    """One part of a stream at a time, as a file for FFmpeg; it ends where the next part begins.

    What the source raises ends the stream for FFmpeg, and is raised by ``check``.

    Args:
        source: the client's bytes. It is only asked to seek where a demuxer of the part does.

    Attributes:
        kind: of the part (a key of ``CONTAINERS``), once it was looked at; "" before.
        fragmented: whether a fragment of an MP4 has been seen in it.
    """

    def __init__(self, source: ByteSource) -> None:
        self.kind = ""
        self.fragmented = False
        self._source = source
        self._failure: Exception | None = None
        self._buffer = b""  # what was fetched behind _offset
        self._offset = 0  # of the next byte that is given out, from the stream's first
        self._part_offset = 0  # of the part's first byte
        self._looked_until = 1  # to this offset no header of another part stands
        self._part_end: int | None = None  # offset, once it is known
        self._source_ended = False
        self._past_ogg_beginning = False

    def read(self, size: int) -> bytes:
        """At least one byte of the part, at most ``size``; waits for it; ``b""`` at the part's end."""
        self._await(1)
        data = self._buffer[: min(size, self._ready())]
        self._buffer = self._buffer[len(data) :]
        self._offset += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes of the part, fewer only if it has no more; the next read returns them again."""
        self._await(size)
        return self._buffer[: min(size, self._ready())]

    def skip(self, size: int) -> None:
        """Leave out ``size`` bytes, as far as the part has them."""
        while size > 0 and (data := self.read(min(size, FETCH_BYTES))):
            size -= len(data)

    def tell(self) -> int:
        """The offset in the part."""
        return self._offset - self._part_offset

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move in the part (``whence`` 0 or 1); returns the new offset, or -1 for the end, which nobody knows yet."""
        if whence not in (0, 1):
            return -1
        target = offset + (self._offset if whence == 1 else self._part_offset)
        if self._offset <= target <= self._offset + len(self._buffer):
            self._buffer = self._buffer[target - self._offset :]
        else:
            self._source.seek(target)
            self._buffer, self._source_ended = b"", False
        self._offset = target
        return target - self._part_offset

    @property
    def more_follows(self) -> bool:
        """Whether another part is known to come behind this one."""
        return self._part_end is not None

    def part_begins(self) -> None:
        """What was read of the part so far was nothing (padding, tags): it begins here."""
        self._part_offset = self._offset
        self._looked_until = max(self._looked_until, self._offset + 1)

    def next_part(self) -> tuple[bool, int]:
        """Go to the next part, past what is left of this one.

        Returns:
            Whether there is a next one, and how many bytes of this one had not been read before.
        """
        if self._offset < self._looked_until - 1 and self._part_end is None:
            self.seek(self._looked_until - 1 - self._part_offset)  # a demuxer went back and has finished there
        if self._part_end is not None and self._offset < self._part_end:
            left = self._part_end - self._offset
            self.seek(self._part_end - self._part_offset)
        else:
            left = 0
            while data := self.read(FETCH_BYTES):
                left += len(data)
        if self._part_end is None or self._failure is not None:
            return False, left
        self.kind, self.fragmented, self._part_end, self._past_ogg_beginning = "", False, None, False
        self.part_begins()
        self._look()
        return True, left

    def check(self) -> None:
        """Raise what the source raised."""
        if self._failure is not None:
            raise self._failure

    def _ready(self) -> int:
        """How many bytes of the buffer are surely of this part."""
        if self._part_end is not None or self._source_ended:
            return self._inside(len(self._buffer))
        return min(len(self._buffer), max(0, self._looked_until - self._offset))

    def _inside(self, size: int) -> int:
        """As many of the next ``size`` bytes as the part has, as far as that is known."""
        return size if self._part_end is None else min(size, max(0, self._part_end - self._offset))

    def _await(self, size: int) -> None:
        while not self._source_ended and self._ready() < self._inside(size):
            try:
                data = b"" if self._failure is not None else self._source.read(FETCH_BYTES)
            except Exception as error:
                self._failure = error
                data = b""
            self._source_ended = not data
            self._buffer += data
            if self._part_end is None:
                self._look()

    def _look(self) -> None:
        """Find where the next part begins in what has come, or up to where it does not."""
        begin = max(0, self._looked_until - self._offset)
        self.fragmented = self.fragmented or _FRAGMENT.search(self._buffer, begin) is not None
        for header in _HEADER.finditer(self._buffer, begin):
            if header["ogg"] and self.kind == "ogg" and not self._is_past_ogg_beginning(begin, header.start()):
                continue  # the first page of another track of the same file
            self._part_end = self._offset + header.start()
            return
        end = len(self._buffer)
        if not self._source_ended:
            tails = range(max(begin, end - _LONGEST), end)
            end = next((tail for tail in tails if _may_begin(self._buffer[tail:])), end)
        self._is_past_ogg_beginning(begin, end)
        self._looked_until = max(self._looked_until, self._offset + end)

    def _is_past_ogg_beginning(self, begin: int, end: int) -> bool:
        if not self._past_ogg_beginning:
            self._past_ogg_beginning = _OGG_LATER_PAGE.search(self._buffer, begin, end) is not None
        return self._past_ogg_beginning


def _may_begin(tail: bytes) -> bool:
    """Whether a header may begin with ``tail``, of which more is to come."""
    return any(
        len(tail) < len(beginning)
        and all(known is None or byte in known for known, byte in zip(beginning, tail, strict=False))
        for beginning in _BEGINNINGS
    )
