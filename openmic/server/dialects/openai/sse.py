"""The answer to an upload with ``stream=true``: OpenAI's events, and between them how far the final text is.

Text goes out as the final pass gets it, window by window. Progress goes out as comments of the event stream (lines that
begin with a colon), which clients that do not know them ignore; they also keep proxies from taking the silence for an
end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from openmic.server.dialects.file_session import FileEvent, FileSession
from openmic.sessions.events import Ended, Failed, Finalised, Progressed, Warned


async def event_stream(fed: FileSession, first: FileEvent, events: AsyncIterator[FileEvent]) -> AsyncIterator[str]:
    """``first`` and all that follows it as server-sent events; lets go of the session at the end."""
    told = TranscriptEvents()
    try:
        for line in told.lines(first):
            yield line
        async for event in events:
            for line in told.lines(event):
                yield line
    finally:
        await fed.leave()


class TranscriptEvents:
    """A session's events as server-sent ones; the deltas put together are the text."""

    def __init__(self) -> None:
        self._told = ""

    def lines(self, event: FileEvent) -> Iterator[str]:
        """What is sent for one of them."""
        match event:
            case Progressed(progress):
                yield f": {progress.walked_seconds:.1f} of {progress.total_seconds:.1f} seconds\n\n"
                yield from self._grow(progress.text)
            case Finalised(_, final):
                yield from self._grow(final.text)
                yield _data({"type": "transcript.text.done", "text": final.text.strip()})
            case Failed(error):
                yield _data(
                    {"error": {"message": f"{error.message} {error.hint}", "code": error.code, "type": "error"}}
                )
            case Warned(error):
                yield f": {error.message}\n\n"
            case Ended():
                pass

    def _grow(self, text: str) -> Iterator[str]:
        text = text.strip()
        if len(text) > len(self._told):
            delta, self._told = text[len(self._told) :], text
            yield _data({"type": "transcript.text.delta", "delta": delta})


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
