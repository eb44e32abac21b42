"""The answer to an upload with ``stream=true``: OpenAI's events, and between them how far the final text is.

Progress goes out as comments of the event stream (lines that begin with a colon), which clients that do not know them
ignore; they also keep proxies from taking the silence for an end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from openmic.server.dialects.openai.file_session import FileEvent, FileSession
from openmic.sessions.events import Ended, Failed, Finalised, Progressed
from openmic.sessions.types import FinalText


async def event_stream(fed: FileSession, first: FileEvent, events: AsyncIterator[FileEvent]) -> AsyncIterator[str]:
    """``first`` and all that follows it as server-sent events; lets go of the session at the end."""
    try:
        for line in to_lines(first):
            yield line
        async for event in events:
            for line in to_lines(event):
                yield line
    finally:
        await fed.leave()


def to_lines(event: FileEvent) -> list[str]:
    """One event of a session as server-sent events."""
    match event:
        case Progressed(progress):
            return [f": {progress.walked_seconds:.1f} of {progress.total_seconds:.1f} seconds\n\n"]
        case Finalised(_, final):
            deltas = [_data({"type": "transcript.text.delta", "delta": delta}) for delta in _deltas(final)]
            return [*deltas, _data({"type": "transcript.text.done", "text": final.text.strip()})]
        case Failed(error):
            return [_data({"error": {"message": f"{error.message} {error.hint}", "code": error.code, "type": "error"}})]
        case Ended():
            return []


def _deltas(final: FinalText) -> list[str]:
    """The text in the segments' pieces; put together they are the text."""
    texts = [segment.text for segment in final.segments if segment.text]
    text = final.text.strip()
    if "".join(texts).strip() != text:
        texts = [text]
    if texts:
        texts[0] = texts[0].lstrip()
        texts[-1] = texts[-1].rstrip()
    return [piece for piece in texts if piece]


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
