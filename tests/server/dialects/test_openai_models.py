"""``/v1/models``, which OpenAI's and Deepgram's SDKs both ask."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.scripted_engine import ScriptedServer, scripted_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("models")) as running:
        yield running


def test_the_running_model_is_listed_for_openai(http: httpx.Client) -> None:
    body = http.get("/v1/models").json()
    assert body["object"] == "list"
    assert [(model["id"], model["object"], model["owned_by"]) for model in body["data"]] == [
        ("scripted", "model", "openmic"),
        ("whisper-1", "model", "openmic"),
    ]


def test_and_for_deepgram(http: httpx.Client) -> None:
    body = http.get("/v1/models").json()
    assert body["tts"] == []
    (model,) = body["stt"]
    assert (model["name"], model["architecture"], model["streaming"]) == ("scripted", "whisper", True)
    assert {"en", "tr"} <= set(model["languages"]) == set(body["openmic"]["languages"])
    assert body["openmic"]["translates"] is True
    assert http.get(f"/v1/models/{model['uuid']}").json()["uuid"] == model["uuid"]


@pytest.mark.parametrize("name", ["scripted", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15"])
def test_names_that_stand_for_it_are_found(http: httpx.Client, name: str) -> None:
    assert http.get(f"/v1/models/{name}").json()["id"] == name


@pytest.mark.parametrize("name", ["tts-1", "gpt-4o", "a/b"])
def test_others_are_not(http: httpx.Client, name: str) -> None:
    response = http.get(f"/v1/models/{name}")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "unknown_model", "model")
    assert "scripted" in error["message"]


def test_it_needs_the_token(server: ScriptedServer) -> None:
    assert httpx.get(f"{server.url}/v1/models").status_code == 401


def test_pages_may_send_the_headers_of_sdks_and_read_those_of_answers(http: httpx.Client) -> None:
    page = {"Origin": "http://localhost:3000"}
    wanted = "authorization, x-stainless-os"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    preflight = http.options("/v1/audio/transcriptions", headers=page | asked)
    assert preflight.headers["access-control-allow-headers"] == wanted
    answer = http.get("/v1/models", headers=page)
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
