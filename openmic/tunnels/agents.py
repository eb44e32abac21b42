"""The programs behind tunnels: a folder for each while it runs, so that none outlives us unnoticed.

A program started from a notebook goes on when the kernel is killed. So each gets a folder of its own, which
appears in its command line (no other process has it there) and holds a record of who started whom and when. The next
time a tunnel is opened, the programs whose owner is gone are ended, and only those.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from openmic.errors import OpenmicError
from openmic.tunnels.problems import PROBLEMS

TERMINATE_SECONDS = 5.0  # for a program to sign off at its service after SIGTERM
KILL_SECONDS = 5.0  # for the system to clear it away after SIGKILL

_RECORD = "agent.json"
_SAME_START_SECONDS = 2.0  # start times are reckoned from the boot time, which the system corrects now and then
_UNFINISHED_SECONDS = 3600.0  # a folder without a record is being made, unless it is older than this


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """The program behind a tunnel, and the process that started it; times are seconds since 1970."""

    program: str
    pid: int | None
    started: float | None
    owner_pid: int
    owner_started: float


class AgentFolder:
    """The private folder (mode 0700) of one program while it runs."""

    def __init__(self, root: Path, program: Path) -> None:
        """Make a folder under ``root`` for ``program``.

        Raises:
            OpenmicError: ``folder_not_writable``.
        """
        self.path = root / uuid.uuid4().hex
        self._program = program
        failure: OpenmicError | None = None
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
            self._write_record(None, None)
        except OSError as error:
            failure = folder_problem(root, error)
        if failure:
            self.remove()
            raise failure

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file that only its owner may read, from its first byte on.

        Raises:
            OpenmicError: ``folder_not_writable``.
        """
        path = self.path / name
        failure: OpenmicError | None = None
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            failure = folder_problem(self.path, error)
        if failure:
            raise failure
        return path

    def read(self, name: str) -> str:
        """A file's text, or nothing where there is none."""
        try:
            return (self.path / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def record(self, pid: int) -> None:
        """Remember that the program runs as ``pid``; a process that has already ended is not remembered."""
        try:
            self._write_record(pid, psutil.Process(pid).create_time())
        except (psutil.Error, OSError):
            return

    def remove(self) -> None:
        """Delete the folder; a second time does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write_record(self, pid: int | None, started: float | None) -> None:
        owner = psutil.Process()
        record = AgentRecord(str(self._program), pid, started, owner.pid, owner.create_time())
        new = self.path / f"{_RECORD}.new"
        new.write_text(json.dumps(asdict(record)), encoding="utf-8")
        new.replace(self.path / _RECORD)


def end_orphans(root: Path) -> list[int]:
    """End the programs under ``root`` whose owner is gone, remove their folders, and return their process ids."""
    ended = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if not folder.is_dir():
            continue
        record = _read_record(folder)
        if record is None:
            if _age_seconds(folder) > _UNFINISHED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        if _running(record.owner_pid, record.owner_started) is not None:
            continue
        agent = _running(record.pid, record.started)
        if agent is not None and _is_ours(agent, folder):
            end_process(agent)
            ended.append(agent.pid)
        shutil.rmtree(folder, ignore_errors=True)
    return ended


def end_process(process: psutil.Process) -> None:
    """Ask a process to end, then make it; returns when it is gone or after TERMINATE_SECONDS + KILL_SECONDS."""
    for end, seconds in ((process.terminate, TERMINATE_SECONDS), (process.kill, KILL_SECONDS)):
        try:
            end()
        except psutil.NoSuchProcess:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _lives(process):
                return
            time.sleep(0.05)


def folder_problem(folder: Path, error: OSError) -> OpenmicError:
    """``error`` as the problem of a folder that cannot be written."""
    return PROBLEMS.error("folder_not_writable", folder=folder, detail=error.strerror or type(error).__name__)


def _read_record(folder: Path) -> AgentRecord | None:
    try:
        return AgentRecord(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _age_seconds(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0


def _running(pid: int | None, started: float | None) -> psutil.Process | None:
    """The process ``pid``, if it is still the one that started then: numbers are given out again."""
    if pid is None or started is None:
        return None
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_START_SECONDS
    except psutil.Error:
        return None
    return process if same and _lives(process) else None


def _is_ours(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
