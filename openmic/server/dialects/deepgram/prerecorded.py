"""Deepgram's prerecorded interface: ``POST /v1/listen``.

https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded. The answer is the final of the recording.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.dependencies import require_token
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken
from openmic.server.dialects.deepgram import parameters
from openmic.server.dialects.deepgram.messages import (
    alternative,
    confidence,
    denial,
    model_info,
    model_uuid,
    session_fields,
    word_json,
)
from openmic.server.dialects.file_session import FileSession
from openmic.server.dialects.query import Query
from openmic.server.dialects.request_body import ReadsBytes, RequestBody, upload_place
from openmic.server.dialects.turns import text_of
from openmic.server.dialects.vendor import Json
from openmic.server.problems import PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.types import FinalText, Segment, SpeechOptions, Word

logger = logging.getLogger(__name__)

SPLIT_SECONDS = 0.8  # of silence between two utterances, where `utt_split` says nothing
PARAGRAPH_SECONDS = 2.0  # of silence between two paragraphs
FETCHES_NOTHING = "A server that fetches addresses can be made to fetch those of its own network; send the sound itself"


class DeepgramRoute(APIRoute):
    """A route whose problems are told as Deepgram tells them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See ``APIRoute``."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except OpenmicError as error:
                gate: Gate = request.app.state.entry
                request.app.state.metrics.count_error(error.code)
                address = gate.address(request)
                unlogged = gate.refusals.due("request_refused", error.code, address)
                if unlogged is not None:
                    unlogged_ones = unlogged or None
                    log_event(logger, "request_refused", code=error.code, address=address, unlogged=unlogged_ones)
                return denial(error)

        return answer


router = APIRouter(route_class=DeepgramRoute)


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """A body whose samples are made into those that a session takes."""

    body: RequestBody
    convert: Callable[[bytes], bytes]

    async def read(self, size: int = -1) -> bytes:
        data = b""
        while not data and (chunk := await self.body.read(size)):
            data = self.convert(chunk)
        return data


@router.post("/v1/listen")
async def listen(request: Request) -> Response:
    """Transcribe the body."""
    require_token(request)
    query = Query(request.query_params)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        raise PROBLEMS.error("not_offered", name="an address to fetch", detail=FETCHES_NOTHING)
    audio = parameters.read_audio(query)
    options = parameters.read_options(query, "keyterm", "keywords")
    split = query.number("utt_split")
    with upload_place(request):
        body = _Uploaded(RequestBody(request), audio.convert)
        session, final, warnings = await _transcribe(request, body, audio, options)
    model = request.app.state.sessions.engine.info.name
    wishes = _Wishes(
        query.flag("utterances"),
        query.flag("paragraphs"),
        query.flag("detect_language") or options.language is None,
        SPLIT_SECONDS if split is None else split,
    )
    answer = await asyncio.to_thread(_answer, session, final, model, wishes)
    answer["metadata"]["channels"] = audio.channels
    answer["metadata"]["openmic"]["ignored"] = parameters.ignored(query)
    return JSONResponse(answer, headers={"Cache-Control": "no-store", "dg-request-id": session.id} | warnings)


async def _transcribe(
    request: Request, body: ReadsBytes, audio: parameters.Audio, options: SpeechOptions
) -> tuple[Session, FinalText, dict[str, str]]:
    gate: Gate = request.app.state.entry
    token: AccessToken = request.state.token
    sessions: Sessions = request.app.state.sessions
    gate.count_start(token, request)
    session = await asyncio.to_thread(
        sessions.create, audio.format, options, words=True, token_id=token.id, resumes=False
    )
    fed = FileSession(request, session)
    try:
        gate.tokens.watch(fed, token, lambda: fed.fail(PROBLEMS.error("token_revoked")))
        await fed.begin(body)
        return session, await fed.final(), fed.warning_headers()
    finally:
        await fed.leave()


@dataclass(frozen=True, slots=True)
class _Wishes:
    utterances: bool
    paragraphs: bool
    language: bool
    split_seconds: float


def _answer(session: Session, final: FinalText, model: str, wishes: _Wishes) -> Json:
    words = [word for segment in final.segments for word in segment.words]
    best = alternative(words) | {"transcript": final.text.strip()}
    if wishes.paragraphs:
        best["paragraphs"] = _paragraphs(final)
    channel: Json = {"alternatives": [best]}
    if wishes.language:
        channel |= {"detected_language": final.language, "language_confidence": 1.0}
    results: Json = {"channels": [channel]}
    if wishes.utterances:
        results["utterances"] = [_utterance(stretch) for stretch in _stretches(words, wishes.split_seconds)]
    known = model_uuid(model)
    return {
        "metadata": {
            **session_fields(session),
            "duration": round(final.duration, 3),
            "channels": 1,
            "models": [known],
            "model_info": {known: model_info(model)},
            "openmic": {"session_id": session.id, "resume_token": session.resume_token, "language": final.language},
        },
        "results": results,
    }


def _stretches(words: Sequence[Word], split_seconds: float) -> Iterator[list[Word]]:
    """The words between two pauses, again and again."""
    stretch: list[Word] = []
    for word in words:
        if stretch and word.start - stretch[-1].end > split_seconds:
            yield stretch
            stretch = []
        stretch.append(word)
    if stretch:
        yield stretch


def _utterance(words: Sequence[Word]) -> Json:
    return {
        "id": str(uuid.uuid4()),
        "start": round(words[0].start, 3),
        "end": round(words[-1].end, 3),
        "confidence": confidence(words),
        "channel": 0,
        "transcript": text_of(words),
        "words": [word_json(word) for word in words],
    }


def _paragraphs(final: FinalText) -> Json:
    groups: list[list[Segment]] = []
    for segment in final.segments:
        if not groups or segment.start - groups[-1][-1].end > PARAGRAPH_SECONDS:
            groups.append([])
        groups[-1].append(segment)
    return {
        "transcript": "\n\n".join("".join(one.text for one in group).strip() for group in groups),
        "paragraphs": [
            {
                "sentences": [
                    {"text": one.text.strip(), "start": round(one.start, 3), "end": round(one.end, 3)} for one in group
                ],
                "num_words": sum(len(one.words) for one in group),
                "start": round(group[0].start, 3),
                "end": round(group[-1].end, 3),
            }
            for group in groups
        ],
    }
