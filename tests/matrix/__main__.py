"""``python -m tests.matrix``: run the core in every environment and write the table."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock

from tests.matrix import core, environments, pythons, room, sets
from tests.matrix.table import PAGE, Cell, Table, markdown, write_page

OTHER_RUN_SECONDS = 3600.0  # the longest that another run on this machine is waited for
TAIL_LINES = 40
_printing = threading.Lock()


def main() -> int:
    """Run the cells that the command line asks for.

    Returns:
        The exit status: 0 where all passed, 1 where something did not, 2 where there is nothing to run.
    """
    options = _options()
    found = pythons.found()
    _say(f"Pythons here: {', '.join(python.full for python in found)}")
    here = {
        f"{python.minor}-{packages.name}": (python, packages)
        for packages in sets.SETS.values()
        for python in found
        if not packages.pythons or python.minor in packages.pythons
    }
    if unknown := [name for name in (*options.cells, *options.skip) if name not in here]:
        _say(f"Not here: {', '.join(unknown)}. Here are: {', '.join(here)}.")
        return 2
    names = [name for name in options.cells or here if name not in options.skip]
    asked = [here[name] for name in names]
    if not asked:
        _say("There is nothing to run.")
        return 2
    with _alone():
        began = time.monotonic()
        cells = [Cell(python.full, packages.name) for python, packages in asked]
        with ThreadPoolExecutor(options.at_a_time) as workers:
            running = [
                workers.submit(_run, cell, *pair, options.parts) for cell, pair in zip(cells, asked, strict=True)
            ]
        for one in running:
            one.result()
    table = Table(datetime.date.today().isoformat(), os.cpu_count() or 1, options.at_a_time, cells)
    written = room.folder() / "matrix.json"
    if options.docs:
        write_page(table)
        written = PAGE.with_suffix(".json")
    table.write(written)
    print(f"\n{markdown(table)}\nmatrix: {time.monotonic() - began:.0f} s, written to {written}", flush=True)
    return 0 if table.passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("cells", nargs="*", help="such as 3.12-lowest; all where none is named")
    parser.add_argument("--skip", nargs="*", default=[], metavar="CELL", help="leave these out")
    parser.add_argument("--parts", nargs="*", choices=core.names(True, True, True), metavar="PART", help="only these")
    parser.add_argument("--at-a-time", type=int, default=2, help="cells beside each other (2)")
    parser.add_argument("--docs", action="store_true", help="write docs/compatibility.md and .json")
    return parser.parse_args()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the kept environments against other runs on this machine."""
    lock = filelock.FileLock(room.folder() / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _say("Another run of the matrix is on this machine; waiting for it.")
        lock.acquire(timeout=OTHER_RUN_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _run(cell: Cell, python: pythons.Python, packages: sets.PackageSet, parts: list[str] | None) -> None:
    """Fill in a cell."""
    logs = room.folder() / "logs" / cell.name
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    named = set(sets.lowest_versions())
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            resolution = sets.resolve(packages, python, Path(folder))
        environment = environments.make(cell.name, python, resolution)
    except (sets.Unresolvable, environments.NotMade, subprocess.TimeoutExpired, OSError) as problem:
        cell.problem = str(problem)
        _say(f"{cell.name}: no environment\n{problem}")
        return
    cell.versions = {
        name: environment.versions[name]
        for name in sorted({*named, *sets.COLAB_BESIDES})
        if name in environment.versions
    }
    cell.environment_seconds = 0.0 if environment.kept else round(time.monotonic() - began, 1)
    _say(f"{cell.name}: {'kept' if environment.kept else 'made'} in {time.monotonic() - began:.0f} s")
    lint = packages.whole and python.version[:2] == sys.version_info[:2]
    for name in parts or core.names(packages.whole, lint, kernel=packages.name == "colab"):
        part = core.run(name, environment, logs)
        cell.parts[name] = part.seconds
        cell.counts[name] = part.count
        _say(f"{cell.name}: {name} {'passed' if part.passed else 'FAILED'}, {part.seconds:.0f} s")
        if not part.passed:
            cell.failed.append(name)
            lines = part.log.read_text(errors="replace").splitlines()
            _say("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]))
    if not parts and packages.whole:
        cell.not_run = sorted(named - core.imported(environment, logs))
    with environments.MAKING:
        for deleted in room.make_room(room.PAIR_BYTES, unused=(cell.name,)):
            _say(f"{cell.name}: the disk is nearly full, {deleted} is not kept")


def _say(text: str) -> None:
    with _printing:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
