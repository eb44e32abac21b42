"""What can go wrong between samples and words."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "unknown_language": Problem(
            "The language {language!r} is not one this model knows.",
            "It knows {known}.",
            "Send one of those codes or a language's name, or leave the language out to have it detected.",
        ),
        "cannot_translate": Problem(
            "The model {model} cannot translate.",
            "English-only models and turbo were not trained to translate: they would write the speech in its own "
            "language.",
            "Ask for `transcribe`, or start the service with another model, such as small, medium or large.",
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
        "device_lost": Problem(
            "The GPU of the service computes nothing any more.",
            "A kernel failed on it, of this program or of another cell of the same notebook, and that ends all work of "
            "the process on that GPU; the recording is kept.",
            "Tell the owner of the service, who must restart the runtime (or the server's process) and start it again.",
            ends="server",
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
        "unusable_gpu": Problem(
            "torch cannot compute on the GPU {device}.",
            "{detail}.",
            "Take another kind of GPU, install a torch that was built for this one and its driver, or set the device "
            "to auto or cpu.",
        ),
    }
)
