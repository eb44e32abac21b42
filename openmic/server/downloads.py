"""A session's files to take along: its transcript as text, subtitles or JSON, and what was heard as WAV or FLAC."""

from __future__ import annotations

from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from openmic.server.problems import PROBLEMS
from openmic.server.wire import to_session, to_transcript
from openmic.sessions.captions import Cue
from openmic.sessions.session import Session
from openmic.sessions.sound import flac_file, wav_file, wav_file_bytes
from openmic.sessions.subtitles import cues, to_subtitles, to_text

NAME_DIGITS = 8  # of the session's name, in the file's


def session_file(session: Session, ending: str) -> Response:
    """A session as it is now, in the form that ``ending`` asks for ("": how it stands, as JSON).

    Raises:
        OpenmicError: ``not_found``: there is no such form.
    """
    headers = {"Cache-Control": "no-store"}
    if ending:
        headers["Content-Disposition"] = f'attachment; filename="openmic-{session.id[:NAME_DIGITS]}.{ending}"'
    match ending:
        case "":
            body = to_session(session.snapshot(), session.commits()).model_dump_json()
            return Response(body, headers=headers, media_type="application/json")
        case "json":
            body = to_transcript(session.snapshot(), session.commits()).model_dump_json()
            return Response(body, headers=headers, media_type="application/json")
        case "txt":
            return PlainTextResponse(to_text(_cues(session)), headers=headers)
        case "srt":
            subtitles = to_subtitles(_cues(session), "srt", session.recording.seconds)
            return Response(subtitles, headers=headers, media_type="application/x-subrip")
        case "vtt":
            subtitles = to_subtitles(_cues(session), "vtt", session.recording.seconds)
            return Response(subtitles, headers=headers, media_type="text/vtt")
        case "wav":
            samples = len(session.recording)
            headers["Content-Length"] = str(wav_file_bytes(samples))
            return StreamingResponse(wav_file(session.recording, samples), headers=headers, media_type="audio/wav")
        case "flac":
            sound = flac_file(session.recording, len(session.recording))
            return StreamingResponse(sound, headers=headers, media_type="audio/flac")
        case _:
            raise PROBLEMS.error("not_found")


def _cues(session: Session) -> list[Cue]:
    """The final's segments, or until there is one, what was committed."""
    final = session.snapshot().final
    return cues(final.segments if final is not None else session.commits())
