"""What can go wrong between a client and the sessions; ``statuses.py`` says how a client gets each problem."""

from __future__ import annotations

from openmic.errors import OpenmicError, Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "token_missing": Problem(
            "This server needs a token, and the client sent none.",
            "The server is open to people who have its link; the token is the part of the link behind #token=.",
            "Send it as `Authorization: Bearer TOKEN`, as the subprotocol token.TOKEN, or in the first message.",
        ),
        "token_wrong": Problem(
            "This token is not valid on this server.",
            "It was mistyped, or the server was restarted and has a new token.",
            "Ask the owner of the server for the current link.",
        ),
        "token_expired": Problem(
            "The token has expired.",
            "It was valid for {seconds:g} seconds, and they are over. Streams that had begun may go on.",
            "Ask the owner of the server for a new link.",
        ),
        "token_revoked": Problem(
            "The token was revoked.",
            "The owner of the server revoked it; speech up to that moment is transcribed and stays with the owner.",
            "Ask the owner of the server for a new link.",
        ),
        "owner_only": Problem(
            "Only the owner of the server may do this.",
            "The token is a tester's: it opens neither the list of sessions nor the metrics, and a session only "
            "together with its own resume token.",
            "Send the owner's token (`mic.owner_token`, or the setting owner_token), or the session's resume token.",
        ),
        "too_many_wrong_tokens": Problem(
            "Too many wrong tokens came from this address.",
            "The server ignores an address for a while after several wrong tokens.",
            "Try again in {retry_after:.0f} seconds, with the current link of the server.",
        ),
        "origin_not_allowed": Problem(
            "Pages of {origin} may not use this server.",
            "The server was reached as {host!r}, which is another origin, and the owner has not allowed this one.",
            "Open the server's own page, or ask its owner to add {origin} to the setting allowed_origins.",
        ),
        "host_not_allowed": Problem(
            "The server is not known by the name {host}.",
            "It answers to IP addresses, to names of its own network, to its tunnel's name and to the allowed ones. "
            "Any other name could belong to a page that wants to reach this machine through a browser.",
            "Open the server's own link, or ask its owner to add https:// and that name to the setting "
            "allowed_origins.",
        ),
        "request_failed": Problem(
            "The server failed while it worked on this request.",
            "This is a fault of the server, not of the request ({detail}).",
            "Try again; if it repeats, tell the owner of the server, whose log has more.",
        ),
        "too_many_starts": Problem(
            "Too many sessions were started here in a short time.",
            "A tester's token starts at most {most} sessions a minute from one address.",
            "Try again in {retry_after:.0f} seconds.",
        ),
        "too_many_downloads": Problem(
            "This session has too many downloads at once.",
            "At most {most} downloads of one session run at the same time.",
            "Wait until one of them has ended, then try again.",
        ),
        "too_many_connections": Problem(
            "The server has too many open connections.",
            "It takes at most {most} at once.",
            "Close connections that you do not need, and try again later.",
        ),
        "public_url_changed": Problem(
            "The public link of this service has changed.",
            "Its tunnel broke and came back at another address: {url}.",
            "Go on here as long as this connection holds; ask the owner for the new link before the next one.",
        ),
        "bad_token_request": Problem(
            "This token cannot be made.",
            "{detail}.",
            'Ask for one like this: mic.new_token(use="tester", seconds=3600).',
        ),
        "no_such_token": Problem(
            "There is no such token.",
            "It is neither the id nor the text of a token of this service, or it was revoked.",
            "See mic.tokens() for all tokens, or in a cluster `openmic tokens list`.",
        ),
        "first_message_late": Problem(
            "The first message did not arrive in time.",
            "A connection has {seconds:g} seconds to send start or resume.",
            "Connect again and send start at once.",
        ),
        "too_many_unauthenticated": Problem(
            "Too many connections have not sent their token yet.",
            "At most {most} connections may wait at once for a token in their first message.",
            "Send the token with the handshake (`Authorization: Bearer TOKEN`, or the subprotocol token.TOKEN), or try "
            "again in {seconds:g} seconds.",
        ),
        "not_started": Problem(
            "The first message was not start or resume.",
            "The server received {got}, and takes nothing else before one of these two.",
            'Send {{"type": "start"}} as text first, wait for ready, then send audio as binary messages.',
        ),
        "already_started": Problem(
            "This stream has already started.",
            "A connection carries one stream: one start or one resume, as its first message.",
            "Open another connection for another stream.",
        ),
        "bad_json": Problem(
            "A text message was not a JSON object.",
            "Text messages carry control messages; audio does not belong in them.",
            "Send control messages as JSON text, and audio as binary messages.",
            ends="connection",
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
            ends="connection",
        ),
        "message_too_large": Problem(
            "A message of {size} bytes is too large.",
            "This server takes at most {max_message_bytes} bytes in one message.",
            "Send the audio in smaller slices; any size that fits will do.",
            ends="connection",
        ),
        "replaced": Problem(
            "This session was resumed on another connection.",
            "A session talks to one connection, the newest.",
            "Go on there, and close this one.",
        ),
        "unknown_dialect": Problem(
            "The setting dialects names {name!r}, which is not a dialect.",
            "This server speaks {known}.",
            "Correct the setting `dialects`: names separated by spaces.",
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
            "The server does not know the path.",
            "See docs/protocol.md for all paths.",
        ),
        "wrong_method": Problem(
            "This address does not accept this HTTP method.",
            "It accepts another one, such as GET or POST.",
            "See docs/protocol.md for the method of each path.",
        ),
        "bad_request": Problem(
            "The request cannot be used.",
            "{detail}.",
            "Correct it and send it again; docs/protocol.md has an example.",
        ),
        "upload_too_slow": Problem(
            "The file arrives too slowly.",
            "An upload must bring at least {rate} bytes a second, and end within {max_seconds:g} seconds.",
            "Send a compressed file (MP3, Opus, FLAC) over a faster connection, or stream it over the WebSocket.",
        ),
        "unknown_model": Problem(
            "There is no model of that name here.",
            "This server runs {name}.",
            "Ask for that one, or for whisper-1, which means the running model; GET /v1/models lists them.",
        ),
        "unsupported_in_transcription": Problem(
            "This server transcribes and does not converse.",
            "It was asked for {what}, which belongs to the Realtime API's conversations.",
            "Use a transcription session; docs/clients.md lists what this server understands.",
        ),
        "input_audio_buffer_commit_empty": Problem(
            "There is nothing to commit.",
            "No audio has arrived since the last commit.",
            "Append audio first, or leave the commit out.",
        ),
        "not_offered": Problem(
            "This server does not offer {name}.",
            "{detail}.",
            "Leave {name} out; docs/clients.md lists what each SDK can ask for here.",
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


class TooManyStarts(OpenmicError):
    """``too_many_starts``, with the seconds after which another try makes sense."""

    def __init__(self, most: int, retry_after: float) -> None:
        retry_after = max(1.0, retry_after)
        error = PROBLEMS.error("too_many_starts", most=most, retry_after=retry_after)
        super().__init__(error.code, error.what, error.why, error.hint)
        self.retry_after = retry_after


class BadField(OpenmicError):
    """``bad_request`` because of one field of the request.

    Attributes:
        param: the field's name.
    """

    def __init__(self, param: str, detail: str) -> None:
        error = PROBLEMS.error("bad_request", detail=detail)
        super().__init__(error.code, error.what, error.why, error.hint)
        self.param = param
