"""What can go wrong between samples and words."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "unknown_language": Problem(
            "The language {language!r} is not one this model knows.",
            "Whisper takes ISO 639-1 codes such as en, tr or de; an English-only model takes en alone.",
            "Send one of those codes, or leave the language out to have it detected.",
        ),
        "engine_closed": Problem(
            "The speech engine has stopped.",
            "The service is shutting down or was stopped from the notebook.",
            "Start the service again, then reconnect.",
            ends="server",
        ),
        "engine_failed": Problem(
            "The model failed while it worked on this stream ({detail}).",
            "This is a fault of the service, not of your audio; the recording is kept.",
            "Send the recording again; if it repeats, tell the owner of the service.",
        ),
    }
)

DEVICE_PROBLEMS = ProblemTable(
    {
        "unknown_device": Problem(
            "The device {device!r} cannot be used here.",
            "{detail}.",
            "Set the device to auto, cpu, or one of the GPUs that this machine has (cuda, cuda:1).",
        ),
    }
)
