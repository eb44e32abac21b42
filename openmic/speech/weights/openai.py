"""Whisper weights from OpenAI, by the addresses and SHA-256 sums that openai-whisper carries.

openai-whisper's own download neither times out nor resumes, and holds the whole file in memory; so only its table is
used, and the bytes are fetched here.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import whisper

from openmic.progress import ProgressCallback
from openmic.speech.weights.package_index import FetchError

CONNECT_SECONDS = 5.0  # a closed network is found out in this time
ATTEMPTS = 4  # a connection that breaks is taken up again where it broke
CHUNK_BYTES = 1 << 20


def address(model: str) -> str:
    """Where OpenAI keeps the weights of a model of this name (raises KeyError for any other name)."""
    return str(whisper._MODELS[model])


def checksum(model: str) -> str:
    """The SHA-256 of those weights: the last folder of their address, as openai-whisper reads it too."""
    return address(model).split("/")[-2]


def fetch(model: str, partial: Path, progress: ProgressCallback) -> None:
    """Download a model's weights into ``partial``, going on where an earlier download broke off.

    When this returns, ``partial`` is whole and has the right SHA-256. When it raises, what has arrived stays for the
    next time, unless it is wrong.

    Args:
        model: a name openai-whisper knows.
        partial: the file to write or to go on with.
        progress: told how far the download is.

    Raises:
        FetchError: the site cannot be reached, keeps breaking off, or sends something else.
        OSError: the disk is full or cannot be written.
    """
    for attempt in range(ATTEMPTS):
        before = _size(partial)
        try:
            _append(address(model), partial, f"Downloading {model} from OpenAI", progress)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as failure:
            reason = getattr(failure, "reason", None) or failure
            if attempt == ATTEMPTS - 1 or _size(partial) == before:  # nothing new has come: trying on will not help
                raise FetchError(f"OpenAI's download site cannot be reached ({reason})") from failure
    with partial.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != checksum(model):
        partial.unlink()
        raise FetchError("what OpenAI's download site sent does not have the right SHA-256")


def _append(url: str, partial: Path, what: str, progress: ProgressCallback) -> None:
    have = _size(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 416:  # nothing lies behind what is there: the hash will tell whether it is whole
            return
        raise
    with response, partial.open("ab") as file:
        if response.status != 206:  # the site sends it from the beginning
            file.truncate(0)
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            have += len(chunk)
            progress(what, have / total if total else None)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise http.client.IncompleteRead(b"", total - have)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
