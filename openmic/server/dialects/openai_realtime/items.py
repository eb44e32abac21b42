"""The items of a transcription session: which words belong to which, and what the client is told of each.

An item is a turn: what is said between two pauses, or up to a commit of the client's. Its text goes out as deltas while
it is committed; put together they are its transcript. Items are kept in the order of their audio. The audio side is
ahead of the words, so the next turn may begin before the last one's words are there; words belong to the first item.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from openmic.errors import OpenmicError
from openmic.server.dialects.openai_realtime.messages import event
from openmic.server.dialects.vendor import Json
from openmic.sessions.types import CommittedText, SpeechBoundary, UtteranceOver

BUFFER = "input_audio_buffer."
TEXT = "conversation.item.input_audio_transcription."


@dataclass(slots=True)
class Item:
    """One turn.

    Attributes:
        id: its name.
        start: seconds of all audio of the connection; None: nothing is known to be said in it.
        stopped: its speech has ended.
        flushed: it ends where the client said so, and not in a pause.
        dropped: the client does not want it any more.
        text: told so far.
        language: ISO 639-1, once it is known.
    """

    id: str = field(default_factory=lambda: f"item_{secrets.token_hex(10)}")
    start: float | None = None
    stopped: bool = False
    flushed: bool = False
    dropped: bool = False
    text: str = ""
    language: str | None = None


class Items:
    """All items of one connection.

    Attributes:
        beta: whether the client knows the names of 2025's beta.
        turns: whether pauses end items; else only the client's commits do.
        offset: seconds of audio before the present session's.
        extra: more fields of events that begin or end an item.
    """

    def __init__(self) -> None:
        self.beta = False
        self.turns = True
        self.offset = 0.0
        self.extra: Json = {}
        self._open: deque[Item] = deque()
        self._speaking = False
        self._speech_id: str | None = None
        self._last_id: str | None = None

    def hear(self, boundary: SpeechBoundary) -> Iterator[Json]:
        """Speech has started or ended."""
        self._speaking = boundary.state == "started"
        if not self.turns:
            return
        if self._speaking:
            yield self._begin(boundary.at)
            return
        item = self._current()
        if item is not None:
            item.stopped = True
        if self._speech_id is not None:  # the client may have committed it in the middle of speech
            at = _milliseconds(self.offset + boundary.at)
            yield event(f"{BUFFER}speech_stopped", item_id=self._speech_id, audio_end_ms=at)
            self._speech_id = None

    def say(self, committed: CommittedText) -> Iterator[Json]:
        """Words that will not be taken back."""
        if not self._open:  # speech that goes on behind a commit, or nobody is asked for turns
            began = self._begin(committed.start)
            if self.turns and self._speaking:
                yield began
        item = self._open[0]
        if item.dropped:
            return
        if item.start is None:
            item.start = self.offset + committed.start
        item.language = committed.language or item.language
        delta = committed.text if item.text else committed.text.lstrip()
        if delta:
            item.text += delta
            yield event(f"{TEXT}delta", item_id=item.id, content_index=0, delta=delta)

    def end(self, over: UtteranceOver) -> Iterator[Json]:
        """All words of an utterance are there."""
        if over.cause == "flush":
            item = next((item for item in self._open if item.flushed), None)
        else:
            item = self._open[0] if self._open and self.turns and not self._open[0].flushed else None
        if item is not None:
            yield from self._complete(item, over.end)

    def commit(self) -> Iterator[Json]:
        """The client says that a turn ends here; its words follow."""
        item = self._current() or self._add(Item())
        item.flushed = True
        yield from self._commit(item)

    def clear(self) -> Iterator[Json]:
        """The client does not want what it has sent since the last item."""
        item = self._current() or self._add(Item())
        item.flushed = item.dropped = True
        yield event(f"{BUFFER}cleared")

    def clear_nothing(self) -> Iterator[Json]:
        """The same where it has sent nothing."""
        yield event(f"{BUFFER}cleared")

    def finish(self, end: float) -> Iterator[Json]:
        """The session has ended after so many seconds: nothing more comes for items that wait for words."""
        for item in list(self._open):
            if self.turns or item.flushed:
                yield from self._complete(item, end)

    def fail(self, error: OpenmicError) -> Iterator[Json]:
        """The session has failed: items that wait for words do not get them."""
        for item in self._open:
            if item.flushed and not item.dropped:
                what = {"type": "server_error", "code": error.code, "message": error.message, "param": None}
                yield event(f"{TEXT}failed", item_id=item.id, content_index=0, error=what)
        self._open.clear()

    def _begin(self, start: float) -> Json:
        """A new item at the end, and the event that says so."""
        item = self._add(Item(start=self.offset + start))
        self._speech_id = item.id
        at = _milliseconds(self.offset + start)
        return event(f"{BUFFER}speech_started", item_id=item.id, audio_start_ms=at, **self.extra)

    def _add(self, item: Item) -> Item:
        self._open.append(item)
        return item

    def _current(self) -> Item | None:
        """The item whose speech goes on."""
        item = self._open[-1] if self._open else None
        return item if item is not None and not item.stopped and not item.flushed else None

    def _complete(self, item: Item, end: float) -> Iterator[Json]:
        self._open.remove(item)
        if item.dropped:
            return
        if not item.flushed:
            yield from self._commit(item)
        end += self.offset
        seconds = max(0.0, end - (item.start if item.start is not None else end))
        fields: Json = {"usage": {"type": "duration", "seconds": round(seconds, 3)}}
        if item.language is not None:
            fields["languages"] = [{"code": item.language}]
        yield event(f"{TEXT}completed", item_id=item.id, content_index=0, transcript=item.text, **fields, **self.extra)

    def _commit(self, item: Item) -> Iterator[Json]:
        previous, self._last_id = self._last_id, item.id
        yield event(f"{BUFFER}committed", item_id=item.id, previous_item_id=previous, **self.extra)
        message = {
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        for step in ("created",) if self.beta else ("added", "done"):
            yield event(f"conversation.item.{step}", previous_item_id=previous, item=message)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
