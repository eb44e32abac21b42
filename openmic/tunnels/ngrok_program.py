"""Find the ngrok agent, or fetch it: with retries, with progress, and never half of it in its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
import zlib
from gzip import BadGzipFile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx
from pyngrok import conf, installer

from openmic.environment import environment_without_secrets
from openmic.errors import OpenmicError
from openmic.ownership import is_ours
from openmic.progress import ProgressCallback, silent
from openmic.tunnels.agents import folder_problem
from openmic.tunnels.problems import PROBLEMS

ATTEMPTS = 4
PAUSE_SECONDS = 1.0  # before the second attempt; doubled each time
READ_SECONDS = 20.0  # without a byte, then the attempt has failed
VERSION_SECONDS = 20.0  # for the agent to print its version

_WHAT = "Downloading the ngrok agent"
_MAJOR = 3
_BROKEN_ARCHIVE = (EOFError, tarfile.TarError, BadGzipFile, zlib.error, zipfile.BadZipFile, KeyError)


def ngrok_program(folder: Path, progress: ProgressCallback = silent, pause_seconds: float = PAUSE_SECONDS) -> Path:
    """An ngrok agent that runs here: PYNGROK_NGROK_PATH, ours, pyngrok's, the search path's, or a download.

    Args:
        folder: where a downloaded agent is kept.
        progress: told about the download.
        pause_seconds: before the download's second attempt; doubled each time.

    Raises:
        OpenmicError: one of the ``agent_...`` problems.
    """
    named = os.environ.get("PYNGROK_NGROK_PATH")
    if named:
        program = Path(named).expanduser().absolute()
        if not program.exists():
            raise PROBLEMS.error("agent_not_found", program=program)
        check(program)
        return program
    own = folder / installer.get_ngrok_bin()
    for program in (own, Path(conf.DEFAULT_NGROK_PATH), Path(shutil.which("ngrok") or own)):
        if program.exists() and (program != own or is_ours(own)) and _usable(program):
            return program
    download(own, progress, pause_seconds)
    check(own)
    return own


def check(program: Path) -> None:
    """Ask the agent for its version.

    Raises:
        OpenmicError: ``agent_not_executable``, ``agent_other_program`` or ``agent_too_old``.
    """
    failure: OpenmicError | None = None
    try:
        answer = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            check=False,
            env=environment_without_secrets(),
        ).stdout
    except OSError as error:
        detail = error.strerror or type(error).__name__
        failure = PROBLEMS.error("agent_not_executable", program=program, detail=detail)
    except subprocess.TimeoutExpired:
        failure = PROBLEMS.error("agent_other_program", program=program)
    if failure:
        raise failure
    words = answer.split()
    if words[:2] != ["ngrok", "version"] or len(words) < 3 or not words[2].split(".")[0].isdigit():
        raise PROBLEMS.error("agent_other_program", program=program)
    if int(words[2].split(".")[0]) < _MAJOR:
        raise PROBLEMS.error("agent_too_old", program=program)


def _usable(program: Path) -> bool:
    try:
        check(program)
    except OpenmicError:
        return False  # one that nobody asked for by name is passed over
    return True


def download(program: Path, progress: ProgressCallback = silent, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Fetch the agent for this machine from ngrok and put it at ``program``.

    ngrok publishes neither fixed versions nor checksums at that address; what protects the download is HTTPS, so that
    nothing is taken from where it leads without.

    Raises:
        OpenmicError: ``agent_not_downloaded`` or ``folder_not_writable``.
    """
    url = installer.get_ngrok_cdn_url(str(_MAJOR))
    reason = ""
    failure: OpenmicError | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            program.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=program.parent, prefix="download-") as scratch:
                archive = Path(scratch) / url.rsplit("/", 1)[-1]
                _fetch(url, archive, progress)
                _unpack(archive, Path(scratch) / "agent", program.name)
                (Path(scratch) / "agent").replace(program)
        except (httpx.HTTPError, *_BROKEN_ARCHIVE) as error:
            reason = _reason(error)
        except OSError as error:
            failure = folder_problem(program.parent, error)
            break
        else:
            progress(_WHAT, 1.0)
            return
    raise failure or PROBLEMS.error(
        "agent_not_downloaded", detail=reason, host=urlsplit(url).hostname, attempts=ATTEMPTS
    )


def check_way(schemes: list[str]) -> None:
    """Refuse a way that begins encrypted and leads to where it is not.

    Raises:
        httpx.UnsupportedProtocol: so it does.
    """
    if schemes[0] == "https" and set(schemes) != {"https"}:
        raise httpx.UnsupportedProtocol("the download leads to an address without HTTPS")


def _fetch(url: str, target: Path, progress: ProgressCallback) -> None:
    progress(_WHAT, None)
    with (
        httpx.stream(
            "GET", url, timeout=READ_SECONDS, follow_redirects=True, headers={"Accept-Encoding": "identity"}
        ) as response,
        target.open("wb") as file,
    ):
        check_way([step.request.url.scheme for step in (*response.history, response)])
        response.raise_for_status()
        size = int(response.headers.get("Content-Length", 0))
        done = 0
        for piece in response.iter_raw():
            file.write(piece)
            done += len(piece)
            if size:
                progress(_WHAT, min(done / size, 0.99))


def _unpack(archive: Path, target: Path, name: str) -> None:
    """Take the one file ``name`` out of the archive; nothing else in it is written anywhere."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as file:
            _write(file, target)
        return
    with tarfile.open(archive, "r:gz") as tarred:
        member = tarred.extractfile(name)
        if member is None:
            raise KeyError(name)
        with member:
            _write(member, target)


def _write(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
    target.chmod(0o700)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.HTTPError):
        return "no connection, or it broke off"
    return "what arrived is not the agent's archive"
