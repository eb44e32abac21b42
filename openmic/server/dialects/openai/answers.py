"""A final text in the response formats of OpenAI's transcription endpoints."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from openmic.server.dialects.openai.form import TranscriptionForm
from openmic.sessions.text.subtitles import cues, to_subtitles
from openmic.sessions.types import FinalText, Task, language_name


def answer(final: FinalText, fields: TranscriptionForm, task: Task) -> Response:
    """The response to a request that is not streamed."""
    match fields.response_format:
        case "text":
            return PlainTextResponse(final.text.strip() + "\n")
        case "srt" | "vtt" as subtitles:
            return PlainTextResponse(to_subtitles(cues(final.segments), subtitles, final.duration))
        case "verbose_json":
            return JSONResponse(_verbose(final, fields, task))
        case "json":
            return JSONResponse({"text": final.text.strip(), "usage": _usage(final)})


def _usage(final: FinalText) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(final.duration, 3)}


def _verbose(final: FinalText, fields: TranscriptionForm, task: Task) -> dict[str, Any]:
    """``verbose_json``; a translation's language is that of its text."""
    body: dict[str, Any] = {
        "task": task,
        "language": "english" if task == "translate" else language_name(final.language),
        "duration": final.duration,
        "text": final.text.strip(),
    }
    if fields.segments:
        body["segments"] = [
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
        ]
    if fields.words:
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for segment in final.segments
            for word in segment.words
        ]
    body["usage"] = _usage(final)
    return body
