"""What can go wrong between a client and the service."""

from __future__ import annotations

from typing import Any

from openmic.errors import OpenmicError, Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "bad_url": Problem(
            "{url!r} is not the address of a service.",
            "An address looks like https://name.ngrok-free.app or http://127.0.0.1:8000.",
            "Copy the whole link from the card, including what follows the #.",
        ),
        "no_token": Problem(
            "No token was given for {host}.",
            "The service answers only clients that send its token.",
            "Copy the whole link from the card (it ends in #token=...), or give the token by itself.",
        ),
        "bad_token": Problem(
            "{host} refused the token.",
            "It belongs to another run of the service, or was not copied completely.",
            "Copy the link from the card again: every start of the service makes a new token.",
        ),
        "unreachable": Problem(
            "{host} cannot be reached ({detail}).",
            "The service has ended, its public link has run out, or this machine is offline.",
            "Check that the notebook still runs and shows this link, then connect again.",
        ),
        "proxy_unusable": Problem(
            "The proxy of {variable} cannot be used ({detail}).",
            "Connections to {host} go through it, because the environment says so.",
            "Set it to an address like http://proxy.example:3128, add {host} to NO_PROXY, or unset it.",
        ),
        "not_a_service": Problem(
            "{host} answered, but not as an openmic service ({detail}).",
            "Another program listens there, or the address has an extra path.",
            "Copy the link from the card again.",
        ),
        "link_down": Problem(
            "The public link of {host} is up, but the service behind it is not ({detail}).",
            "The notebook was stopped or restarted.",
            "Start the service again and use the link of its new card.",
        ),
        "no_ready": Problem(
            "{host} accepted the connection, but was not ready within {seconds:g} s.",
            "It is overloaded, or something between here and there holds messages back.",
            "Wait a moment and connect again.",
        ),
        "not_acknowledged": Problem(
            "{host} has not confirmed any audio for {seconds:g} s.",
            "It is overloaded, or its disk is full; this client keeps no more unconfirmed audio.",
            "Send more slowly, or connect again later.",
        ),
        "no_final": Problem(
            "{host} did not send the final transcript.",
            "The service sent nothing for {seconds:g} s after the end of the audio, or ended early.",
            "Ask for GET /v1/sessions/{session_id}.json later; the text that was committed until then is complete.",
        ),
        "connection_lost": Problem(
            "The connection to {host} broke, and could not be resumed within {seconds:g} s.",
            "The last attempt said: {detail}",
            "Check that the service still runs; it keeps the audio that it had confirmed, and writes the final text "
            "of it.",
        ),
        "session_lost": Problem(
            "{host} no longer has the audio of this session that it had confirmed.",
            "It was restarted, or gave the session up while the connection was gone.",
            "Begin again with a new stream.",
        ),
        "ended": Problem(
            "{host} closed the stream (code {close_code}).",
            "{detail}",
            "Look at the service's notebook, then connect again.",
        ),
        "not_understood": Problem(
            "{host} sent a message that is not of openmic.v1.",
            "It is another kind of server, or a much newer version.",
            "Check the address, and install the version of openmic that the service runs.",
        ),
        "already_stopped": Problem(
            "The stream takes no more audio.",
            "The program called stop(), or the service has ended the stream.",
            "Open a new stream for more audio.",
        ),
        "no_file": Problem(
            "{path} cannot be read ({detail}).",
            "The name is wrong, or you may not read the file.",
            "Check the path and who may read it.",
        ),
        "no_duration": Problem(
            "The length of {path} is unknown ({detail}).",
            "It is not audio, is cut off, or is raw PCM without a sample rate.",
            "Check that it plays; name the encoding and rate of raw PCM; or send it unpaced (realtime=False, --fast).",
        ),
        "no_microphone_library": Problem(
            "The microphone cannot be opened ({detail}).",
            "Reading it needs the package sounddevice and the PortAudio library, which openmic does not install.",
            "Run `pip install sounddevice` (on Linux also `apt install libportaudio2`), or open the link in a browser.",
        ),
        "no_microphone": Problem(
            "The microphone gives no sound ({detail}).",
            "No microphone is connected, another program uses it, or this program may not use it.",
            "Check the system's sound settings, or open the link in a browser.",
        ),
        "no_sample": Problem(
            "The sample recording {name} is not here.",
            "openmic was installed without its sample_audio folder.",
            "Give a recording of your own, or work from a checkout of the project.",
        ),
    }
)


class Refused(OpenmicError):
    """What a service said when it refused, in its own words.

    Attributes:
        retry_after: seconds until another try makes sense, where it said so; else None.
    """

    def __init__(self, code: str, what: str, why: str, hint: str, retry_after: float | None) -> None:
        super().__init__(code, what, why, hint)
        self.retry_after = retry_after


def from_wire(message: dict[str, Any]) -> Refused:
    """The error that a service's ``error`` message tells of; its ``message`` holds both what happened and why."""
    what, dot, why = str(message.get("message", "The service reported an error.")).partition(". ")
    after = message.get("retry_after")
    retry_after = float(after) if isinstance(after, int | float) else None
    code, hint = str(message.get("code", "error")), str(message.get("hint") or "")
    return Refused(code, what + dot.rstrip(), why, hint, retry_after)
