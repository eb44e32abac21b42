"""A session's files over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import cast

from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from openmic.errors import OpenmicError
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import error_response
from openmic.sessions.export import MEDIA_TYPES, SOUND, SoundFormat, TextFormat, export_sound, export_text
from openmic.sessions.schemas import to_session
from openmic.sessions.session import Session

NAME_DIGITS = 8  # of the session's name, in the file's
MOST_AT_ONCE = 4  # downloads of one session's sound: each reads, and for FLAC encodes, all of it


class Downloads:
    """Those of sound that are running, by session; used on the event loop only."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    def begin(self, session_id: str) -> None:
        """One more.

        Raises:
            OpenmicError: ``too_many_downloads``.
        """
        if self._running[session_id] >= MOST_AT_ONCE:
            raise PROBLEMS.error("too_many_downloads", most=MOST_AT_ONCE)
        self._running[session_id] += 1

    def end(self, session_id: str) -> None:
        """One less."""
        self._running[session_id] -= 1
        if self._running[session_id] <= 0:
            del self._running[session_id]


class SoundResponse(StreamingResponse):
    """A download that counts among ``downloads`` while it runs."""

    downloads: Downloads
    session_id: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; see ASGI."""
        try:
            self.downloads.begin(self.session_id)
        except OpenmicError as error:
            await error_response(error)(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.downloads.end(self.session_id)


def session_file(session: Session, ending: str, downloads: Downloads) -> Response:
    """A session as it is now, in the form that ``ending`` asks for ("": how it stands, as JSON).

    Args:
        session: which.
        ending: of the file's name.
        downloads: those that are running.

    Raises:
        OpenmicError: ``not_found``: there is no such form.
    """
    headers = {"Cache-Control": "no-store"}
    if not ending:
        body = to_session(session.snapshot(), session.commits()).model_dump_json()
        return Response(body, headers=headers, media_type="application/json")
    if ending not in MEDIA_TYPES:
        raise PROBLEMS.error("not_found")
    headers["Content-Disposition"] = f'attachment; filename="openmic-{session.id[:NAME_DIGITS]}.{ending}"'
    media_type = MEDIA_TYPES[ending]
    if ending not in SOUND:
        text_format = cast(TextFormat, ending)
        text = export_text(text_format, session.snapshot(), session.commits(), session.recording.seconds)
        return Response(text, headers=headers, media_type=media_type)
    sound = export_sound(cast(SoundFormat, ending), session.recording)
    if sound.length_bytes is not None:
        headers["Content-Length"] = str(sound.length_bytes)
    response = SoundResponse(sound.chunks, headers=headers, media_type=media_type)
    response.downloads, response.session_id = downloads, session.id
    return response
