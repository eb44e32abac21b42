"""OpenAI's transcription endpoints: a file in, its text out, in OpenAI's request and response formats.

https://platform.openai.com/docs/api-reference/audio. The model that runs here is used, whatever ``model`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from openmic.errors import OpenmicError
from openmic.server.http import require_token
from openmic.server.problems import PROBLEMS
from openmic.sessions.events import Ended, Failed, Finalised, SessionEvent
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.subtitles import cues, to_subtitles
from openmic.sessions.types import AUDIO_PROBLEMS, AudioFormat, FinalText, SpeechOptions, Task, language_name

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
CHUNK_BYTES = 65_536
VANISHED_SECONDS = 1.0  # how often a waiting request looks whether its client is still there

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
        options = SpeechOptions(_text(form, "language"), task, _text(form, "prompt"))
        sessions: Sessions = request.app.state.sessions
        session = await asyncio.to_thread(sessions.create, AudioFormat(), options)
        final = await _transcribe(request, session, upload)
    finally:
        await form.close()
    words = "word" in form.getlist("timestamp_granularities[]")
    return await asyncio.to_thread(_format, final, response_format, task, words)


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


async def _read_form(request: Request) -> FormData:
    """The whole form; a large file in it goes to the disk as it comes.

    Raises:
        OpenmicError: ``upload_too_large``, ``bad_request``.
    """
    most = request.app.state.settings.max_upload_bytes

    async def bounded() -> AsyncIterator[bytes]:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise PROBLEMS.error("upload_too_large", max_upload_bytes=most)
            yield chunk

    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise PROBLEMS.error("bad_request", detail="It is no multipart/form-data")
    try:
        return await MultiPartParser(request.headers, bounded()).parse()  # type: ignore[arg-type]
    except MultiPartException as error:
        raise PROBLEMS.error("bad_request", detail=error.message) from error


async def _transcribe(request: Request, session: Session, upload: UploadFile) -> FinalText:
    """Feed the file to the session and wait for its final; a client that has gone ends the session.

    Raises:
        OpenmicError: whatever the session ended with.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    events: list[SessionEvent] = []

    def hear(event: SessionEvent) -> None:
        if isinstance(event, Finalised | Ended | Failed):
            events.append(event)
        if isinstance(event, Ended | Failed):
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(over.set)

    await asyncio.to_thread(session.attach, hear)
    try:
        with contextlib.suppress(OpenmicError):  # it took no more: too long, or no audio; its last event says so
            while chunk := await upload.read(CHUNK_BYTES):
                await asyncio.to_thread(session.write, chunk)
            await asyncio.to_thread(session.stop)
        while not over.is_set():
            try:
                async with asyncio.timeout(VANISHED_SECONDS):
                    await over.wait()
            except TimeoutError:
                if await request.is_disconnected():
                    break
    finally:
        session.detach(hear)
        if not over.is_set():
            await asyncio.to_thread(session.abandon, SESSION_PROBLEMS.error("client_gone"))
    for event in events:
        if isinstance(event, Failed):
            raise event.error
    return next(event.final for event in events if isinstance(event, Finalised))


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
