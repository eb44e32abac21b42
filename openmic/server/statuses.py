"""The WebSocket close code and the HTTP status of every problem that can reach a client, of any room."""

from __future__ import annotations

from typing import NamedTuple

from fastapi.responses import JSONResponse

from openmic.errors import OpenmicError
from openmic.server.problems import BadField, TooManyStarts, TooManyWrongTokens
from openmic.sessions.problems import ServerFull, SessionHeld


class Sent(NamedTuple):
    """How a problem reaches a client: by which close code its WebSocket ends, and as which HTTP status."""

    close_code: int
    status: int


SENT = {
    # server
    "token_missing": Sent(4401, 401),
    "token_wrong": Sent(4401, 401),
    "token_expired": Sent(4401, 401),
    "token_revoked": Sent(4401, 401),
    "owner_only": Sent(4400, 403),
    "too_many_wrong_tokens": Sent(1013, 429),
    "origin_not_allowed": Sent(4403, 403),
    "host_not_allowed": Sent(4403, 403),
    "request_failed": Sent(1011, 500),
    "too_many_starts": Sent(1013, 429),
    "too_many_downloads": Sent(1013, 503),
    "too_many_connections": Sent(1013, 503),
    "public_url_changed": Sent(4400, 400),
    "bad_token_request": Sent(4400, 400),
    "no_such_token": Sent(4400, 400),
    "first_message_late": Sent(4408, 408),
    "too_many_unauthenticated": Sent(1013, 503),
    "not_started": Sent(4400, 400),
    "already_started": Sent(4400, 400),
    "bad_json": Sent(4400, 400),
    "unknown_type": Sent(4400, 400),
    "bad_message": Sent(4400, 400),
    "message_too_large": Sent(1009, 413),
    "replaced": Sent(4404, 400),
    "unknown_dialect": Sent(4400, 400),
    "port_in_use": Sent(4400, 400),
    "address_unusable": Sent(4400, 400),
    "server_not_started": Sent(4400, 400),
    "not_found": Sent(4400, 404),
    "wrong_method": Sent(4400, 405),
    "bad_request": Sent(4400, 400),
    "not_offered": Sent(4400, 400),
    "upload_too_slow": Sent(4400, 408),
    "unknown_model": Sent(4400, 404),
    "unsupported_in_transcription": Sent(4400, 400),
    "input_audio_buffer_commit_empty": Sent(4400, 400),
    "upload_too_large": Sent(4400, 413),
    # sessions
    "open_too_long": Sent(4400, 400),
    "server_full": Sent(1013, 503),
    "server_stopping": Sent(1001, 503),
    "session_moved": Sent(1012, 503),
    "session_held": Sent(1012, 503),
    "unknown_session": Sent(4404, 404),
    "session_not_over": Sent(4400, 400),
    "session_deleted": Sent(4400, 404),
    "already_stopped": Sent(4400, 400),
    "live_text_late": Sent(4400, 503),
    "live_text_on_time": Sent(4400, 503),
    "final_text_late": Sent(4400, 503),
    "vocabulary_too_long": Sent(4400, 400),
    "session_too_long": Sent(4400, 400),
    "too_many_bytes": Sent(4400, 413),
    "idle_too_long": Sent(4408, 408),
    "client_gone": Sent(4400, 400),
    "disk_full": Sent(1013, 507),
    "journal_damaged": Sent(4400, 400),
    "journal_unreadable": Sent(4400, 500),
    "no_such_recording": Sent(4400, 400),
    "recording_not_clear": Sent(4400, 400),
    "recording_in_use": Sent(4400, 400),
    "nothing_to_finish": Sent(4400, 400),
    "export_failed": Sent(4400, 400),
    "session_failed": Sent(1011, 500),
    # audio
    "audio_empty": Sent(4415, 400),
    "audio_not_decodable": Sent(4415, 400),
    "audio_not_understood": Sent(4415, 400),
    "audio_too_costly": Sent(4415, 400),
    "decoder_not_started": Sent(1013, 503),
    "audio_track_missing": Sent(4415, 400),
    "audio_encoding_unknown": Sent(4400, 400),
    "audio_rate_missing": Sent(4400, 400),
    "audio_rate_invalid": Sent(4400, 400),
    "audio_channels_invalid": Sent(4400, 400),
    # speech
    "unknown_language": Sent(4400, 400),
    "cannot_translate": Sent(4400, 400),
    "engine_closed": Sent(1001, 503),
    "device_lost": Sent(1011, 503),
    "engine_failed": Sent(1011, 500),
}
"""Every problem that can reach a client."""


PARAMS = {
    "unknown_model": "model",
    "unknown_language": "language",
    "upload_too_large": "file",
    "audio_empty": "file",
    "audio_not_decodable": "file",
    "audio_track_missing": "file",
}
"""The field of an HTTP request that a problem is about."""


def close_code(code: str) -> int:
    """The WebSocket close code for a fatal problem."""
    return SENT[code].close_code


def error_response(error: OpenmicError) -> JSONResponse:
    """A problem as JSON; the first four fields are those of OpenAI's errors."""
    status = SENT[error.code].status
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ServerFull | SessionHeld | TooManyWrongTokens | TooManyStarts):
        headers["Retry-After"] = str(round(error.retry_after))
    body = {
        "message": f"{error.message} {error.hint}",
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": error.param if isinstance(error, BadField) else PARAMS.get(error.code),
        "code": error.code,
        "hint": error.hint,
    }
    return JSONResponse({"error": body}, status, headers)
