"""The HTTP interface under schemathesis: whatever is asked, the answer is one that the docs know, and never a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from openmic.audio.decoder import AudioFormat
from openmic.server.dialects.native.messages import schema as wire_schema
from openmic.speech.types import SpeechOptions
from tests.support.scripted_engine import ScriptedServer, scripted_server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 60
TONE = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "hint"],
            "properties": {name: {"type": "string", "minLength": 1} for name in ("message", "type", "code", "hint")},
        }
    },
}
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def answers(*statuses: int, ok: dict[str, Any]) -> dict[str, Any]:
    problem = {"description": "a problem", "content": {"application/json": {"schema": ERROR}}}
    return {"200": {"description": "done", "content": ok}} | {str(status): problem for status in statuses}


def document() -> dict[str, Any]:
    """The interface as docs/protocol.md tells it, as OpenAPI."""
    definitions = wire_schema()["$defs"]
    anything: dict[str, Any] = {
        kind: {} for kind in ("text/plain", "text/vtt", "application/x-subrip", "audio/wav", "audio/flac")
    }
    session = {"application/json": {"schema": {"type": "object", "required": ["id", "state", "text"]}}}
    upload = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "model": {"type": "string"},
            "language": {"type": "string"},
            "prompt": {"type": "string"},
            "response_format": {"type": "string"},
            "temperature": {"type": "number"},
        },
    }
    post = {
        "requestBody": {"content": {"multipart/form-data": {"schema": upload}}},
        "responses": answers(
            400, 401, 403, 413, 429, 503, ok={"application/json": {}, "text/plain": {}, "text/vtt": {}}
        ),
    }
    text: dict[str, Any] = {"text/plain": {}}
    summaries = {"application/json": {"schema": {"type": "object", "required": ["sessions"]}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "openmic", "version": "1"},
        "components": {"schemas": definitions},
        "paths": {
            "/healthz": {"get": {"responses": answers(ok={"application/json": {}})}},
            "/metrics": {"get": {"responses": answers(401, 403, 429, ok=text)}},
            "/v1/sessions": {"get": {"responses": answers(401, 403, 429, ok=summaries)}},
            "/v1/sessions/{name}": {
                "get": {"parameters": [NAME], "responses": answers(400, 401, 403, 404, 429, ok=session | anything)}
            },
            "/v1/audio/transcriptions": {"post": post},
            "/v1/audio/translations": {"post": post},
        },
    }


SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("schema"), max_sessions=50, max_wrong_tokens=1_000_000) as running:
        for _ in range(3):
            session = running.sessions.create(AudioFormat("pcm_s16le", 16_000, 1), SpeechOptions())
            session.write(TONE)
            session.stop()
            assert session.ended.wait(120)
        yield running


@pytest.mark.parametrize("token", ["secret", "wrong", None])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_answer_is_one_that_the_docs_know(server: ScriptedServer, operation: Any, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        answer = case.call(base_url=server.url, headers=headers, timeout=120)
        case.validate_response(answer, checks=CHECKS)
        if token != "secret" and operation.path != "/healthz":
            assert answer.status_code == 401

    ask()
    assert server.thread.running
