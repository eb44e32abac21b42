"""Deepgram's own SDK, unmodified, on ``POST /v1/listen``."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.errors import BadRequestError

from openmic.sessions.types import Term
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.waiting import wait_until

WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("deepgram"), max_upload_bytes=1_000_000) as running:
        yield running


@pytest.fixture
def sdk(server: ScriptedServer) -> Iterator[DeepgramClient]:
    with client(server, server.token) as one:
        yield one


@contextmanager
def client(server: ScriptedServer, token: str) -> Iterator[DeepgramClient]:
    web = server.url.replace("http", "ws")
    environment = DeepgramClientEnvironment(base=server.url, production=web, agent=web, agent_rest=server.url)
    with httpx.Client(timeout=WAIT_SECONDS) as http:
        yield DeepgramClient(environment=environment, api_key=token, httpx_client=http)


@pytest.fixture
def recording(sample_audio: Path) -> bytes:
    return (sample_audio / "quickstart.wav").read_bytes()


def test_a_file_whole_and_in_chunks(server: ScriptedServer, sdk: DeepgramClient, recording: bytes) -> None:
    for body in (recording, (recording[at : at + 65_536] for at in range(0, len(recording), 65_536))):
        answer = sdk.listen.v1.media.transcribe_file(
            request=body, model="nova-3", utterances=True, paragraphs=True, detect_language=True, keyterm=["openmic"]
        )
        best = answer.results.channels[0].alternatives[0]
        assert best.transcript == "heard 15.2 seconds"
        assert [word.word for word in best.words][:3] == ["one", "two", "three"]
        assert all(0 <= word.start <= word.end <= answer.metadata.duration for word in best.words)
        assert best.confidence == 1.0
        assert best.paragraphs.paragraphs[0].sentences[0].text == "one"
        assert answer.results.utterances[0].transcript.startswith("one two three")
        assert answer.results.channels[0].detected_language == "en"
        assert answer.metadata.channels == 1
        (model,) = answer.metadata.models
        assert answer.metadata.model_info[model]["name"] == "scripted"
        session = server.sessions.get(answer.metadata.request_id)
        assert session.options.vocabulary == (Term("openmic"),)


def test_what_was_not_asked_for_is_left_out(sdk: DeepgramClient, recording: bytes) -> None:
    answer = sdk.listen.v1.media.transcribe_file(request=recording, model="nova-3", language="en", diarize=True)
    assert answer.results.utterances is None
    assert answer.results.channels[0].alternatives[0].paragraphs is None
    assert answer.metadata.openmic["ignored"] == ["diarize"]


def test_utterances_are_split_at_pauses(sdk: DeepgramClient, recording: bytes) -> None:
    answer = sdk.listen.v1.media.transcribe_file(request=recording, model="nova-3", utterances=True, utt_split=-0.5)
    assert len(answer.results.utterances) == len(answer.results.channels[0].alternatives[0].words)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"redact": "pci"}, "redact"), ({"summarize": "v2"}, "summarize"), ({"topics": True}, "topics")],
)
def test_what_cannot_be_done_is_refused(
    sdk: DeepgramClient, recording: bytes, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.listen.v1.media.transcribe_file(request=recording, model="nova-3", **options)
    assert said in refused.value.body["err_msg"]


def test_no_address_is_fetched(sdk: DeepgramClient) -> None:
    with pytest.raises(BadRequestError):
        sdk.listen.v1.media.transcribe_url(url="http://127.0.0.1:9/a.wav", model="nova-3")


def test_what_is_no_audio_and_what_is_too_large_are_refused(server: ScriptedServer, sdk: DeepgramClient) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.listen.v1.media.transcribe_file(request=b"Dear Sir or Madam, " * 500, model="nova-3")
    assert refused.value.body["err_code"] == "AUDIO_NOT_DECODABLE"
    raw = {"additional_query_parameters": {"encoding": "linear16", "sample_rate": "16000"}}
    for large in (bytes(1_000_001), (bytes(65_536) for _ in range(20))):
        with pytest.raises(ApiError) as too_large:
            sdk.listen.v1.media.transcribe_file(request=large, model="nova-3", request_options=raw)
        assert too_large.value.status_code == 413


def test_a_wrong_token_is_refused(server: ScriptedServer, recording: bytes) -> None:
    with client(server, "wrong") as sdk, pytest.raises(ApiError) as refused:
        sdk.listen.v1.media.transcribe_file(request=recording, model="nova-3")
    assert refused.value.status_code == 401
    assert refused.value.body["err_code"] == "INVALID_AUTH"


def test_raw_samples_in_another_form(server: ScriptedServer) -> None:
    parameters = {"model": "x", "encoding": "mulaw", "sample_rate": "8000"}
    answer = httpx.post(
        f"{server.url}/v1/listen", params=parameters, headers=server.headers, content=bytes(8000), timeout=WAIT_SECONDS
    )
    assert answer.json()["metadata"]["duration"] == 1.0
    assert answer.headers["dg-request-id"] == answer.json()["metadata"]["request_id"]


def test_a_client_that_hangs_up_leaves_no_session_open(server: ScriptedServer) -> None:
    before = {snapshot.id for snapshot in server.sessions.list()}
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as half:
        head = f"POST /v1/listen?model=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {server.token}\r\n"
        half.sendall((head + "Content-Length: 100000\r\n\r\n").encode() + bytes(1000))
        wait_until(lambda: {snapshot.id for snapshot in server.sessions.list()} - before)
    (left,) = {snapshot.id for snapshot in server.sessions.list()} - before
    assert server.sessions.get(left).ended.wait(WAIT_SECONDS)


def test_problems_are_counted(server: ScriptedServer) -> None:
    refused = httpx.post(f"{server.url}/v1/listen", params={"redact": "x"}, headers=server.headers, content=b"x")
    assert json.loads(refused.text)["err_code"] == "NOT_OFFERED"
    metrics = httpx.get(f"{server.url}/metrics", headers=server.headers, timeout=WAIT_SECONDS).text
    assert 'openmic_errors_total{code="not_offered"}' in metrics
