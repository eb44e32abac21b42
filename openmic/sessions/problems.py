"""What can go wrong in the life of one stream."""

from __future__ import annotations

from openmic.errors import OpenmicError, Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "server_full": Problem(
            "This server has no room for another speaker.",
            "It serves {open_sessions} of about {max_sessions} at once; one more would make all of them wait.",
            "Try again in {retry_after:.0f} seconds; its owner makes more room with a GPU or a smaller model.",
        ),
        "live_text_late": Problem(
            "Live text comes late for the moment.",
            "The server has less time for it than it measured: other programs use its machine, or too many speak.",
            "Go on: nothing is lost, and it catches up by itself; the final text may come later, too.",
        ),
        "live_text_on_time": Problem(
            "Live text comes in time again.",
            "The server has caught up.",
            "Go on.",
        ),
        "vocabulary_too_long": Problem(
            "Not all of the prompt and the vocabulary is used.",
            "Whisper's prompt has no room for {unused}.",
            "Shorten it, and put what matters most last; the stream goes on.",
        ),
        "final_text_late": Problem(
            "The final text comes later than usual.",
            "The server is overloaded, and the live text of those who still speak goes first.",
            "Wait for it, or fetch it later over HTTP with the session's name; nothing is lost.",
        ),
        "server_stopping": Problem(
            "The server is stopping.",
            "Its owner stopped it, or the notebook it runs in has ended.",
            "Ask its owner for a new link and begin again.",
            ends="server",
        ),
        "session_moved": Problem(
            "This session goes on in another process.",
            "The one that answered until now is going, or stood still for so long that another took the session over.",
            "Connect again and resume it; nothing that was acknowledged is lost.",
            ends="server",
        ),
        "session_held": Problem(
            "Another process{name} still holds this session.",
            "It has been asked to let go; or it died a moment ago, and its lease has not run out.",
            "Resume the session again in a moment; nothing that was acknowledged is lost.",
        ),
        "unknown_session": Problem(
            "There is no such session here.",
            "It never was, it was deleted some time after its end, or the resume token is not its own.",
            "Begin a new session with a start message.",
        ),
        "session_not_over": Problem(
            "This session has not ended.",
            "A server still works on it, or its recording has not been transcribed yet.",
            "Stop it first, or wait until its final text is there.",
        ),
        "session_deleted": Problem(
            "This session has been deleted.",
            "Its sound and text were kept after its end for as long as the server's owner has set.",
            "Download sooner next time, or ask the owner for a longer time (keep_seconds).",
        ),
        "already_stopped": Problem(
            "This session has already been stopped.",
            "A stop was accepted before, so no more audio is taken.",
            "Wait for the final message, or begin a new session for more audio.",
        ),
        "session_too_long": Problem(
            "This session has reached its longest duration.",
            "One session takes at most {max_seconds:g} seconds of audio here.",
            "Begin a new session for the rest; this one is transcribed to that point.",
        ),
        "too_many_bytes": Problem(
            "This session has sent more bytes than its audio can need.",
            "At most {max_bytes} bytes are kept for one session of {max_seconds:g} seconds.",
            "Send compressed audio or begin a new session; this one is transcribed to that point.",
        ),
        "idle_too_long": Problem(
            "No audio arrived on this connection for {idle_seconds:g} seconds.",
            "A session without audio is finished then, so that others find room; pings do not keep it open.",
            "Begin a new session when there is something to say; silence that is sent is audio, too.",
        ),
        "open_too_long": Problem(
            "This session has been open for {seconds:.0f} seconds.",
            "One session takes at most {max_seconds:g} seconds of audio here, and twice that time to bring it.",
            "Begin a new session for the rest; this one is transcribed to that point.",
        ),
        "client_gone": Problem(
            "The client went away before its answer was ready.",
            "Its connection was closed.",
            "Send the request again and keep the connection open.",
        ),
        "disk_full": Problem(
            "The server could not write this session to its disk.",
            "The disk is full or not writable ({detail}).",
            "Ask the owner of the server to free some space, then begin a new session.",
        ),
        "journal_damaged": Problem(
            "Part of this session was lost on the server's disk.",
            "Its journal is damaged: what came after the damage cannot be read.",
            "Take what was saved, and begin a new session for the rest; the owner should check the disk.",
        ),
        "journal_unreadable": Problem(
            "The journal of this session cannot be read.",
            "It is damaged from its start, or another version of openmic wrote it ({detail}).",
            "Delete the session, or open it with the version that made it.",
        ),
        "no_such_recording": Problem(
            "There is no recording {name} in {data_dir}.",
            "It was deleted, its time was over, or it lies in another folder.",
            "`openmic sessions list` shows what is there; `--data-dir` names another folder.",
        ),
        "recording_not_clear": Problem(
            "More than one recording begins with {name}.",
            "{count} of them do.",
            "Give more of its name.",
        ),
        "recording_in_use": Problem(
            "The recording {name} is in use.",
            "A running server holds its lease and works on it.",
            "Stop the session, or that server, first; `openmic sessions list`, `show` and `export` work all the same.",
        ),
        "nothing_to_finish": Problem(
            "The recording {name} needs no finishing.",
            "It has its final text, or nothing is left to transcribe.",
            "`openmic sessions show {name}` tells what is there.",
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

    def __init__(self, holder_name: str, retry_after: float = 1.0) -> None:
        error = PROBLEMS.error("session_held", name=f" ({holder_name})" if holder_name else "")
        super().__init__(error.code, error.what, error.why, error.hint)
        self.retry_after = retry_after
