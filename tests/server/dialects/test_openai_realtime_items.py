"""Which words belong to which item, in every order in which sound, words and commits can come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from openmic.server.dialects.openai_realtime.items import Items
from openmic.server.problems import PROBLEMS
from openmic.sessions.types import CommittedText, SpeechBoundary, UtteranceOver

STARTED, ENDED = (lambda at: SpeechBoundary("started", at)), (lambda at: SpeechBoundary("ended", at, False))


def words(text: str, start: float, end: float) -> CommittedText:
    return CommittedText(text, start, end, ())


class Told:
    """Events by what matters of them: the last part of the type, and which item in the order of first mention."""

    def __init__(self) -> None:
        self.items = Items()
        self.all: list[tuple[Any, ...]] = []
        self._names: list[str] = []

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            kind = event["type"].rpartition(".")[2]
            if kind in ("added", "done"):
                continue
            if "item_id" in event and event["item_id"] not in self._names:
                self._names.append(event["item_id"])
            item = self._names.index(event["item_id"]) if "item_id" in event else None
            text = event.get("delta", event.get("transcript"))
            self.all.append((kind, item) if text is None else (kind, item, text))


def test_the_next_turn_may_begin_before_the_last_ones_words_are_there() -> None:
    told = Told()
    items = told.items
    for events in (
        items.hear(STARTED(0.0)),
        items.hear(ENDED(1.0)),
        items.hear(STARTED(1.5)),
        items.say(words(" One", 0.0, 0.9)),
        items.end(UtteranceOver(1.0, "silence")),
        items.say(words(" Two", 1.5, 1.9)),
        items.hear(ENDED(2.0)),
        items.end(UtteranceOver(2.0, "silence")),
    ):
        told.take(events)
    assert told.all == [
        ("speech_started", 0),
        ("speech_stopped", 0),
        ("speech_started", 1),
        ("delta", 0, "One"),
        ("committed", 0),
        ("completed", 0, "One"),
        ("delta", 1, "Two"),
        ("speech_stopped", 1),
        ("committed", 1),
        ("completed", 1, "Two"),
    ]


def test_a_commit_in_the_middle_of_speech_ends_one_item_and_speech_goes_on_in_another() -> None:
    told = Told()
    items = told.items
    for events in (
        items.hear(STARTED(0.0)),
        items.commit(),
        items.say(words(" One", 0.0, 0.9)),
        items.end(UtteranceOver(1.0, "flush")),
        items.say(words(" two", 1.0, 1.5)),
        items.hear(ENDED(2.0)),
        items.end(UtteranceOver(2.0, "silence")),
    ):
        told.take(events)
    assert told.all == [
        ("speech_started", 0),
        ("committed", 0),
        ("delta", 0, "One"),
        ("completed", 0, "One"),
        ("speech_started", 1),
        ("delta", 1, "two"),
        ("speech_stopped", 1),
        ("committed", 1),
        ("completed", 1, "two"),
    ]


def test_a_commit_just_before_the_pause_is_one_item() -> None:
    told = Told()
    items = told.items
    for events in (
        items.hear(STARTED(0.0)),
        items.commit(),
        items.hear(ENDED(0.9)),
        items.say(words(" One", 0.0, 0.8)),
        items.end(UtteranceOver(0.9, "silence")),
        items.end(UtteranceOver(1.0, "flush")),
    ):
        told.take(events)
    kinds = [entry[0] for entry in told.all]
    assert kinds == ["speech_started", "committed", "speech_stopped", "delta", "completed"]


def test_without_turns_pauses_end_nothing() -> None:
    told = Told()
    items = told.items
    items.turns = False
    for events in (
        items.hear(STARTED(0.0)),
        items.say(words(" One", 0.0, 0.9)),
        items.hear(ENDED(1.0)),
        items.end(UtteranceOver(1.0, "silence")),
        items.say(words(" two", 2.0, 2.9)),
        items.commit(),
        items.commit(),
        items.end(UtteranceOver(3.0, "flush")),
        items.end(UtteranceOver(3.0, "flush")),
        items.finish(3.0),
    ):
        told.take(events)
    assert told.all == [
        ("delta", 0, "One"),
        ("delta", 0, " two"),
        ("committed", 0),
        ("committed", 1),
        ("completed", 0, "One two"),
        ("completed", 1, ""),
    ]


@pytest.mark.parametrize("turns", [True, False])
def test_the_end_of_a_session_completes_what_was_committed(turns: bool) -> None:
    told = Told()
    items = told.items
    items.turns = turns
    for events in (items.say(words(" One", 0.0, 0.9)), items.commit(), items.finish(1.0)):
        told.take(events)
    assert told.all == [("delta", 0, "One"), ("committed", 0), ("completed", 0, "One")]


def test_a_failure_fails_what_was_committed() -> None:
    told = Told()
    items = told.items
    for events in (items.commit(), items.fail(PROBLEMS.error("token_revoked")), items.finish(1.0)):
        told.take(events)
    assert told.all == [("committed", 0), ("failed", 0)]


def test_times_are_those_of_the_connection() -> None:
    items = Items()
    items.offset = 12.3456
    (started,) = items.hear(STARTED(1.0))
    assert started["audio_start_ms"] == 13_346
    list(items.hear(ENDED(2.0)))
    events = [*items.say(words(" One", 1.0, 1.9)), *items.end(UtteranceOver(2.0, "silence"))]
    assert events[-1]["usage"] == {"type": "duration", "seconds": 1.0}
