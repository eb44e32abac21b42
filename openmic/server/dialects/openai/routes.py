"""OpenAI's transcription endpoints: a file in, its text out, in OpenAI's request and response formats.

https://platform.openai.com/docs/api-reference/audio. The model that runs here is used, whatever ``model`` says; the
header ``openmic-model`` names it.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from openmic.server.access.dependencies import require_token
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken
from openmic.server.dialects.file_session import FileSession
from openmic.server.dialects.openai.answers import answer
from openmic.server.dialects.openai.form import file_of, read_form, to_fields
from openmic.server.dialects.openai.models import MODEL_HEADER
from openmic.server.dialects.openai.sse import event_stream
from openmic.server.dialects.request_body import upload_place
from openmic.server.middleware import name_request
from openmic.server.problems import PROBLEMS
from openmic.sessions.events import Failed
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.types import AudioFormat, Task

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
    with upload_place(request, copies=2):  # once as a form, once as a session
        form = await read_form(request)
    sessions: Sessions = request.app.state.sessions
    headers = {MODEL_HEADER: sessions.engine.info.name}
    try:
        upload, fields = file_of(form), to_fields(form)
        options = fields.options(task)
        gate.count_start(token, request)
        session = await asyncio.to_thread(sessions.create, AudioFormat(), options, token_id=token.id, resumes=False)
        name_request(request, session.id)
        fed = FileSession(request, session)
        try:
            gate.tokens.watch(fed, token, lambda: fed.fail(PROBLEMS.error("token_revoked")))
            await fed.begin(upload)
            if fields.stream:
                return await _event_stream(fed, headers)
            final = await fed.final()
        except BaseException:
            await fed.leave()
            raise
        await fed.leave()
    finally:
        await form.close()
    response = await asyncio.to_thread(answer, final, fields, task)
    response.headers.update(headers | fed.warning_headers())
    return response


async def _event_stream(fed: FileSession, headers: dict[str, str]) -> Response:
    """The events as they come; a file that cannot be used is still told by the status.

    Raises:
        OpenmicError: as ``FileSession.final``, where it ends before anything was sent.
    """
    events = fed.events()
    first = await anext(events, None)
    if first is None:
        raise SESSION_PROBLEMS.error("client_gone")
    if isinstance(first, Failed):
        raise first.error
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
    return StreamingResponse(event_stream(fed, first, events), headers=headers, media_type="text/event-stream")
