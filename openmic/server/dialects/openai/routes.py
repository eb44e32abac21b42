"""OpenAI's transcription endpoints: a file in, its text out, in OpenAI's request and response formats.

https://platform.openai.com/docs/api-reference/audio. The model that runs here is used, whatever ``model`` says.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from openmic.server.access.dependencies import require_token
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken
from openmic.server.dialects.openai.file_session import FileSession
from openmic.server.dialects.openai.sse import event_stream
from openmic.server.problems import PROBLEMS
from openmic.sessions.events import Failed, Finalised
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.problems import ServerFull
from openmic.sessions.registry import Sessions
from openmic.sessions.schemas import MOST_PROMPT_LETTERS
from openmic.sessions.text.subtitles import cues, to_subtitles
from openmic.sessions.types import AUDIO_PROBLEMS, AudioFormat, FinalText, SpeechOptions, Task, language_name
from openmic.settings import Settings

BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1
MOST_FIELDS = 20  # of a form, beside its file
MOST_FIELD_BYTES = 65_536  # of one of them

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
STREAMED = ("json", "text")  # the formats that OpenAI streams; the others come in one piece

LEAST_UPLOAD_RATE = 2048  # bytes a second, on average beyond the first idle_seconds; the thinnest speech has 750
RETRY_SECONDS = 10.0  # what a file that finds no place is told to wait

router = APIRouter(dependencies=[Depends(require_token)])


@router.post("/v1/audio/transcriptions")
async def transcriptions(request: Request) -> Response:
    """Transcribe an uploaded file."""
    return await _answer(request, "transcribe")


@router.post("/v1/audio/translations")
async def translations(request: Request) -> Response:
    """Translate an uploaded file's speech into English."""
    return await _answer(request, "translate")


async def _answer(request: Request, task: Task) -> Response:
    gate: Gate = request.app.state.entry
    token: AccessToken = request.state.token
    with _place(request):
        form = await _read_form(request)
    try:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise PROBLEMS.error("bad_request", detail="The form has no file named `file`")
        if upload.size == 0:
            raise AUDIO_PROBLEMS.error("audio_empty")
        response_format = form.get("response_format", "json")
        if response_format not in get_args(ResponseFormat):
            known = ", ".join(get_args(ResponseFormat))
            raise PROBLEMS.error("bad_request", detail=f"`response_format` is one of {known}")
        prompt = _text(form, "prompt")
        if prompt is not None and len(prompt) > MOST_PROMPT_LETTERS:
            detail = f"`prompt` has {len(prompt)} characters, and {MOST_PROMPT_LETTERS} are the most"
            raise PROBLEMS.error("bad_request", detail=detail)
        options = SpeechOptions(_text(form, "language"), task, prompt)
        sessions: Sessions = request.app.state.sessions
        gate.count_start(token, request)
        session = await asyncio.to_thread(sessions.create, AudioFormat(), options, token_id=token.id)
        fed = FileSession(request, session)
        streamed = form.get("stream") == "true" and response_format in STREAMED
        try:
            gate.tokens.watch(fed, token, lambda: fed.fail(PROBLEMS.error("token_revoked")))
            await fed.begin(upload)
            if streamed:
                return await _event_stream(fed)
            final = await _final(fed)
        except BaseException:
            await fed.leave()
            raise
        await fed.leave()
    finally:
        await form.close()
    words = "word" in form.getlist("timestamp_granularities[]")
    return await asyncio.to_thread(_format, final, response_format, task, words)


@contextmanager
def _place(request: Request) -> Iterator[None]:
    """One of the places for files that are being received; there are as many as for sessions.

    Raises:
        OpenmicError: ``server_full``, ``disk_full``.
    """
    state = request.app.state
    if state.receiving_uploads >= state.sessions.places:
        raise ServerFull(state.receiving_uploads, state.sessions.places, RETRY_SECONDS)
    announced = request.headers.get("content-length", "")
    state.sessions.space.check(2 * int(announced) if announced.isdecimal() else 0)  # once as a form, once as a session
    state.receiving_uploads += 1
    try:
        yield
    finally:
        state.receiving_uploads -= 1


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


async def _read_form(request: Request) -> FormData:
    """The whole form; a large file in it goes to the disk as it comes.

    Raises:
        OpenmicError: ``upload_too_large``, ``upload_too_slow``, ``bad_request``, ``idle_too_long``.
    """
    settings: Settings = request.app.state.settings
    most, idle_seconds = settings.max_upload_bytes, settings.idle_seconds

    async def bounded() -> AsyncIterator[bytes]:
        size, chunks, began_at = 0, request.stream(), time.monotonic()
        while True:
            try:
                async with asyncio.timeout(idle_seconds):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as late:
                raise SESSION_PROBLEMS.error("idle_too_long", idle_seconds=idle_seconds) from late
            size += len(chunk)
            seconds = time.monotonic() - began_at
            if size < LEAST_UPLOAD_RATE * (seconds - idle_seconds) or seconds > settings.max_seconds + idle_seconds:
                raise PROBLEMS.error("upload_too_slow", rate=LEAST_UPLOAD_RATE, max_seconds=settings.max_seconds)
            if size > most:
                raise PROBLEMS.error("upload_too_large", max_upload_bytes=most)
            yield chunk

    kind, fields = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise PROBLEMS.error("bad_request", detail="It is no multipart/form-data")
    boundary = fields.get(b"boundary", b"")
    if not BOUNDARY.fullmatch(boundary):
        raise PROBLEMS.error(
            "bad_request", detail="Its Content-Type has no boundary, or one that RFC 2046 does not allow"
        )
    # Only the boundary goes on: with a charset, the parser would decode each field by a codec of the client's choice.
    headers = Headers(raw=[(b"content-type", b'multipart/form-data; boundary="' + boundary + b'"')])
    parser = MultiPartParser(
        headers,
        bounded(),  # type: ignore[arg-type]
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=MOST_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise PROBLEMS.error("bad_request", detail=error.message) from error


async def _final(fed: FileSession) -> FinalText:
    """Wait for the final.

    Raises:
        OpenmicError: whatever the session ended with; ``client_gone``.
    """
    final: FinalText | None = None
    async for event in fed.events():
        match event:
            case Finalised():
                final = event.final
            case Failed(error):
                raise error
    if final is None:
        raise SESSION_PROBLEMS.error("client_gone")
    return final


async def _event_stream(fed: FileSession) -> Response:
    """The events as they come; a file that cannot be used is still told by the status.

    Raises:
        OpenmicError: as ``_final``, where it ends before anything was sent.
    """
    events = fed.events()
    first = await anext(events, None)
    if first is None:
        raise SESSION_PROBLEMS.error("client_gone")
    if isinstance(first, Failed):
        raise first.error
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(event_stream(fed, first, events), headers=headers, media_type="text/event-stream")


def _format(final: FinalText, response_format: object, task: Task, words: bool) -> Response:
    match response_format:
        case "text":
            return PlainTextResponse(final.text.strip() + "\n")
        case "srt":
            return PlainTextResponse(to_subtitles(cues(final.segments), "srt", final.duration))
        case "vtt":
            return PlainTextResponse(to_subtitles(cues(final.segments), "vtt", final.duration))
        case "verbose_json":
            return JSONResponse(_verbose(final, task, words=words))
        case _:
            return JSONResponse({"text": final.text.strip()})


def _verbose(final: FinalText, task: Task, *, words: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": task,
        "language": language_name(final.language),
        "duration": final.duration,
        "text": final.text.strip(),
        "segments": [
            {
                "id": segment.id,
                "seek": segment.seek,
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "tokens": list(segment.tokens),
                "temperature": segment.temperature,
                "avg_logprob": segment.avg_logprob,
                "compression_ratio": segment.compression_ratio,
                "no_speech_prob": segment.no_speech_prob,
            }
            for segment in final.segments
        ],
    }
    if words:
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for segment in final.segments
            for word in segment.words
        ]
    return body
