from __future__ import annotations

import io
import json
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pysubs2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from openmic.audio.decoder import AudioFormat
from openmic.server.dialects.native.messages import SessionList
from openmic.sessions.schemas import SessionJson, TranscriptJson
from openmic.sessions.session import Session
from openmic.speech.types import SpeechOptions
from tests.support.scripted_engine import ScriptedServer, scripted_server

PCM = AudioFormat("pcm_s16le", 16_000, 1)
TONE = (np.sin(np.arange(40_000) / 10) * 8000).astype("<i2").tobytes()  # 2.5 s


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("http"), max_sessions=50) as running:
        yield running


@pytest.fixture
def ended(server: ScriptedServer) -> Session:
    session = server.sessions.create(PCM, SpeechOptions())
    session.write(TONE)
    session.stop()
    assert session.ended.wait(120)
    return session


def test_health_needs_no_token_and_tells_little(server: ScriptedServer) -> None:
    assert httpx.get(server.url + "/healthz").json() == {"status": "ok", "keep_seconds": 3600.0}


@pytest.mark.parametrize("path", ["/metrics", "/v1/sessions", "/v1/sessions/x.wav", "/v1/nothing", "/v1/audio/x"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic c2VjcmV0", "secret"])
def test_everything_else_needs_the_token(server: ScriptedServer, path: str, header: str | None) -> None:
    response = httpx.get(server.url + path, headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] in ("token_missing", "token_wrong")
    assert "secret" not in response.text
    assert httpx.get(server.url + path + "?token=secret").status_code == 401


def test_the_list_of_sessions(http: httpx.Client, ended: Session) -> None:
    response = http.get("/v1/sessions")
    assert response.headers["cache-control"] == "no-store"
    listed = {one.id: one for one in SessionList.model_validate(response.json()).sessions}
    assert listed[ended.id].state == "ended"
    assert (listed[ended.id].audio_seconds, listed[ended.id].reason) == (2.5, "stopped")
    assert "heard" not in response.text
    assert ended.resume_token not in response.text


def test_the_json_of_a_session(http: httpx.Client, ended: Session) -> None:
    response = http.get(f"/v1/sessions/{ended.id}")
    body = SessionJson.model_validate(response.json())
    assert body.final is not None
    assert (body.text, body.final.duration, body.live_text) == (" heard 2.5 seconds", 2.5, "")
    assert [commit.text for commit in body.commits] == [" one", " two", " three"]
    assert body.final.segments[0].words
    assert ended.resume_token not in response.text


def test_the_json_to_download(http: httpx.Client, ended: Session) -> None:
    response = http.get(f"/v1/sessions/{ended.id}.json")
    body = TranscriptJson.model_validate(response.json())
    assert (body.id, body.text, body.duration, body.model) == (ended.id, " heard 2.5 seconds", 2.5, "scripted")
    assert (body.live_text, len(body.commits), len(body.segments)) == ("one two three", 3, 3)
    assert [one.kind for one in body.revised] == ["words"]
    assert ended.resume_token not in response.text


def test_the_json_of_a_session_that_still_runs(server: ScriptedServer, http: httpx.Client) -> None:
    session = server.sessions.create(PCM, SpeechOptions())
    session.write(TONE)
    for _ in range(200):
        body = SessionJson.model_validate(http.get(f"/v1/sessions/{session.id}").json())
        if len(body.commits) == 2 and body.live_text:
            break
        time.sleep(0.05)
    assert (body.state, body.final) == ("receiving", None)
    assert body.text.startswith("one two listening for 0.")
    assert http.get(f"/v1/sessions/{session.id}.txt").text == "one\ntwo\n"
    so_far = TranscriptJson.model_validate(http.get(f"/v1/sessions/{session.id}.json").json())
    assert (so_far.text, so_far.language, so_far.segments, so_far.revised) == ("one two", "en", [], [])
    running = http.get(f"/v1/sessions/{session.id}.wav").content
    with wave.open(io.BytesIO(running)) as file:
        assert file.getnframes() == (len(running) - 44) // 2 > 30_000


def test_downloads(http: httpx.Client, ended: Session) -> None:
    for ending in ("srt", "vtt"):
        response = http.get(f"/v1/sessions/{ended.id}.{ending}")
        assert [cue.text for cue in pysubs2.SSAFile.from_string(response.text)] == ["one two three"]
        assert f'filename="openmic-{ended.id[:8]}.{ending}"' in response.headers["content-disposition"]
    assert http.get(f"/v1/sessions/{ended.id}.txt").text == "one\ntwo\nthree\n"
    response = http.get(f"/v1/sessions/{ended.id}.wav")
    assert int(response.headers["content-length"]) == len(response.content)
    with wave.open(io.BytesIO(response.content)) as file:
        assert file.readframes(100_000) == TONE


def test_flac_is_the_same_sound(http: httpx.Client, ended: Session) -> None:
    response = http.get(f"/v1/sessions/{ended.id}.flac")
    assert (response.status_code, response.headers["content-type"]) == (200, "audio/flac")
    assert f'filename="openmic-{ended.id[:8]}.flac"' in response.headers["content-disposition"]
    with av.open(io.BytesIO(response.content), "r") as file:
        assert file.duration == 2_500_000  # microseconds
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert heard.astype("<i2").tobytes() == TONE


def test_what_was_deleted_says_so_whoever_asks(tmp_path: Path) -> None:
    with scripted_server(tmp_path, keep_seconds=0.0) as server:
        session = server.sessions.create(PCM, SpeechOptions())
        session.write(TONE)
        session.stop()
        assert session.ended.wait(120)
        url = f"{server.url}/v1/sessions/{session.id}.txt"
        deadline = time.monotonic() + 120
        while not server.sessions.known.was_deleted(session.id):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for token in (server.token, session.resume_token, "wrong"):
            response = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (404, "session_deleted")
            assert error["hint"] in error["message"]
        assert httpx.get(f"{server.url}/v1/sessions/{'0' * 32}.txt", headers=server.headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/sessions/" + "0" * 32, 404, "unknown_session"),
        ("GET", "/v1/sessions/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("GET", "/v1/stream", 404, "not_found"),
        ("GET", "/no/such/page", 404, "not_found"),
        ("POST", "/v1/sessions", 405, "wrong_method"),
        ("GET", "/v1/audio/transcriptions", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/no/such", 404, "not_found"),
        ("PUT", "/no/such/page", 404, "not_found"),
        ("POST", "/v1/models", 405, "wrong_method"),
        ("OPTIONS", "/v1/sessions", 405, "wrong_method"),
    ],
)
def test_what_is_not_there(http: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    response = http.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_wrong_method_says_which_is_right(http: httpx.Client) -> None:
    assert http.post("/v1/sessions").headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/v1/sessions", "/v1/models", "/v1/nothing"])
def test_head_is_get_without_its_body(http: httpx.Client, path: str) -> None:
    got, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_an_unknown_ending(http: httpx.Client, ended: Session) -> None:
    assert http.get(f"/v1/sessions/{ended.id}.exe").json()["error"]["code"] == "not_found"


def test_metrics(http: httpx.Client, ended: Session) -> None:
    http.get("/v1/sessions/unknown")
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert values["openmic_sessions", "ended"] >= 1
    assert values["openmic_sessions_opened_total",] >= 1
    assert values["openmic_received_bytes_total",] >= 80_000
    assert values["openmic_audio_seconds_total",] >= 2.5
    assert values["openmic_errors_total", "unknown_session"] >= 1
    assert values["openmic_engine_step_seconds",] == 0.1
    assert values["openmic_engine_lag_seconds",] == 0.5
    assert values["openmic_engine_late",] == values["openmic_engine_finals_held",] == 0
    assert values["openmic_engine_slowness_ratio",] == 1.0
    assert "heard" not in json.dumps(response.text)


def test_two_apps_in_one_process_have_their_own_metrics(server: ScriptedServer, ended: Session, tmp_path: Path) -> None:
    with scripted_server(tmp_path) as other:
        text = httpx.get(other.url + "/metrics", headers=other.headers).text
        assert "openmic_sessions_opened_total 0.0" in text
