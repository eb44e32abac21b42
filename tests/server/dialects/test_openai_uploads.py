from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pysubs2
import pytest

from openmic.server.dialects.openai.form import TranscriptionForm
from openmic.sessions.export import wav_header
from openmic.sessions.state import State
from openmic.sessions.types import SpeechOptions, Term
from tests.support import media
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server
from tests.support.waiting import wait_until

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
        assert response.json() == {"text": "heard 2.5 seconds", "usage": {"type": "duration", "seconds": 2.5}}


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
    assert body["usage"] == {"type": "duration", "seconds": 2.5}


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
@pytest.mark.parametrize(
    ("asked", "words", "segments"),
    [(["word"], True, False), (["segment"], False, True), (["word", "segment"], True, True), ([], False, True)],
)
def test_granularities(http: httpx.Client, name: str, asked: list[str], words: bool, segments: bool) -> None:
    fields = {"model": "whisper-1", "response_format": "verbose_json", name: asked}
    body = http.post(PATH, files={"file": ("speech.wav", WAV)}, data=fields).json()
    assert ("words" in body, "segments" in body) == (words, segments)
    if words:
        assert body["words"][0] == {"word": "one", "start": 0.0, "end": 1.0}


@pytest.mark.parametrize("fields", [{}, {"response_format": "text"}, {"response_format": "srt"}, {"stream": "true"}])
def test_a_file_that_is_longer_than_a_session_is_no_quiet_part(tmp_path: Path, fields: dict[str, str]) -> None:
    with scripted_server(tmp_path, max_seconds=1.0) as server:
        files = {"file": ("speech.wav", WAV)}
        refused = httpx.post(server.url + PATH, headers=server.headers, files=files, data=fields, timeout=30)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "session_too_long")
        wait_until(lambda: server.sessions.list()[0].final is not None)  # what was heard stays with the owner


def test_what_was_not_understood_of_a_file_is_told_beside_its_text(http: httpx.Client) -> None:
    spoken = np.frombuffer(WAV[44:], "<i2")
    response = post(http, media.mp3(spoken) + bytes(range(256)) * 200)
    assert response.json()["text"].startswith("heard 2.")
    assert response.headers["openmic-warning"] == "audio_not_understood"
    assert "openmic-warning" not in post(http).headers


def test_text_is_streamed_while_the_final_pass_goes_on(tmp_path: Path) -> None:
    engine = ScriptedEngine(corrections={" two": " too"})
    engine.may_finish.clear()
    engine.progress = 0.7
    form = {"files": {"file": ("speech.wav", WAV)}, "data": {"stream": "true", "language": "tr"}, "timeout": 30}
    with (
        scripted_server(tmp_path, engine=engine) as server,
        httpx.stream("POST", server.url + PATH, headers=server.headers, **form) as response,  # type: ignore[arg-type]
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = []
        for line in response.iter_lines():
            lines += [line] if line else []
            if "delta" in line:  # the first words are there, and the pass has not ended
                engine.may_finish.set()
    assert lines[0] == ": 1.8 of 2.5 seconds"
    events = [json.loads(line.removeprefix("data: ")) for line in lines[1:]]
    assert [event.get("delta") for event in events] == ["one too", " three", None]
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


@pytest.mark.parametrize("said", ["true", "True", "1", "yes"])
def test_a_stream_is_asked_for_in_any_spelling(http: httpx.Client, said: str) -> None:
    assert post(http, stream=said).headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt", "verbose_json"])
def test_a_stream_is_a_stream_in_every_format(http: httpx.Client, response_format: str) -> None:
    """The SDK takes an answer in one piece for a stream without events, and says nothing."""
    lines = post(http, stream="true", response_format=response_format).text.split("\n\n")
    assert json.loads(lines[-2].removeprefix("data: ")) == {
        "type": "transcript.text.done",
        "text": "heard 2.5 seconds",
    }


@pytest.mark.parametrize("said", ["false", "False", "0", "no", ""])
def test_and_so_is_none(http: httpx.Client, said: str) -> None:
    assert post(http, stream=said).json()["text"] == "heard 2.5 seconds"


def test_translations_are_english(http: httpx.Client) -> None:
    fields = {"response_format": "verbose_json", "language": "tr"}
    body = post(http, WAV, "/v1/audio/translations", **fields).json()
    assert (body["task"], body["language"]) == ("translate", "english")


@pytest.mark.parametrize("tag", ["tr", "TR", "tr-TR", "turkish"])
def test_a_language_in_any_spelling(http: httpx.Client, tag: str) -> None:
    assert post(http, response_format="verbose_json", language=tag).json()["language"] == "turkish"


def test_hints_are_accepted(http: httpx.Client) -> None:
    hints = {
        "temperature": "0.2",
        "include[]": "logprobs",
        "chunking_strategy[type]": "server_vad",
        "chunking_strategy[silence_duration_ms]": "500",
        "known_speaker_names[]": "",
        "redact": "false",
        "user": "somebody",
    }
    response = post(http, WAV, PATH, model="gpt-4o-transcribe-diarize", **hints)
    assert response.json()["text"] == "heard 2.5 seconds"
    assert response.headers["openmic-model"] == "scripted"


def test_keywords_are_the_vocabulary_and_a_long_prompt_is_cut(http: httpx.Client, server: ScriptedServer) -> None:
    server.engine.may_finish.clear()
    told: list[SpeechOptions] = []

    def look() -> None:
        while not server.engine.streams:
            time.sleep(0.01)
        told.append(server.engine.streams[0].options)
        server.engine.may_finish.set()

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    fields = {"keywords[]": ["Ada", "Bo"], "languages[]": "tr", "prompt": "x" * 4000 + "end"}
    assert http.post(PATH, files={"file": ("speech.wav", WAV)}, data=fields).status_code == 200
    looking.join(120)
    assert told == [SpeechOptions("tr", "transcribe", "x" * 3997 + "end", (Term("Ada"), Term("Bo")))]
    both = TranscriptionForm(keywords=["Ada", "Bo"], prompt="At work.", languages=["tr", "en"])
    assert both.options("transcribe") == SpeechOptions(None, "transcribe", "At work.", (Term("Ada"), Term("Bo")))


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": "diarized_json"}, "response_format", "diarisation"),
        ({"response_format": "docx"}, "response_format", "verbose_json"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "verbose_json"),
        (
            {"timestamp_granularities[]": "line", "response_format": "verbose_json"},
            "timestamp_granularities",
            "segment",
        ),
        ({"stream": "maybe"}, "stream", "bool"),
        ({"known_speaker_names[]": "Ada"}, "known_speaker_names", "diarisation"),
        ({"known_speaker_references[]": "data:audio/wav;base64,"}, "known_speaker_references", "diarisation"),
        ({"url": "http://169.254.169.254/"}, "url", "fetches"),
        ({"webhook": "https://example.org"}, "webhook", "calls"),
        ({"redact_pii": "true"}, "redact_pii", "leaves nothing out"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    http: httpx.Client, server: ScriptedServer, fields: dict[str, str], param: str, words: str
) -> None:
    before = server.sessions.known.opened_total
    response = post(http, WAV, PATH, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "bad_request", param)
    assert words in error["message"]
    assert server.sessions.known.opened_total == before


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"Dear Sir or Madam, " * 1000, {}, 400, "audio_not_decodable"),
        (b"", {}, 400, "audio_empty"),
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
    assert response.json()["text"] == "heard 2.5 seconds"
    odd = raw_form(http, f"multipart/form-data; boundary=B; charset={charset}", b"x", b"\xff\xfe")
    assert odd.status_code == 200


@pytest.mark.parametrize("content_type", ["multipart/form-data", 'multipart/form-data; boundary=""', "text/plain", ""])
def test_a_form_without_a_boundary_is_refused(http: httpx.Client, content_type: str) -> None:
    response = raw_form(http, content_type)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "bad_request"


def test_a_form_has_one_file_and_a_few_short_fields(http: httpx.Client) -> None:
    two = http.post(PATH, files=[("file", ("a.wav", WAV)), ("file", ("b.wav", WAV))])
    many = http.post(PATH, files={"file": ("a.wav", WAV)}, data={f"field{number}": "x" for number in range(120)})
    long = post(http, prompt="x" * 100_000)
    for refused in (two, many, long):
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["code"] == "bad_request"


def test_answers_have_the_name_of_their_session(http: httpx.Client, server: ScriptedServer) -> None:
    good, bad = post(http), post(http, b"Dear Sir or Madam, " * 1000)
    known = {session.id for session in server.sessions.list()}
    assert {good.headers["x-request-id"], bad.headers["x-request-id"]} <= known
    assert bad.json()["error"]["param"] == "file"
    names = {http.get("/v1/models").headers["x-request-id"], http.get("/nothing").headers["x-request-id"]}
    assert len(names - known) == 2
