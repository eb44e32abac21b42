"""What can go wrong between a client and the sessions, and the WebSocket close code that each problem leads to."""

from __future__ import annotations

from openmic.errors import OpenmicError, Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "token_missing": Problem(
            "This server wants a token and got none.",
            "It is open to those who were given its link; the token is the part behind #token= in it.",
            "Send it as `Authorization: Bearer TOKEN`, as the subprotocol token.TOKEN, or in the first message.",
        ),
        "token_wrong": Problem(
            "The token is not the one of this server.",
            "It was mistyped, or the server was started anew and has a new token.",
            "Ask the owner of the server for the present link.",
        ),
        "token_expired": Problem(
            "The token has expired.",
            "It was made for {seconds:g} seconds, and they are over. Streams that had begun may go on.",
            "Ask the owner of the server for a new link.",
        ),
        "token_revoked": Problem(
            "The token was taken back.",
            "The owner of the server revoked it; what was said until then is transcribed and stays with the owner.",
            "Ask the owner of the server for a new link.",
        ),
        "owner_only": Problem(
            "This is for the owner of the server.",
            "The token is a tester's; it opens no sessions but those that are read with their own resume token, and "
            "neither the list of sessions nor the metrics.",
            "Show the owner's token (`mic.owner_token`, or the setting owner_token), or the session's resume token.",
        ),
        "too_many_wrong_tokens": Problem(
            "Too many wrong tokens came from this address.",
            "An address that shows one wrong token after the other is not looked at for a while.",
            "Try again in {retry_after:.0f} seconds, with the present link of the server.",
        ),
        "origin_not_allowed": Problem(
            "This page may not use the server.",
            "It comes from another origin than the server's own page, this machine, or those that the owner allowed.",
            "Open the server's own page, or ask its owner to add the origin to the setting allowed_origins.",
        ),
        "too_many_connections": Problem(
            "The server has too many open connections.",
            "It takes at most {most} at once.",
            "Close those that are not needed, and try again a little later.",
        ),
        "public_url_changed": Problem(
            "The public link of this service has changed.",
            "Its tunnel broke and came back at another address: {url}.",
            "Go on here as long as this connection holds; ask the owner for the new link for the next time.",
        ),
        "bad_token_request": Problem(
            "That token cannot be made.",
            "{detail}.",
            'Ask for one like this: mic.new_token(use="tester", seconds=3600).',
        ),
        "no_such_token": Problem(
            "There is no such token to revoke.",
            "It is neither the id nor the text of a token of this service.",
            "See mic.tokens() for those there are.",
        ),
        "first_message_late": Problem(
            "No first message came.",
            "A connection has {seconds:g} seconds to send start or resume.",
            "Connect again and send start at once.",
        ),
        "too_many_unauthenticated": Problem(
            "Too many connections have not shown their token yet.",
            "At most {most} may wait here at once with a token that is to come in the first message.",
            "Send the token with the handshake (`Authorization: Bearer TOKEN`, or the subprotocol token.TOKEN), or try "
            "again in {seconds:g} seconds.",
        ),
        "not_started": Problem(
            "The first message was not start or resume.",
            "The server got {got} before it knew what to do with it.",
            'Send {{"type": "start"}} as text first, wait for ready, then send audio as binary messages.',
        ),
        "already_started": Problem(
            "This stream has already begun.",
            "A connection carries one stream: one start or one resume, as its first message.",
            "Open another connection for another stream.",
        ),
        "bad_json": Problem(
            "A text message was not a JSON object.",
            "Text messages carry control messages; audio does not belong in them.",
            "Send control messages as JSON text, and audio as binary messages.",
        ),
        "unknown_type": Problem(
            "The message type {type} is not known.",
            "This server knows {known}.",
            "Leave the message out, or see docs/protocol.md for its right name.",
        ),
        "bad_message": Problem(
            "The message {type} has a field that cannot be used.",
            "{detail}.",
            "Correct the field; docs/protocol.schema.json has all of them.",
        ),
        "message_too_large": Problem(
            "A message of {size} bytes is too large.",
            "This server takes at most {max_message_bytes} bytes in one message.",
            "Send the audio in smaller slices; any size that fits will do.",
        ),
        "replaced": Problem(
            "This session was resumed on another connection.",
            "A session talks to one connection, the newest.",
            "Go on there; close this one.",
        ),
        "port_in_use": Problem(
            "The port {port} on {host} is in use.",
            "Another program listens there, perhaps an openmic that was not stopped.",
            "Stop it, choose another port, or use port 0 to get a free one.",
        ),
        "address_unusable": Problem(
            "The server cannot listen on {host}:{port}.",
            "The system refused it ({detail}).",
            "Use the host 127.0.0.1 and port 0, or an address of this machine and a port above 1023.",
        ),
        "server_not_started": Problem(
            "The web server did not start.",
            "{detail}.",
            "Look at the log (docs/operations.md says where) for the first error; start again, or restart the "
            "notebook's kernel.",
        ),
        "not_found": Problem(
            "There is nothing at this address.",
            "The path is not one this server knows.",
            "See docs/protocol.md for the paths there are.",
        ),
        "wrong_method": Problem(
            "This address does not take that kind of request.",
            "It is there for another method, GET or POST.",
            "See docs/protocol.md for the method of each path.",
        ),
        "bad_request": Problem(
            "The request cannot be used.",
            "{detail}.",
            "Correct it and send it again; docs/protocol.md has an example.",
        ),
        "upload_too_large": Problem(
            "The file is too large.",
            "This server takes at most {max_upload_bytes} bytes in one upload.",
            "Send a compressed file (MP3, Opus, FLAC), or stream it over the WebSocket.",
        ),
    }
)


class TooManyWrongTokens(OpenmicError):
    """``too_many_wrong_tokens``, with the seconds after which another try makes sense."""

    def __init__(self, retry_after: float) -> None:
        retry_after = max(1.0, retry_after)
        error = PROBLEMS.error("too_many_wrong_tokens", retry_after=retry_after)
        super().__init__(error.code, error.what, error.why, error.hint)
        self.retry_after = retry_after


BAD_MESSAGE = 4400
CLOSE_CODES = {
    "server_stopping": 1001,
    "engine_closed": 1001,
    "message_too_large": 1009,
    "server_full": 1013,
    "disk_full": 1013,
    "too_many_unauthenticated": 1013,
    "token_missing": 4401,
    "token_wrong": 4401,
    "token_expired": 4401,
    "token_revoked": 4401,
    "origin_not_allowed": 4403,
    "too_many_wrong_tokens": 1013,
    "too_many_connections": 1013,
    "unknown_session": 4404,
    "replaced": 4404,
    "first_message_late": 4408,
    "idle_too_long": 4408,
    "audio_empty": 4415,
    "audio_not_decodable": 4415,
    "audio_track_missing": 4415,
    "engine_failed": 1011,
    "session_failed": 1011,
}
"""Fatal problems by the code their connection is closed with; every other one is a bad message."""


def close_code(code: str) -> int:
    """The WebSocket close code for a fatal problem."""
    return CLOSE_CODES.get(code, BAD_MESSAGE)
