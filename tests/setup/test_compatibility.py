"""docs/compatibility.md is what the matrix wrote, and it was run with the bounds that stand in the requirements."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from openmic_setup.place import PYTHONS
from openmic_setup.requirements import read_requirements, requirement_name, satisfies
from tests.matrix import core, environments, pythons, room, sets, table

ROOT = Path(__file__).resolve().parents[2]
RUN = table.read(table.PAGE.with_suffix(".json"))
SUPPORTED = [f"{major}.{minor}" for major, minor in PYTHONS]
CELLS = [f"{python}-{name}" for name in ("newest", "lowest") for python in SUPPORTED] + ["3.13-colab"]


def cell(name: str) -> table.Cell:
    return next(one for one in RUN.cells if one.name == name)


def test_the_page_shows_the_run() -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    assert page.split(table.BEGIN)[1].split(table.END)[0] == table.markdown(RUN)
    for name in core.names(whole=True, lint=True):
        assert name in page


def test_every_python_was_run_with_every_set_and_passed() -> None:
    assert sorted(one.name for one in RUN.cells) == sorted(CELLS)
    for one in RUN.cells:
        assert one.passed, one.name
        assert set(one.parts) >= set(core.names(whole=sets.SETS[one.packages].whole, lint=False)), one.name


@pytest.mark.parametrize("python", SUPPORTED)
def test_the_lowest_versions_that_are_allowed_are_those_that_were_run(python: str) -> None:
    ran = cell(f"{python}-lowest").versions
    for name, bound in sets.lowest_versions().items():
        assert satisfies(ran[name], f"=={bound}"), f"{name}: {bound} is allowed, {ran[name]} was run"


def test_every_requirement_was_used_in_its_lowest_version() -> None:
    unused = [set(cell(f"{python}-lowest").not_run) for python in SUPPORTED]
    assert not set.intersection(*unused)
    lint = {"ruff", "mypy"}
    assert all(names <= lint for names in unused)


def test_colabs_set_was_colabs() -> None:
    ran, colabs = cell("3.13-colab").versions, sets.colab_pins()
    assert {"torch", "numpy", "numba", "fastapi", "starlette", "uvicorn", "httpx", "psutil", "websockets"} <= set(ran)
    assert {"ipykernel", "ipython", "ipywidgets", "tornado", "traitlets", "nest-asyncio", "tiktoken"} <= set(ran)
    for name in ran.keys() & colabs.keys():
        assert ran[name].partition("+")[0] == colabs[name], name


@pytest.mark.parametrize("name", CELLS)
def test_what_was_run_is_allowed(name: str) -> None:
    for requirement in read_requirements(*sets.REQUIREMENTS):
        version = cell(name).versions[requirement_name(requirement)]
        assert satisfies(version, re.sub(r"^[\w.-]+", "", requirement)), f"{requirement}: {version}"


@pytest.mark.slow
def test_each_part_is_there() -> None:
    ids = [one for part in core.TESTS.values() for one in part if not one.startswith("-")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *ids]
    done = subprocess.run(command, cwd=sets.ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:]
    for one in ids:
        assert one in done.stdout, one


@pytest.mark.slow
def test_this_machines_pythons_are_found() -> None:
    found = pythons.found()
    assert "{}.{}".format(*sys.version_info[:2]) in [python.minor for python in found]
    for python in found:
        told = subprocess.check_output(
            [python.path, "-c", "import sys; print(sys.prefix == sys.base_prefix)"], text=True
        )
        assert told.strip() == "True"


# --- the program itself, on an environment that costs nothing


@pytest.fixture
def here(tmp_path: Path) -> environments.Environment:
    """The environment that the tests run in, as if the matrix had made it."""
    return environments.look(Path(sys.executable), kept=True)


@pytest.mark.slow
def test_a_part_that_fails_is_told_and_one_that_skips_has_not_passed(
    here: environments.Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_bad.py").write_text("import segno\n\n\ndef test_bad() -> None:\n    assert False\n")
    (tmp_path / "test_good.py").write_text("def test_good() -> None:\n    pass\n")
    skipped = "import pytest\n\n\n@pytest.mark.skip\ndef test_skipped() -> None:\n    pass\n"
    (tmp_path / "test_skipped.py").write_text(skipped)
    for name in ("bad", "good", "skipped"):
        monkeypatch.setitem(core.TESTS, name, (f"{tmp_path}/test_{name}.py",))
    bad, good, skips = (core.run(name, here, tmp_path) for name in ("bad", "good", "skipped"))
    assert (bad.passed, bad.count) == (False, 0)
    assert "assert False" in bad.log.read_text()
    assert (good.passed, good.count) == (True, 1)
    assert (skips.passed, skips.count) == (False, 0)
    assert {"segno", "pytest", "pytest-timeout"} <= core.imported(here, tmp_path)
    assert "pyngrok" not in core.imported(here, tmp_path)


@pytest.mark.slow
def test_a_part_that_hangs_is_ended_with_its_children(
    here: environments.Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    sleeper = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    (tmp_path / "test_hangs.py").write_text(
        "import subprocess, sys\n\n\ndef test_hangs() -> None:\n"
        f"    subprocess.run([sys.executable, '-c', {sleeper!r}])\n"
    )
    monkeypatch.setitem(core.TESTS, "hangs", (f"{tmp_path}/test_hangs.py",))
    monkeypatch.setattr(core, "PART_SECONDS", 15.0)
    hung = core.run("hangs", here, tmp_path)
    assert not hung.passed
    assert "ended after 15 s" in hung.log.read_text()
    pid, deadline = int(note.read_text()), time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # it was killed just now
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Disk:
    """Stands for a disk on which everything that can be deleted takes 5 GiB."""

    def __init__(self, folder: Path, free_gib: int) -> None:
        self._folder, self._free_gib, self._began = folder, free_gib, len(list(folder.iterdir()))

    def usage(self, place: Path) -> SimpleNamespace:
        gone = self._began - len(list(self._folder.iterdir()))
        return SimpleNamespace(free=(self._free_gib + 5 * gone) << 30)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with two environments, the first used last, one half made, and uv's cache."""
    for age, name in enumerate(("3.12-lowest-0123", "3.13-lowest-4567", "3.11-newest-89ab", "uv")):
        (tmp_path / name).mkdir()
        if age < 2:
            (tmp_path / name / room.FINISHED).touch()
            os.utime(tmp_path / name / room.FINISHED, (2e9 - age, 2e9 - age))
    monkeypatch.setattr(room, "folder", lambda: tmp_path)
    monkeypatch.setattr(room, "_killed_pytest_runs", lambda: iter(()))
    return tmp_path


@pytest.mark.parametrize(
    ("free_gib", "gone"),
    [
        (40, []),
        (22, ["3.11-newest-89ab"]),
        (10, ["3.11-newest-89ab", "uv", "3.13-lowest-4567"]),
        (1, ["3.11-newest-89ab", "uv", "3.13-lowest-4567", "3.12-lowest-0123"]),
    ],
)
def test_room_for_the_suite_is_taken_from_what_is_used_least(
    free_gib: int, gone: list[str], kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {path.name for path in kept.iterdir()}
    monkeypatch.setattr(shutil, "disk_usage", Disk(kept, free_gib).usage)
    assert list(room.make_room(room.SUITE_BYTES)) == gone
    assert {path.name for path in kept.iterdir()} == there - set(gone)


def test_room_is_never_taken_from_an_environment_in_use(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", Disk(kept, 1).usage)
    assert list(room.make_room(room.PAIR_BYTES, unused=("3.12-lowest",))) == ["uv", "3.12-lowest-0123"]


def test_temporary_folders_of_killed_runs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, pid in (("pytest-1", ended.pid), ("pytest-2", os.getpid()), ("pytest-3", "")):
        folder = tmp_path / f"pytest-of-{getpass.getuser()}" / name
        folder.mkdir(parents=True)
        (folder / ".lock").write_text(str(pid))
    assert [run.name for run in room._killed_pytest_runs()] == ["pytest-1"]


def test_room_is_made_before_anything_is_installed() -> None:
    """In a Python with nothing but its standard library, as `.ci/run` starts it."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tests.matrix.room",
    ]
    subprocess.run(command, check=True, timeout=60)
