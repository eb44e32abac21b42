"""A session's files over HTTP."""

from __future__ import annotations

from typing import cast

from fastapi.responses import Response, StreamingResponse

from openmic.server.problems import PROBLEMS
from openmic.sessions.export import MEDIA_TYPES, SOUND, SoundFormat, TextFormat, export_sound, export_text
from openmic.sessions.schemas import to_session
from openmic.sessions.session import Session

NAME_DIGITS = 8  # of the session's name, in the file's


def session_file(session: Session, ending: str) -> Response:
    """A session as it is now, in the form that ``ending`` asks for ("": how it stands, as JSON).

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
    return StreamingResponse(sound.chunks, headers=headers, media_type=media_type)
