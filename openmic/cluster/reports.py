"""What each replica says of itself in the shared folder, so that whichever is asked can answer for all.

A file for each replica, written anew each second and read when somebody asks. It needs no actor that could die, and a
command line finds it as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openmic.ownership import make_private_folder

FOLDER = "replicas"  # in the folder that all replicas share
REPORT_SECONDS = 1.0  # how often a replica writes its own
FRESH_SECONDS = 10.0  # how old a report may be before its replica counts as gone; clocks may be a little apart
FORGOTTEN_SECONDS = 3600.0  # after which the report of a replica that was killed is deleted
READ_WRITE_OWNER = 0o600


@dataclass(frozen=True, slots=True)
class Report:
    """One replica at one moment.

    Attributes:
        replica: its name.
        pid, host: of its process.
        at: seconds since 1970.
        model, device: what it transcribes with.
        places: how many sessions it carries at once.
        free: how many more it would let in.
        ended: whether it was told to end, and has finished all sessions.
        status: what the dashboard shows of it.
        metrics: all it knows, in Prometheus' text format.
    """

    replica: str
    pid: int
    host: str
    at: float
    model: str
    device: str
    places: int
    free: int
    ended: bool
    status: dict[str, Any]
    metrics: str


class Reports:
    """The replicas' reports in one folder.

    Args:
        data_dir: that all replicas share.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def write(self, report: Report) -> None:
        """Replace a replica's report; readers see the old one or the new one.

        Raises:
            OSError: the folder cannot be written.
        """
        make_private_folder(self._folder)
        path = self._path(report.replica)
        made = path.with_suffix(".new")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, READ_WRITE_OWNER), "w") as file:
            json.dump(asdict(report), file)
        made.replace(path)

    def read(self) -> list[Report]:
        """All replicas that are at work, by name; those that were gone long ago are forgotten."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):  # it ended just now, or is of another version
                report = Report(**json.loads(path.read_bytes()))
                age = time.time() - report.at
                if age <= FRESH_SECONDS:
                    found.append(report)
                elif age > FORGOTTEN_SECONDS:
                    path.unlink()
        return found

    def remove(self, replica: str) -> None:
        """The replica has ended."""
        self._path(replica).unlink(missing_ok=True)

    def _path(self, replica: str) -> Path:
        return self._folder / f"{replica}.json"
