"""What a transcription request says: its form, read with bounds, and its fields.

Fields follow https://platform.openai.com/docs/api-reference/audio. Hints about form or cost are accepted and change
nothing; what the answer would silently lack is refused, and so is what would have the server act elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from openmic.server.dialects.request_body import RequestBody
from openmic.server.dialects.vendor import to_prompt, to_terms
from openmic.server.problems import PROBLEMS, BadField
from openmic.sessions.types import AUDIO_PROBLEMS, SpeechOptions, Task, language_code

BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1
MOST_FIELDS = 100  # of a form, beside its file: a keyword is one
MOST_FIELD_BYTES = 65_536  # of one of them

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
LISTS = ("timestamp_granularities", "include", "keywords", "languages", "known_speaker_names")
"""Fields that may come several times; their names end with [] or do not."""

NO_DIARISATION = (
    "This server has no diarisation: it does not tell speakers apart, so that {what} would have no speakers"
)
FETCHES_NOTHING = "This server fetches and calls no addresses; send the sound itself as `file`"
REDACTS_NOTHING = "This server leaves nothing out of what was said; redact the text yourself"
REFUSED = {
    "known_speaker_names": NO_DIARISATION.format(what="the answer"),
    "known_speaker_references": NO_DIARISATION.format(what="the answer"),
    "url": FETCHES_NOTHING,
    "file_url": FETCHES_NOTHING,
    "callback": FETCHES_NOTHING,
    "callback_url": FETCHES_NOTHING,
    "webhook": FETCHES_NOTHING,
    "webhook_url": FETCHES_NOTHING,
    "redact": REDACTS_NOTHING,
    "redact_pii": REDACTS_NOTHING,
}
"""Fields that must be empty, with why."""
UNSET = ("", "false", "False", "0")


class TranscriptionForm(BaseModel):
    """The fields that change the answer; all others are hints."""

    language: str | None = None
    languages: list[str] = []
    prompt: str = ""
    keywords: list[str] = []
    response_format: ResponseFormat = "json"
    timestamp_granularities: list[Literal["word", "segment"]] = Field(default=[])
    stream: bool = False

    @property
    def words(self) -> bool:
        """Whether the times of words are wanted."""
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """Whether segments are wanted: unless words alone are."""
        return self.timestamp_granularities != ["word"]

    def options(self, task: Task) -> SpeechOptions:
        """What the session is asked for.

        Raises:
            OpenmicError: ``unknown_language``.
        """
        named = [self.language] if self.language else self.languages
        language = language_code(named[0]) if len(named) == 1 else None
        return SpeechOptions(language, task, to_prompt(self.prompt), to_terms(self.keywords))


def to_fields(form: FormData) -> TranscriptionForm:
    """The fields of a form.

    Raises:
        OpenmicError: ``bad_request`` (as ``BadField``): one of them cannot be used, or two not together.
    """
    for name, detail in REFUSED.items():
        for value in _values(form, name):
            if isinstance(value, UploadFile) or value not in UNSET:
                raise BadField(name, f"`{name}` cannot be honoured. {detail}")
    response_format = form.get("response_format")
    if response_format == "diarized_json":
        raise BadField("response_format", NO_DIARISATION.format(what="`diarized_json`"))
    given: dict[str, Any] = {name: form[name] for name in TranscriptionForm.model_fields if form.get(name)}
    given |= {name: [value for value in _values(form, name) if value] for name in LISTS}
    try:
        fields = TranscriptionForm.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])
        if name == "response_format":
            raise BadField(name, f"`{name}` is one of {', '.join(get_args(ResponseFormat))}") from error
        raise BadField(name, f"`{name}`: {first['msg']}") from error
    if fields.words and fields.response_format != "verbose_json":
        detail = "The granularity `word` needs the `response_format` verbose_json: no other has words with times"
        raise BadField("timestamp_granularities", detail)
    return fields


def file_of(form: FormData) -> UploadFile:
    """The file of a form.

    Raises:
        OpenmicError: ``bad_request``: there is none; ``audio_empty``.
    """
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise BadField("file", "The form has no file named `file`")
    if upload.size == 0:
        raise AUDIO_PROBLEMS.error("audio_empty")
    return upload


def _values(form: FormData, name: str) -> list[UploadFile | str]:
    return [*form.getlist(name), *form.getlist(f"{name}[]")]


async def read_form(request: Request) -> FormData:
    """The whole form; a large file in it goes to the disk as it comes.

    Raises:
        OpenmicError: ``bad_request``, or what ``RequestBody.read`` raises.
    """
    body = RequestBody(request)

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await body.read():
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
        chunks(),  # type: ignore[arg-type]
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=MOST_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise PROBLEMS.error("bad_request", detail=error.message) from error
