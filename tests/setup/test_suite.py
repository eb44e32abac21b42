"""The suite itself: its marks are real, documented and held to; and how `test` runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic_setup.suite import command
from tests import marks
from tests.support.browser import chromium

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
MARKERS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"][
    "markers"
]
NAMES = [marker.partition(":")[0] for marker in MARKERS]


def test_every_mark_is_used_and_documented() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    for page in ("README.md", "README.tr.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in NAMES:
            assert f"`{name}`" in text, (page, name)
    for name in NAMES:
        assert re.search(rf"mark\.{name}\b", code), name
    assert {*marks.NOT_QUICK, *marks.BY_FIXTURE} <= {*NAMES}


def test_files_that_start_first_exist() -> None:
    assert len({*marks.LONGEST_FIRST}) == len(marks.LONGEST_FIRST)
    for name in marks.LONGEST_FIRST:
        assert (TESTS / name).is_file(), name


@pytest.mark.slow
def test_without_its_mark_a_test_has_no_weights() -> None:
    from openmic.speech.weights.locate import locate

    with pytest.raises(OpenmicError) as refused:
        locate("base", Settings().cache_dir)
    assert refused.value.code == "cache_unusable"
    asked = "from openmic.settings import Settings; print(Settings().cache_dir)"
    child = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=ROOT, check=True)
    assert child.stdout.strip() == str(marks.cache_without_weights())


def test_without_its_mark_a_test_has_no_browser() -> None:
    with pytest.raises(AssertionError, match="marked"):
        chromium()


class Suite:
    """A suite of the texts that are given, under our own conftest.py and pyproject.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tests").mkdir()
        for name in ("pyproject.toml", "tests/conftest.py", "tests/marks.py"):
            shutil.copy(ROOT / name, folder / name)

    def run(self, texts: dict[str, str], *options: str) -> str:
        """What pytest says, run as `test` runs it."""
        for name, text in texts.items():
            (self.folder / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "tests" / name).write_text(text, encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "OMP"))}
        done = subprocess.run(
            command(["-v", "-p", "no:cacheprovider", *options]),
            capture_output=True,
            text=True,
            timeout=240,
            cwd=self.folder,
            env=environment | {"PYTHONPATH": str(ROOT)},
        )
        return done.stdout + done.stderr


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


MARKED = """
import os, pytest
def test_plain(): assert os.environ["OPENMIC_TEST_MARKS"] == ""
def test_with_weights(base_model): raise AssertionError
@pytest.fixture
def whole(final_model): return final_model
def test_through_another(whole): raise AssertionError
@pytest.mark.slow
def test_that_waits(): raise AssertionError
@pytest.mark.gpu
def test_on_a_gpu(): raise AssertionError
@pytest.mark.faults
def test_that_breaks(): assert os.environ["OPENMIC_TEST_MARKS"] == "faults"
"""


@pytest.mark.slow
def test_a_mark_comes_with_the_fixture_and_quick_leaves_it_out(suite: Suite) -> None:
    quick = suite.run({"test_it.py": MARKED}, "--quick", "-n", "0")
    assert "2 passed, 4 deselected" in quick
    marked = suite.run({}, "-m", "weights", "--collect-only", "-n", "0")
    assert "2/6 tests collected (4 deselected)" in marked


@pytest.mark.slow
@pytest.mark.skipif(marks.gpu_is_there(), reason="this machine has a GPU")
def test_without_a_gpu_its_tests_are_skipped(suite: Suite) -> None:
    assert "1 skipped" in suite.run({"test_it.py": MARKED}, "-m", "gpu", "-n", "0")


@pytest.mark.slow
def test_workers_begin_with_what_is_long_and_share_no_file(suite: Suite) -> None:
    body = """
import os, pytest
@pytest.mark.parametrize("which", range(4))
def test_it(which):
    assert os.environ["OMP_NUM_THREADS"] == "1"
    with open("seen", "a") as file:
        print(__name__, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""
    names = ("test_a.py", "test_b.py", *marks.LONGEST_FIRST[:2])
    said = suite.run(dict.fromkeys(names, body), "-n", "2")
    assert "16 passed" in said
    seen = [line.split() for line in (suite.folder / "seen").read_text().splitlines()]
    assert len({tuple(one) for one in seen}) == len(names)  # four runs of a file, one worker
    assert {name.split(".")[-1] for name, _ in seen[:4]} <= {Path(name).stem for name in marks.LONGEST_FIRST[:2]}


def test_options_go_on_to_pytest_and_win() -> None:
    assert command(["-n", "0", "-k", "x"])[-4:] == ["-n", "0", "-k", "x"]
    assert command(["--quick"])[:5] == [sys.executable, "-m", "pytest", "-n", command([])[4]]
    assert 2 <= int(command([])[4]) <= 8
