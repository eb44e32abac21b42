"""What can go wrong in the life of one stream."""

from __future__ import annotations

from openmic.errors import OpenmicError, Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "server_full": Problem(
            "This server has no room for another speaker.",
            "It serves {open_sessions} of about {max_sessions} speakers at once; one more would delay all of them.",
            "Try again in {retry_after:.0f} seconds. The owner of the server can make room with a GPU or a smaller "
            "model.",
        ),
        "live_text_late": Problem(
            "Live text is late at the moment.",
            "The server needs more time for it than it measured: other programs use its machine, or too many people "
            "speak.",
            "Go on speaking: nothing is lost, and the server catches up by itself. The final text may be late, too.",
        ),
        "live_text_on_time": Problem(
            "Live text is on time again.",
            "The server has caught up.",
            "Go on speaking.",
        ),
        "vocabulary_too_long": Problem(
            "A part of the prompt and the vocabulary is not used.",
            "Whisper's prompt has no room for {unused}.",
            "Shorten them, and put the most important terms last; the stream goes on.",
        ),
        "final_text_late": Problem(
            "The final text is later than usual.",
            "The server is overloaded and serves the live text of running streams first.",
            "Wait for it, or fetch it later over HTTP with the session's id; nothing is lost.",
        ),
        "server_stopping": Problem(
            "The server is stopping.",
            "Its owner stopped it, or the notebook that runs it has ended.",
            "Ask its owner for a new link and begin again.",
            ends="server",
        ),
        "session_moved": Problem(
            "Another process of the server has taken this session over.",
            "The process that answered until now is shutting down, or it did not respond for too long.",
            "Connect again and resume the session; nothing that was acknowledged is lost.",
            ends="server",
        ),
        "session_held": Problem(
            "Another process{name} still holds this session.",
            "It has been asked to release the session; or it has just died, and its lease has not run out.",
            "Resume the session again in a moment; nothing that was acknowledged is lost.",
        ),
        "unknown_session": Problem(
            "There is no such session on this server.",
            "It never existed, it was deleted some time after its end, or the resume token is another session's.",
            "Begin a new session with a start message.",
        ),
        "session_not_over": Problem(
            "This session has not ended.",
            "A server is still working on it, or its recording has not been transcribed yet.",
            "Stop the session first, or wait for its final text.",
        ),
        "session_deleted": Problem(
            "This session has been deleted.",
            "The server keeps a session's audio and text after its end for as long as its owner has set; that time "
            "is over.",
            "Download sooner next time, or ask the owner for a longer time (keep_seconds).",
        ),
        "already_stopped": Problem(
            "This session has already been stopped.",
            "The server accepted a stop before, so it takes no more audio.",
            "Wait for the final message, or begin a new session for more audio.",
        ),
        "session_too_long": Problem(
            "This session has reached its longest duration.",
            "This server takes at most {max_seconds:g} seconds of audio in one session.",
            "Begin a new session for the rest; this one is transcribed up to that point.",
        ),
        "too_many_bytes": Problem(
            "This session has sent more bytes than its audio can need.",
            "The server keeps at most {max_bytes} bytes of one session of {max_seconds:g} seconds.",
            "Send compressed audio or begin a new session; this one is transcribed up to that point.",
        ),
        "idle_too_long": Problem(
            "No audio arrived on this connection for {idle_seconds:g} seconds.",
            "The server ends a session without audio, to make room for others; pings do not keep it open.",
            "Begin a new session when there is something to say; silence counts as audio if it is sent.",
        ),
        "open_too_long": Problem(
            "This session has been open for {seconds:.0f} seconds.",
            "This server takes at most {max_seconds:g} seconds of audio in one session, and waits for it twice as "
            "long.",
            "Begin a new session for the rest; this one is transcribed up to that point.",
        ),
        "client_gone": Problem(
            "The client left before its answer was ready.",
            "It closed its connection.",
            "Send the request again and keep the connection open.",
        ),
        "disk_full": Problem(
            "The server could not write this session to its disk.",
            "The disk is full or not writable ({detail}).",
            "Ask the owner of the server to free some space, then begin a new session.",
        ),
        "journal_damaged": Problem(
            "Part of this session was lost on the server's disk.",
            "Its journal is damaged: the audio after the damage cannot be read.",
            "Save the text that there is, and begin a new session for the rest; the owner should check the disk.",
        ),
        "journal_unreadable": Problem(
            "The journal of this session cannot be read.",
            "It is damaged from its start, or another version of openmic wrote it ({detail}).",
            "Delete the session, or open it with the version that made it.",
        ),
        "no_such_recording": Problem(
            "There is no recording {name} in {data_dir}.",
            "It was deleted, its time was over, or it is in another folder.",
            "Run `openmic sessions list` to see all recordings; `--data-dir` names another folder.",
        ),
        "recording_not_clear": Problem(
            "More than one recording begins with {name}.",
            "{count} recordings have such an id.",
            "Give more characters of the id.",
        ),
        "recording_in_use": Problem(
            "The recording {name} is in use.",
            "A running server holds its lease and works on it.",
            "Stop the session or that server first; `openmic sessions list`, `show` and `export` work meanwhile.",
        ),
        "nothing_to_finish": Problem(
            "The recording {name} needs no finishing.",
            "It has its final text, or nothing is left to transcribe.",
            "Run `openmic sessions show {name}` to see its text.",
        ),
        "export_failed": Problem(
            "The export could not be written.",
            "{detail}.",
            "Free some space or name another folder with `--output`.",
        ),
        "session_failed": Problem(
            "The server failed while it worked on this session ({detail}).",
            "This is a fault of the server, not of the audio.",
            "Begin a new session; if it repeats, tell the owner of the server.",
        ),
    }
)


class ServerFull(OpenmicError):
    """``server_full``, with the seconds after which another try makes sense."""

    def __init__(self, open_sessions: int, max_sessions: int, retry_after: float) -> None:
        error = PROBLEMS.error(
            "server_full", open_sessions=open_sessions, max_sessions=max_sessions, retry_after=retry_after
        )
        super().__init__(error.code, error.what, error.why, error.hint)
        self.retry_after = retry_after


class SessionHeld(OpenmicError):
    """``session_held``, with the seconds after which another try makes sense."""

    retry_after = 1.0

    def __init__(self, holder_name: str) -> None:
        error = PROBLEMS.error("session_held", name=f" ({holder_name})" if holder_name else "")
        super().__init__(error.code, error.what, error.why, error.hint)
