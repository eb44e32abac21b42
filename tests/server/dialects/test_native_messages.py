from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.audio.problems import PROBLEMS as AUDIO_PROBLEMS
from openmic.audio.types import SpeechBoundary
from openmic.errors import OpenmicError
from openmic.server.dialects.native.codec import error_message, parse, to_message, to_text
from openmic.server.dialects.native.messages import CLIENT_TYPES, Ping, Resume, Start, schema
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import SENT
from openmic.sessions.events import (
    Committed,
    Ended,
    Failed,
    Finalised,
    Live,
    Progressed,
    Replaced,
    SessionEvent,
    SpeechChanged,
    UtteranceEnded,
    Warned,
)
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.problems import ServerFull
from openmic.sessions.text.revisions import revise
from openmic.speech.problems import PROBLEMS as SPEECH_PROBLEMS
from openmic.speech.types import CommittedText, FinalProgress, FinalText, LiveText, Segment, UtteranceOver, Word

DOCS = Path(__file__).resolve().parents[3] / "docs"
WORD = Word(" hi", 0.0, 0.5, 0.9)
SEGMENT = Segment(0, 0, 0.0, 1.0, " Hi.", (1, 2), 0.0, -0.2, 1.1, 0.01, (WORD,))
FINAL = FinalText(" Hi.", "en", 1.0, (SEGMENT,), "base")
ERROR = PROBLEMS.error("bad_json")
EVENTS: list[SessionEvent] = [
    SpeechChanged(SpeechBoundary("started", 0.5)),
    Live(0, LiveText(" hi", 0.0, 0.5, 1.0, 0.2, "en", (WORD,))),
    Live(0, LiveText(" hi", 0.0, 0.5, 1.0, 0.2)),
    Committed(1, CommittedText(" hi", 0.0, 0.5, (WORD,), "en")),
    UtteranceEnded(UtteranceOver(0.5, "silence")),
    Progressed(FinalProgress(30.0, 45.5), finishing=True),
    Finalised(2, FINAL, "hi", revise([CommittedText(" hi", 0.0, 0.5, (WORD,))], FINAL)),
    Warned(ERROR),
    Ended(3, "stopped", 1.0),
    Failed(ERROR),
    Replaced(),
]


def valid(instance: object, name: str) -> None:
    whole = schema()
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]}).validate(instance)


def test_the_schema_in_the_docs_is_that_of_the_models() -> None:
    assert json.loads((DOCS / "protocol.schema.json").read_text()) == schema(), (
        "run: python -m openmic.server.dialects.native.messages > docs/protocol.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_becomes_a_message_of_the_schema(event: SessionEvent, words: bool) -> None:
    text = to_text(to_message(event, words=words))
    valid(json.loads(text), "ServerMessage")
    assert ("probability" in text) == (words and (isinstance(event, Committed | Finalised) or event is EVENTS[1]))


def test_the_language_is_left_out_until_it_is_known() -> None:
    known, unknown = (json.loads(to_text(to_message(event, words=False))) for event in EVENTS[1:3])
    assert known["language"] == "en"
    assert "language" not in unknown


def test_the_final_says_what_it_changed() -> None:
    event = next(event for event in EVENTS if isinstance(event, Finalised))
    final = json.loads(to_text(to_message(event, words=False)))
    (change,) = final["revised"]
    assert change == {
        "kind": "form",
        "old": "hi",
        "old_start": 0,
        "old_end": 2,
        "new": "Hi.",
        "new_start": 1,
        "new_end": 4,
        "start": 0.0,
        "end": 1.0,
    }
    assert final["live_text"][change["old_start"] : change["old_end"]] == change["old"]
    assert final["text"][change["new_start"] : change["new_end"]] == change["new"]


def test_progress_says_whether_its_total_still_grows() -> None:
    for finishing, stage in ((True, "finishing"), (False, "receiving")):
        message = json.loads(to_text(to_message(Progressed(FinalProgress(1.23456, 2.0), finishing), words=False)))
        assert message == {"type": "progress", "stage": stage, "done_seconds": 1.235, "total_seconds": 2.0}


def test_only_a_full_server_says_when_to_retry() -> None:
    full = json.loads(to_text(error_message(ServerFull(8, 8, 10.0), fatal=True)))
    assert full["retry_after"] == 10.0
    assert "retry_after" not in to_text(error_message(ERROR, fatal=True))
    valid(full, "ServerMessage")


def test_reading_ignores_unknown_fields() -> None:
    start = parse('{"type": "start", "language": "tr", "colour": "red"}')
    assert start == Start(language="tr")
    assert parse('{"type": "ping"}') == Ping()
    resume = parse('{"type": "resume", "session_id": "a", "resume_token": "b", "after_seq": 3}')
    assert resume == Resume(session_id="a", resume_token="b", after_seq=3)


def test_an_error_about_a_field_names_it_and_not_its_value() -> None:
    with pytest.raises(OpenmicError) as caught:
        parse('{"type": "start", "token": 12345, "words": "perhaps"}')
    assert caught.value.code == "bad_message"
    assert "token" in caught.value.why
    assert "12345" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["start", "resume", "flush", "stop", "ping", "dance"]) | JSON},
    optional=dict.fromkeys(
        ["language", "task", "sample_rate", "words", "session_id", "resume_token", "after_seq"], JSON
    ),
)


@given(st.text() | FIELDS.map(json.dumps) | JSON.map(json.dumps))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    with suppress(OpenmicError):  # and nothing else
        assert parse(text).type in CLIENT_TYPES


def test_every_problem_has_a_close_code_and_a_status() -> None:
    assert set(SENT) == {*PROBLEMS, *SESSION_PROBLEMS, *AUDIO_PROBLEMS, *SPEECH_PROBLEMS}


def test_the_docs_name_every_field_problem_and_close_code() -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", (DOCS / "protocol.md").read_text()))
    assert {*PROBLEMS, *SESSION_PROBLEMS, *AUDIO_PROBLEMS, *SPEECH_PROBLEMS} - named == set(), "problems"
    assert {"1000", *(str(sent.close_code) for sent in SENT.values())} - named == set(), "close codes"
    for name, definition in schema()["$defs"].items():
        assert set(definition.get("properties", {})) - named == set(), name


@pytest.mark.parametrize("name", ["stream.jsonl", "resume.jsonl", "errors.jsonl"])
def test_every_message_of_the_examples_is_of_the_schema(name: str) -> None:
    definitions = {"server": "ServerMessage"} | ({"client": "ClientMessage"} if name != "errors.jsonl" else {})
    for line in (DOCS / "examples" / name).read_text().splitlines():
        ((who, what),) = json.loads(line).items()
        if who in definitions:
            valid(what, definitions[who])
        else:
            assert who in ("client", "audio", "closed")


def test_the_example_of_a_session_is_of_the_schema() -> None:
    valid(json.loads((DOCS / "examples" / "session.json").read_text()), "TranscriptJson")


@pytest.mark.parametrize("field", ["language", "encoding"])
def test_long_names_are_refused_and_not_repeated(field: str) -> None:
    with pytest.raises(OpenmicError) as refused:
        parse(json.dumps({"type": "start", field: "x" * 900_000}))
    assert refused.value.code == "bad_message"
    assert len(str(refused.value)) < 1000
