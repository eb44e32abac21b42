"""What a session's files are called, and which of them count.

The process that holds a session's lease number N writes only files of that number or a lower one, and where files of
several numbers are there, the highest counts. So one that has lost its lease can write, rename and delete as it likes:
nobody looks there any more. Number 1 is left out of the names.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

JOURNAL = "journal"
RECORDING = "recording"
DAMAGED = "journal.damaged"  # what a journal was before its good part was made the journal
MAKING = "new-"  # before the name of a folder whose journal does not say yet what it is
GOING = "gone-"  # before the name of a folder that is being deleted
_JOURNAL_NAME = re.compile(r"journal(?:\.([1-9][0-9]{0,8}))?(\.new)?")
_RECORDING_NAME = re.compile(r"recording(?:\.([1-9][0-9]{0,8}))?(\.pcm|\.new)?")


def numbered(folder: Path, name: str, number: int) -> Path:
    """The file called ``name`` of a lease's number."""
    return folder / (name if number == 1 else f"{name}.{number}")


def journal_number(folder: Path) -> int:
    """Which journal counts; 1 where there is none."""
    return max((number for number, temporary in _numbers(folder, _JOURNAL_NAME) if temporary != ".new"), default=1)


def journal_path(folder: Path) -> Path:
    """The journal that counts, whether or not it is there."""
    return numbered(folder, JOURNAL, journal_number(folder))


def recording_path(folder: Path) -> Path:
    """The recording that counts, whether or not it is there, without the ending that it has while it grows."""
    numbers = [number for number, temporary in _numbers(folder, _RECORDING_NAME) if temporary != ".new"]
    return numbered(folder, RECORDING, max(numbers, default=1))


def sweep(folder: Path, journal: int, recording: int) -> None:
    """Remove what does not count any more: journals and recordings of lower numbers than these."""
    for pattern, kept in ((_JOURNAL_NAME, journal), (_RECORDING_NAME, recording)):
        for name in _listed(folder):
            match = pattern.fullmatch(name)
            if match is not None and int(match[1] or 1) < kept:
                with contextlib.suppress(OSError):
                    (folder / name).unlink()


def remove_folder(folder: Path) -> None:
    """Delete a session's folder: for all readers at the same moment, and then its content. Safe to call again."""
    going = folder.with_name(GOING + folder.name)
    with contextlib.suppress(OSError):  # somebody else was quicker, or died over it
        folder.rename(going)
    shutil.rmtree(going, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    return [(int(match[1] or 1), match[2] or "") for name in _listed(folder) if (match := pattern.fullmatch(name))]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
