"""What a wheel of openmic holds, and that the requirements files say what pyproject.toml says."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from openmic_setup.place import PYTHONS
from openmic_setup.requirements import read_requirements, requirement_name
from openmic_setup.requirements_files import FILES, array_of, written
from tests.matrix.index import UV, index_settings

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)


def files_below(folder: Path) -> set[str]:
    """All files of a package, relative to the folder that holds it; not what Python leaves behind."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder.parent)) for path in files}


def parts(requirement: str) -> tuple[str, frozenset[str]]:
    """A requirement's name and its bounds, which setuptools puts in an order of its own."""
    return requirement_name(requirement), frozenset(re.sub(r"^[\w.-]+", "", requirement).split(","))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel as `pip install .` builds it, of the project with a sub-package that pyproject.toml cannot know."""
    project = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    for package in ("openmic", "openmic_setup", "tests", "benchmarks"):
        (project / package).mkdir()
        (project / package / "__init__.py").touch()
    shutil.copytree(ROOT / "openmic", project / "openmic", dirs_exist_ok=True)
    (project / "openmic" / "server" / "new_room").mkdir()
    (project / "openmic" / "server" / "new_room" / "__init__.py").touch()
    done = subprocess.run(
        [*UV, "build", "--wheel", "--quiet", "--out-dir", str(project / "dist"), str(project)],
        capture_output=True, text=True, env=index_settings(), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (built,) = (project / "dist").glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == files_below(ROOT / "openmic") | {"openmic/server/new_room/__init__.py"}
    assert {Path(name).suffix for name in shipped} >= {".py", ".typed", ".html", ".js", ".css", ".svg", ".wav"}


@pytest.mark.slow
def test_a_wheel_asks_for_what_requirements_txt_names(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {parts(line) for line in required} == {parts(line) for line in read_requirements(ROOT / "requirements.txt")}
    assert metadata["Version"] == PROJECT["project"]["version"]
    assert metadata["License-Expression"] == "MIT"


@pytest.mark.parametrize("name", FILES)
def test_requirements_files_are_written_from_pyproject(name: str) -> None:
    text = written(PYPROJECT)[name]
    assert (ROOT / name).read_text(encoding="utf-8") == text, "run: python -m openmic_setup.requirements_files"
    tables = [array_of(PROJECT, table, key) for table, key in FILES[name]]
    assert read_requirements(ROOT / name) == [requirement for table in tables for requirement in table]


def test_a_bounds_reason_goes_with_it() -> None:
    assert re.search(r"^torch>=\S+  # CVE-\d+-\d+ ", written(PYPROJECT)["requirements.txt"], re.MULTILINE)
    changed = PYPROJECT.replace('"numpy>=2.1",', '"numpy>=2.2",  # because of something', 1)
    assert "\nnumpy>=2.2  # because of something\n" in written(changed)["requirements.txt"]


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('    "numpy>=2.1",\n', '    "numpy>=2.1"\n    ,\n'),
        ('    "numpy>=2.1",\n    "numba>=0.61",\n', '    "numpy>=2.1", "numba>=0.61",\n'),
        ('    "numpy>=2.1",\n', "    'numpy>=2.1',\n"),
        ("tests = [\n", 'tests = [\n    { include-group = "lint" },\n'),
    ],
)
def test_lines_that_the_writer_cannot_carry_over_are_refused(line: str, instead: str) -> None:
    assert PYPROJECT.count(line) == 1
    with pytest.raises(ValueError, match="one quoted requirement a line"):
        written(PYPROJECT.replace(line, instead))


def test_the_metadata_names_the_pythons_that_are_supported() -> None:
    project = PROJECT["project"]
    supported = [f"{major}.{minor}" for major, minor in PYTHONS]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert named == supported
    assert project["requires-python"] == f">={supported[0]}"


def test_one_address_stands_everywhere() -> None:
    address = PROJECT["project"]["urls"]["Source"].removeprefix("https://github.com/")
    for page in ("README.md", "README.tr.md"):
        badges = re.findall(r"/github/([^/]+/[^/]+)/", (ROOT / page).read_text(encoding="utf-8"))
        assert badges
        assert set(badges) == {address}, page
