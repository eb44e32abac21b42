"""What CONTRIBUTING.md and the change log say is true, and every private API that is used is registered."""

from __future__ import annotations

import ast
import datetime
import importlib
import inspect
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from openmic_setup.requirements import requirement_name

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
JUSTFILE = (ROOT / "justfile").read_text(encoding="utf-8")
OURS = {"openmic", "openmic_setup"}
PUBLIC = {"os._exit"}  # documented, for all its underscore
ONLY_IN_CUDA_BUILDS = "torch._C._cuda"


# --- CONTRIBUTING.md


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`([\w.][\w./-]*(?:/|\.(?:py|md|js|json|toml|yaml|yml|txt)))`", CONTRIBUTING)
    assert len(named) > 15
    for name in named:
        anywhere = "/" not in name and any((ROOT / "openmic").rglob(name))
        assert anywhere or (ROOT / name).exists() or (ROOT / "openmic" / name).exists(), name


def test_every_task_is_a_recipe_and_runs_what_the_table_says() -> None:
    recipes = dict(re.findall(r"^([\w-]+)(?: \*options)?:\n    ([^@].+)$", JUSTFILE, re.MULTILINE))
    rows = re.findall(r"^\| `just ([\w-]+)` \| (?:`([^`]+)`|[^|]+) \|", CONTRIBUTING, re.MULTILINE)
    assert {name for name, _ in rows} == set(recipes)
    for name, command in rows:
        if command:
            assert recipes[name].removesuffix(" {{ options }}") == command, name


def test_the_names_that_the_steps_lean_on_exist() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "openmic").rglob("*.py"))
    assert "`to_message`" in CONTRIBUTING
    assert re.search(r"^def to_message\(|^    def to_message\(", code, re.MULTILINE)
    assert 'PROBLEMS.error("' in CONTRIBUTING
    assert 'PROBLEMS.error("' in code


def lines_of(array: str) -> list[str]:
    """The lines of an array in pyproject.toml, comments too."""
    (text,) = re.findall(rf"^{array} = \[\n(.*?)^\]$", PYPROJECT_TEXT, re.MULTILINE | re.DOTALL)
    return [line.strip() for line in text.splitlines()]


def test_every_rule_that_is_off_has_its_reason() -> None:
    for line in lines_of("ignore"):
        assert re.search(r",  # \S", line), line


def test_warnings_are_errors_but_for_those_that_are_named_with_a_reason() -> None:
    filters = PYPROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"]
    assert filters[0] == "error"
    lines = lines_of("filterwarnings")[1:]
    assert len(lines) == 2 * len(filters[1:])
    for reason, line in zip(lines[::2], lines[1::2], strict=True):
        assert reason.startswith("# "), line
        assert re.fullmatch(r'"ignore:[^:]{10,}:(Deprecation|Resource)Warning(:[^:]+)?",', line), line


# --- the register of private APIs


@dataclass(frozen=True)
class Registered:
    """A row of the table, for one name: the file that uses it, and the package with the version it was read at."""

    file: Path
    read_at: str


def register() -> dict[str, Registered]:
    """By dotted name of a private API."""
    found: dict[str, Registered] = {}
    rows = re.findall(r"^\| (`.+?`) \| `([\w/]+\.py)` \| ([\w-]+ [\d.]+) \|", CONTRIBUTING, re.MULTILINE)
    for uses, file, read_at in rows:
        names = re.findall(r"`([^`]+)`", uses)
        if "`: `" in uses:  # a class and what is used of it
            names = [f"{names[0]}.{attribute}" for attribute in names[1:]]
        found |= dict.fromkeys(names, Registered(ROOT / "openmic" / file, read_at))
    return found


def foreign_names(tree: ast.AST) -> dict[str, str]:
    """What a module calls other people's modules and their members: local name to dotted name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            whole = [(alias.asname or alias.name.partition(".")[0], alias) for alias in node.names]
            names |= {local: alias.name if alias.asname else local for local, alias in whole}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {local: name for local, name in names.items() if name.partition(".")[0] not in OURS | {"__future__"}}


def private_uses() -> set[str]:
    """Dotted names with an underscore, and members of other people's modules that are replaced, in all our code."""
    found = set()
    for path in (file for folder in OURS for file in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = foreign_names(tree)
        found |= {name for name in names.values() if re.search(r"(^|\.)_[a-z]", name)}
        replaced = [target for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                local, *rest = ast.unparse(node).split(".")
                if local in names and (re.match("_[a-zA-Z]", node.attr) or node in replaced):
                    found.add(".".join([names[local], *rest]))
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
                of, attribute = ast.unparse(node.args[0]), ast.unparse(node.args[1]).strip("'")
                if of in names and re.match("_[a-zA-Z]", attribute):
                    found.add(f"{names[of]}.{attribute}")
    uses = {name for name in found if re.fullmatch(r"[\w.]+", name)}  # no subscripts: that is a module of ours
    return {name for name in uses if not any(other.startswith(f"{name}.") for other in uses)} - PUBLIC


def test_every_private_use_is_registered() -> None:
    found = private_uses()
    assert len(found) > 5
    assert found <= register().keys()


def test_every_registered_use_is_in_its_file() -> None:
    assert len(register()) > 10
    for name, registered in register().items():
        code = registered.file.read_text(encoding="utf-8")
        last = name.rpartition("/")[2] if "/" in name else name.rpartition(".")[2]
        assert re.search(rf"(?<!\w){re.escape(last)}(?!\w)", code), name


def has(owner: object, attribute: str) -> bool:
    """Whether a member is there; of a class also one that its methods set."""
    if hasattr(owner, attribute):
        return True
    return inspect.isclass(owner) and f"self.{attribute}" in inspect.getsource(owner)


@pytest.mark.parametrize("name", [name for name in register() if not name.startswith(ONLY_IN_CUDA_BUILDS)])
def test_a_registered_name_is_in_what_is_installed(name: str) -> None:
    if "/" in name:
        package, _, file = name.partition("/")
        assert (Path(str(importlib.import_module(package).__file__)).parent / file).is_file()
        return
    parts = name.split(".")
    owner: object = importlib.import_module(parts[0])
    for depth, part in enumerate(parts[1:-1], 2):
        if isinstance(owner, ModuleType) and not hasattr(owner, part):
            importlib.import_module(".".join(parts[:depth]))
        owner = getattr(owner, part)
    assert has(owner, parts[-1])


def test_every_version_that_was_read_is_of_a_package_that_is_required() -> None:
    required = {requirement_name(line) for line in PYPROJECT["project"]["dependencies"]} | {"python"}
    required.add("ipykernel")  # not ours to ask for: whoever runs a notebook has it
    assert {requirement_name(registered.read_at) for registered in register().values()} <= required


# --- CHANGELOG.md


def test_the_change_log_has_its_form() -> None:
    versions = re.findall(r"^## \[([^]]+)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == PYPROJECT["project"]["version"]
    days = [datetime.date.fromisoformat(day) for _, day in versions[1:]]
    assert days == sorted(days, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for version, _ in versions:
        assert re.search(rf"^\[{re.escape(version)}\]: \S+$", CHANGELOG, re.MULTILINE), version
