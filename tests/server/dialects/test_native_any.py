"""Hypothesis on the message models: any text is either a message or one of the problems that say why it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openmic.errors import OpenmicError
from openmic.server.dialects.native.codec import SHOWN_CHARACTERS, parse, to_text
from openmic.server.dialects.native.messages import CLIENT_TYPES, Start
from openmic.server.problems import PROBLEMS

FIELDS = [*Start.model_fields, "session_id", "resume_token", "after_seq", "something_new"]
KNOWN = {"bad_json", "unknown_type", "bad_message"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from([*CLIENT_TYPES, "dance"]) | VALUES},
    optional={name: VALUES for name in FIELDS if name != "type"},
)


def read(text: str) -> Any:
    """The message, or the code of the problem that it is; anything else fails the test."""
    problem: OpenmicError
    try:
        return parse(text)
    except OpenmicError as error:
        problem = error
    assert problem.code in KNOWN
    assert problem.code in PROBLEMS
    assert problem.message
    assert problem.hint
    return problem.code


@settings(max_examples=500)
@given(st.text() | VALUES.map(lambda value: json.dumps(value)))
@example("[" * 100_000)
@example('{"type": "start", "sample_rate": 1e400}')
@example('{"type": "start", "sample_rate": ' + "9" * 5000 + "}")
@example('{"type": "start", "prompt": "\\ud800"}')
@example("\x00")
def test_any_text(text: str) -> None:
    read(text)


@settings(max_examples=500)
@given(MESSAGES)
@pytest.mark.slow
def test_any_fields(message: dict[str, Any]) -> None:
    told = read(json.dumps(message))
    if isinstance(told, str):
        return
    assert told.type == message["type"]
    again = parse(to_text(told))
    assert again == told  # what was understood is written so that it is understood the same


@settings(max_examples=200)
@given(st.text(min_size=1), st.sampled_from(["token", "resume_token", "prompt"]))
def test_no_value_of_a_client_is_told_back(value: str, field: str) -> None:
    message = {"type": "start" if field == "prompt" else "resume", field: [f"s3cret-{value}"]}
    with pytest.raises(OpenmicError) as caught:
        parse(json.dumps(message))
    assert "s3cret" not in str(caught.value)


@settings(max_examples=200)
@given(st.text())
def test_an_unknown_type_is_told_back_cut_short(kind: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        parse(json.dumps({"type": f"no-{kind}"}))
    assert caught.value.code == "unknown_type"
    assert len(str(caught.value)) < 250 + SHOWN_CHARACTERS
