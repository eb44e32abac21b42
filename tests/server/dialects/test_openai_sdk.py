"""OpenAI's own SDK, unmodified, against our endpoints of the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pysubs2
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose, Translation, TranslationVerbose

from tests.support.scripted_engine import ScriptedServer, scripted_server

SPOKEN = "heard 15.2 seconds"
NUMBERS = ["one", "two", "three"]
STRICT: dict[str, Any] = {"timeout": 120, "max_retries": 0, "_strict_response_validation": True}
"""An answer that is not of the SDK's own types raises."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("openai")) as running:
        yield running


@pytest.fixture
def sdk(server: ScriptedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, **STRICT) as client:
        yield client


@pytest.fixture
def recording(sample_audio: Path) -> Path:
    return sample_audio / "quickstart.wav"


def test_transcription_as_json(sdk: openai.OpenAI, recording: Path) -> None:
    for answer in (
        sdk.audio.transcriptions.create(model="whisper-1", file=recording),
        sdk.audio.transcriptions.create(model="whisper-1", file=recording, response_format="json", temperature=0.2),
    ):
        assert isinstance(answer, Transcription)
        assert answer.text == SPOKEN
        assert answer.usage is not None
        assert answer.usage.type == "duration"
        assert answer.usage.seconds == pytest.approx(15.25, abs=0.05)


def test_transcription_as_text(sdk: openai.OpenAI, recording: Path) -> None:
    answer = sdk.audio.transcriptions.create(model="whisper-1", file=recording, response_format="text")
    assert answer == f"{SPOKEN}\n"


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_transcription_as_subtitles(sdk: openai.OpenAI, recording: Path, ending: Literal["srt", "vtt"]) -> None:
    answer = sdk.audio.transcriptions.create(model="whisper-1", file=recording, response_format=ending)
    cues = pysubs2.SSAFile.from_string(answer, ending)
    assert cues[0].plaintext.split()[:3] == NUMBERS


def test_transcription_as_verbose_json(sdk: openai.OpenAI, recording: Path) -> None:
    answer = sdk.audio.transcriptions.create(
        model="whisper-1",
        file=("speech.wav", recording.read_bytes(), "audio/wav"),
        response_format="verbose_json",
        language="tr",
        prompt="Numbers.",
        timestamp_granularities=["word", "segment"],
    )
    assert isinstance(answer, TranscriptionVerbose)
    assert (answer.text, answer.language) == (SPOKEN, "turkish")
    assert answer.duration == pytest.approx(15.25, abs=0.05)
    assert answer.segments is not None
    assert [segment.text.strip() for segment in answer.segments[:3]] == NUMBERS
    assert answer.words is not None
    assert [(word.word, word.start, word.end) for word in answer.words[:2]] == [("one", 0.0, 1.0), ("two", 1.0, 2.0)]


def test_words_are_only_given_where_asked_for(sdk: openai.OpenAI, recording: Path) -> None:
    answer = sdk.audio.transcriptions.create(model="whisper-1", file=recording, response_format="verbose_json")
    assert answer.words is None
    assert answer.segments


def test_words_alone(sdk: openai.OpenAI, recording: Path) -> None:
    answer = sdk.audio.transcriptions.create(
        model="whisper-1", file=recording, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert answer.words
    assert answer.segments is None


def test_hints_are_no_errors(sdk: openai.OpenAI, recording: Path) -> None:
    answer = sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=recording,
        prompt="Garden Library",
        temperature=0.2,
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "silence_duration_ms": 500},
    )
    assert answer.text == SPOKEN
    assert answer._request_id is not None


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"language": "klingon"}, "language"),
    ],
)
def test_what_cannot_be_honoured_names_its_field(
    sdk: openai.OpenAI, recording: Path, options: dict[str, Any], param: str
) -> None:
    create: Any = sdk.audio.transcriptions.create
    with pytest.raises(openai.BadRequestError) as caught:
        create(model="whisper-1", file=recording, **options)
    assert caught.value.param == param


def test_models(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["scripted", "whisper-1"]
    assert sdk.models.retrieve("whisper-1").id == "whisper-1"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.models.retrieve("dall-e-3")
    assert (caught.value.code, caught.value.param) == ("unknown_model", "model")


def test_translation_in_every_format(sdk: openai.OpenAI, recording: Path) -> None:
    translate = sdk.audio.translations.create
    plain = translate(model="whisper-1", file=recording)
    assert isinstance(plain, Translation)
    assert plain.text == SPOKEN
    assert translate(model="whisper-1", file=recording, response_format="text") == f"{SPOKEN}\n"
    for ending in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(translate(model="whisper-1", file=recording, response_format=ending), ending)
        assert cues[0].plaintext.split()[:3] == NUMBERS
    verbose = translate(model="whisper-1", file=recording, response_format="verbose_json")
    assert isinstance(verbose, TranslationVerbose)
    assert verbose.language == "english"
    assert verbose.text == SPOKEN
    assert verbose.segments
    assert verbose.model_dump()["task"] == "translate"


def test_a_streamed_transcription(sdk: openai.OpenAI, recording: Path) -> None:
    events = [*sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=recording, stream=True)]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == SPOKEN
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == SPOKEN


def test_the_async_client(server: ScriptedServer, recording: Path) -> None:

    async def run() -> str:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.token, **STRICT) as client:
            return (await client.audio.transcriptions.create(model="whisper-1", file=recording)).text

    assert asyncio.run(run()) == SPOKEN


def test_errors_are_the_sdks_own(sdk: openai.OpenAI, server: ScriptedServer, tmp_path: Path) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear Sir or Madam, " * 500)
    with pytest.raises(openai.BadRequestError, match="not audio that can be decoded") as caught:
        sdk.audio.transcriptions.create(model="whisper-1", file=letter)
    assert (caught.value.code, caught.value.param) == ("audio_not_decodable", "file")
    assert caught.value.request_id in {session.id for session in server.sessions.list()}
    with pytest.raises(openai.AuthenticationError) as refused:
        sdk.with_options(api_key="wrong").audio.transcriptions.create(model="whisper-1", file=letter)
    assert refused.value.code == "token_wrong"
