"""What can go wrong before openmic runs: one table, for the code and for the docs."""

from __future__ import annotations


class SetupError(Exception):
    """Something a person can do something about: what happened, why, and what to do.

    Attributes:
        code: the row of `PROBLEMS`.
        parts: the three sentences, filled in.
    """

    def __init__(self, code: str, **details: object) -> None:
        what, why, hint = (part.format(**details) for part in PROBLEMS[code])
        super().__init__(f"{what} {why} {hint}")
        self.code = code
        self.parts = (what, why, hint)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return list(self.parts)


# By code: what happened, why, and what to do.
PROBLEMS = {
    "other_python": (
        "This Python is {version}.",
        "openmic and the packages it stands on run on Python 3.11, 3.12 and 3.13.",
        "Run it with one of them ({found}): {python} colab_bootstrap.py.",
    ),
    "other_python_colab": (
        "This runtime's Python is {version}.",
        "openmic and the packages it stands on run on Python 3.11, 3.12 and 3.13.",
        "Choose Runtime > Change runtime type > Runtime version, take the latest, and run this cell again.",
    ),
    "venv_failed": (
        "The environment .venv could not be made.",
        "This Python's venv module failed with the lines above; on Debian and Ubuntu it is a package of its own.",
        "Install it (sudo apt-get install python{version}-venv) or run this with another Python.",
    ),
    "venv_not_writable": (
        "The environment .venv could not be made.",
        "The system refused to write {path}: {detail}.",
        "Free some space or make the project's folder writable, and run this again.",
    ),
    "setup_busy": (
        "Another set-up in this folder has not finished.",
        "It has been running for more than {minutes:.0f} minutes.",
        "End that set-up, then run this again.",
    ),
    "packages_too_large": (
        "The packages do not fit on this disk.",
        "The disk is full, or its quota is used up.",
        "Free about 3 GB (or point TMPDIR and PIP_CACHE_DIR at a larger disk) and run this again.",
    ),
    "index_unreachable": (
        "The packages could not be fetched.",
        "The package index cannot be reached from this machine.",
        "Check the connection (or pip's proxy and index settings: pip config list) and run this again.",
    ),
    "python_managed": (
        "pip may not install anything into this Python.",
        "The operating system manages it and refuses pip.",
        "Start the notebook from a virtual environment (python3 -m venv) and run this again.",
    ),
    "packages_conflict": (
        "The packages conflict with others that this runtime has.",
        "One of them refuses the version of a package that is installed here; pip's lines above name it.",
        "In Colab choose Runtime > Disconnect and delete runtime and start again; elsewhere use a fresh environment.",
    ),
    "build_failed": (
        "A package could not be built.",
        "It has no ready-made file for this machine, and building it from source failed; pip's lines above say where.",
        "Use a Python between 3.11 and 3.13 (in Colab: Runtime > Change runtime type > Runtime version) on a usual "
        "system (Linux or macOS, 64 bit), or install a compiler.",
    ),
    "package_missing": (
        "A package could not be found.",
        "The package index that pip is set up with does not have it for this Python; pip's lines above name it.",
        "Check pip's index settings (pip config list), or use another Python between 3.11 and 3.13 (in Colab: Runtime "
        "> Change runtime type > Runtime version).",
    ),
    "packages_not_writable": (
        "The packages could not be written.",
        "This user may not write to the environment of this Python.",
        "Run this from a folder and with an environment of your own.",
    ),
    "pip_failed": (
        "The packages could not be installed.",
        "pip stopped with the lines above.",
        "Run this again; if it repeats, search for pip's last line or report it with those lines.",
    ),
    "pip_not_started": (
        "pip could not be started.",
        "The system said: {detail}.",
        "Run this again; if it repeats, use another Python.",
    ),
    "restart_needed": (
        "The notebook must be restarted before it can go on.",
        "These packages had been imported already and have another version now: {names}.",
        "Choose Kernel > Restart Kernel and Run All Cells.",
    ),
    "restart_needed_colab": (
        "The session must be restarted before it can go on.",
        "These packages had been imported already and have another version now: {names}.",
        "Choose Runtime > Restart session and run all.",
    ),
    "no_chromium": (
        "There is no Chromium here, and none could be installed.",
        "The tests open the page in a real browser; apt-get and playwright failed with the lines above.",
        "Install Chromium or Chrome so that `chromium` or `google-chrome` is a command, and run this again.",
    ),
}

# What may go wrong later and stops nothing now; by code, in the same three parts.
WARNINGS = {
    "python_untried": (
        "This Python is {version}.",
        "openmic was tested on Python 3.11, 3.12 and 3.13, and not yet on a later one; the set-up goes on.",
        "If something fails, {advice}.",
    ),
    "no_gpu_colab": (
        "This runtime has no GPU.",
        "None was chosen, or Colab has none to give now; everything works, more slowly and for fewer speakers.",
        "For one choose Runtime > Change runtime type > T4 GPU, and run all again.",
    ),
    "package_newer": (
        "{name} {version} is newer than openmic asks for ({requirement}).",
        "The set-up changes no package that a notebook's runtime has.",
        "If something fails, {advice}.",
    ),
    "package_older": (
        "{name} {version} is older than openmic needs ({requirement}).",
        "The set-up changes no package that a notebook's runtime has; parts of openmic may not work, or not safely.",
        "If something fails, {advice}.",
    ),
}


def warning_line(code: str, **details: object) -> str:
    """A row of `WARNINGS`, filled in, as one line."""
    return "Warning: " + " ".join(part.format(**details) for part in WARNINGS[code])


# What pip's output says, and which problem it is: the first pattern that is found counts.
PIP_FAILURES = (
    (r"No space left on device|Disk quota exceeded|File too large", "packages_too_large"),
    (
        r"NameResolution|Failed to establish a new connection|ConnectTimeout|ConnectionReset|Max retries|ProxyError"
        r"|Connection broken|Read timed out|SSLError",
        "index_unreachable",
    ),
    (r"externally-managed-environment", "python_managed"),
    (r"ResolutionImpossible|conflicting dependencies", "packages_conflict"),
    (
        r"Failed to build|Failed building wheel|metadata-generation-failed|subprocess-exited-with-error",
        "build_failed",
    ),
    (r"No matching distribution found|Could not find a version", "package_missing"),
    (r"Permission denied|Read-only file system", "packages_not_writable"),
)
