"""What can go wrong before openmic runs."""

from __future__ import annotations


class SetupError(Exception):
    """Something a person can do something about: what happened, why, and what to do."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        super().__init__(f"{what} {why} {hint}")
        self.parts = (what, why, hint)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return list(self.parts)


# What pip's output says, and what it means to a person: the first pattern that is found counts.
PIP_FAILURES = (
    (
        r"No space left on device|Disk quota exceeded|File too large",
        "The packages do not fit on this disk.",
        "The disk is full, or its quota is used up.",
        "Free about 3 GB (or point TMPDIR and PIP_CACHE_DIR at a larger disk) and run this again.",
    ),
    (
        r"NameResolution|Failed to establish a new connection|ConnectTimeout|ConnectionReset|Max retries|ProxyError"
        r"|Connection broken|Read timed out|SSLError",
        "The packages could not be fetched.",
        "The package index cannot be reached from this machine.",
        "Check the connection (or pip's proxy and index settings: pip config list) and run this again.",
    ),
    (
        r"externally-managed-environment",
        "Nothing may be installed into this Python.",
        "The operating system manages it and refuses pip.",
        "Start the notebook from a virtual environment (python3 -m venv) and run this again.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "The packages do not go together with what this runtime has.",
        "Something installed here is held at a version that one of them refuses; pip's lines above name it.",
        "In Colab choose Runtime > Disconnect and delete runtime and start anew; elsewhere use a fresh environment.",
    ),
    (
        r"Failed to build|Failed building wheel|metadata-generation-failed|subprocess-exited-with-error",
        "A package could not be built.",
        "It has no ready-made file for this machine, and building it from source failed; pip's lines above say where.",
        "Use a Python between 3.11 and 3.13 on a usual system (Linux or macOS, 64 bit), or install a compiler.",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "A package could not be found.",
        "The package index that pip is set up with does not have it for this Python; pip's lines above name it.",
        "Check pip's index settings (pip config list), or run this with another Python between 3.11 and 3.13.",
    ),
    (
        r"Permission denied|Read-only file system",
        "The packages could not be written.",
        "This user may not write to the environment of this Python.",
        "Run this from a folder and with an environment of your own.",
    ),
)
