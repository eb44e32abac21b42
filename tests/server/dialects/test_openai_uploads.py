from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pysubs2
import pytest

from openmic.sessions.export import wav_header
from openmic.sessions.state import State
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server

PATH = "/v1/audio/transcriptions"
WAV = wav_header(40_000) + b"\x10\x20" * 40_000  # 2.5 s


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("uploads"), max_upload_bytes=2_000_000) as running:
        yield running


def post(http: httpx.Client, data: bytes = WAV, path: str = PATH, **fields: str) -> httpx.Response:
    return http.post(path, files={"file": ("speech.wav", data)}, data={"model": "whisper-1", **fields})


def test_json_is_the_default(http: httpx.Client) -> None:
    for response in (post(http), post(http, response_format="json")):
        assert response.status_code == 200
        assert response.json() == {"text": "heard 2.5 seconds"}


def test_text_and_subtitles(http: httpx.Client) -> None:
    assert post(http, response_format="text").text == "heard 2.5 seconds\n"
    for ending in ("srt", "vtt"):
        subtitles = pysubs2.SSAFile.from_string(post(http, response_format=ending).text, ending)
        assert [cue.text for cue in subtitles] == ["one two three"]


def test_verbose_json(http: httpx.Client) -> None:
    body = post(http, response_format="verbose_json", language="tr").json()
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "turkish", 2.5)
    assert [segment["text"] for segment in body["segments"]] == [" one", " two", " three"]
    assert "words" not in body
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    words = post(http, **fields).json()["words"]
    assert words[0] == {"word": "one", "start": 0.0, "end": 1.0}


def test_streamed_answers_tell_how_far_they_are(tmp_path: Path) -> None:
    engine = ScriptedEngine(corrections={" two": " too"})
    engine.may_finish.clear()
    engine.progress = 0.5
    form = {"files": {"file": ("speech.wav", WAV)}, "data": {"stream": "true", "language": "tr"}, "timeout": 30}
    with (
        scripted_server(tmp_path, engine=engine) as server,
        httpx.stream("POST", server.url + PATH, headers=server.headers, **form) as response,  # type: ignore[arg-type]
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = []
        for line in response.iter_lines():
            lines += [line] if line else []
            engine.may_finish.set()
    assert lines[0] == ": 1.2 of 2.5 seconds"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[1:]]
    assert [event.get("delta") for event in events] == ["one", " too", " three", None]
    assert events[-1] == {"type": "transcript.text.done", "text": "one too three"}


def test_a_streamed_answer_to_what_is_no_audio_is_an_error_like_any_other(http: httpx.Client) -> None:
    response = post(http, b"Dear Sir or Madam, " * 1000, stream="true")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "audio_not_decodable")


def test_a_stream_that_fails_on_the_way_says_so_in_its_last_event(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.may_finish.clear()
    engine.progress = 0.5
    form = {"files": {"file": ("speech.wav", WAV)}, "data": {"stream": "true"}, "timeout": 30}
    with (
        scripted_server(tmp_path, engine=engine) as server,
        httpx.stream("POST", server.url + PATH, headers=server.headers, **form) as response,  # type: ignore[arg-type]
    ):
        lines = []
        for line in response.iter_lines():
            lines += [line] if line else []
            engine.close()
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "engine_closed"


def test_a_client_that_leaves_its_stream_frees_its_place(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.may_finish.clear()
    engine.progress = 0.5
    form = {"files": {"file": ("speech.wav", WAV)}, "data": {"stream": "true"}, "timeout": 30}
    with scripted_server(tmp_path, engine=engine) as server:
        with httpx.stream("POST", server.url + PATH, headers=server.headers, **form) as response:  # type: ignore[arg-type]
            assert next(response.iter_lines()).startswith(": ")
        session = wait_for_state(server, State.ENDED)
        assert server.sessions.get(session).snapshot().final is None


def test_formats_that_are_not_streamed_come_in_one_piece(http: httpx.Client) -> None:
    assert post(http, stream="true", response_format="srt").text.startswith("1\n00:00:00,000")


def test_translations(http: httpx.Client) -> None:
    body = post(http, path="/v1/audio/translations", response_format="verbose_json").json()
    assert body["task"] == "translate"


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"Dear Sir or Madam, " * 1000, {}, 400, "audio_not_decodable"),
        (b"", {}, 400, "audio_empty"),
        (WAV, {"response_format": "docx"}, 400, "bad_request"),
        (WAV, {"language": "klingon"}, 400, "unknown_language"),
        (bytes(2_100_000), {}, 413, "upload_too_large"),
    ],
)
def test_bad_uploads(http: httpx.Client, data: bytes, fields: dict[str, str], status: int, code: str) -> None:
    response = post(http, data, **fields)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert set(response.json()["error"]) >= {"message", "type", "param", "code"}
    assert post(http).status_code == 200


def test_requests_that_are_no_form(http: httpx.Client) -> None:
    for response in (
        http.post(PATH, json={"file": "speech.wav"}),
        http.post(PATH, data={"model": "whisper-1"}, files={"other": b"x"}),
        http.post(PATH, data={"file": "text"}, files={"other": b"x"}),
        http.post(PATH, content=b"no boundary", headers={"content-type": "multipart/form-data"}),
        http.post(PATH, content=b"rubbish", headers={"content-type": "multipart/form-data; boundary=x"}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_it_needs_the_token(server: ScriptedServer) -> None:
    response = httpx.post(server.url + PATH, files={"file": WAV})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "token_missing")


def test_a_full_server_says_when_to_come_back(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_sessions=1) as server:
        server.engine.may_finish.clear()
        with httpx.Client(base_url=server.url, headers=server.headers, timeout=120) as http:
            first = threading.Thread(target=post, args=(http,))
            first.start()
            wait_for_state(server, State.FINISHING)
            response = post(http)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "server_full")
            assert int(response.headers["retry-after"]) > 0
            server.engine.may_finish.set()
            first.join(120)


@pytest.mark.slow
def test_a_client_that_does_not_wait_for_its_answer_frees_its_place(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server:
        server.engine.may_finish.clear()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + PATH, headers=server.headers, files={"file": WAV}, timeout=2)
        session = wait_for_state(server, State.ENDED)
        assert server.sessions.get(session).snapshot().final is None


def wait_for_state(server: ScriptedServer, state: State) -> str:
    deadline = time.monotonic() + 120
    while True:
        for session in server.sessions.list():
            if session.state is state:
                return session.id
        assert time.monotonic() < deadline
        time.sleep(0.05)


def raw_form(
    http: httpx.Client, content_type: str, field: bytes = b"whisper-1", name: bytes = b"model"
) -> httpx.Response:
    parts = b'--B\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + field + b"\r\n"
    parts += b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + WAV + b"\r\n--B--\r\n"
    return http.post(PATH, content=parts, headers={"Content-Type": content_type})


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-16", "idna", "no-such-codec"])
def test_the_client_chooses_no_codec_for_its_fields(http: httpx.Client, charset: str) -> None:
    """punycode is quadratic, and a field is decoded on the loop that serves everybody."""
    response = raw_form(http, f"multipart/form-data; boundary=B; charset={charset}", b"a" * 60_000, b"model")
    assert response.status_code == 200, response.text
    assert response.json() == {"text": "heard 2.5 seconds"}
    odd = raw_form(http, f"multipart/form-data; boundary=B; charset={charset}", b"x", b"\xff\xfe")
    assert odd.status_code == 200


@pytest.mark.parametrize("content_type", ["multipart/form-data", 'multipart/form-data; boundary=""', "text/plain", ""])
def test_a_form_without_a_boundary_is_refused(http: httpx.Client, content_type: str) -> None:
    response = raw_form(http, content_type)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "bad_request"


def test_a_form_has_one_file_and_a_few_short_fields(http: httpx.Client) -> None:
    two = http.post(PATH, files=[("file", ("a.wav", WAV)), ("file", ("b.wav", WAV))])
    many = http.post(PATH, files={"file": ("a.wav", WAV)}, data={f"field{number}": "x" for number in range(30)})
    long = post(http, prompt="x" * 100_000)
    for refused in (two, many, long):
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["code"] == "bad_request"


def test_a_prompt_is_as_long_as_on_the_socket(http: httpx.Client) -> None:
    assert post(http, prompt="x" * 4000).status_code == 200
    refused = post(http, prompt="x" * 4001)
    assert refused.status_code == 400
    assert "4000" in refused.json()["error"]["message"]
