"""A contributor's tools run: the hooks before a commit, the tasks, the workflow's file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from openmic_setup.place import PYTHONS
from tests.matrix.index import UV, index_settings

ROOT = Path(__file__).resolve().parents[1]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
NOT_IN_GIT = shutil.ignore_patterns(
    *(
        ".git",
        ".venv",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        "*.egg-info",
        "build",
        "dist",
        "artifacts",
        "recordings",
    )
)
TOOL_SECONDS = 240.0


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with the hooks' programs on PATH, behind those of the tests' own environment."""
    folder = tmp_path_factory.mktemp("tools")
    python = folder / "bin" / "python"
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), *GROUPS["hooks"]],
    ):
        done = subprocess.run(
            [*UV, *command], env=index_settings(), capture_output=True, text=True, timeout=TOOL_SECONDS
        )
        assert done.returncode == 0, done.stderr
    path = [str(Path(sys.executable).parent), str(folder / "bin"), os.environ["PATH"]]
    return os.environ | {
        "PATH": os.pathsep.join(path),
        "TOOLS_PYTHON": str(python),
        "PRE_COMMIT_HOME": str(folder / "pre-commit"),
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of its own with all that git would take of this project."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(ROOT, folder, ignore=NOT_IN_GIT)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True, timeout=60)
    stage_all(folder)
    return folder


def stage_all(clone: Path) -> None:
    subprocess.run(["git", "add", "--all"], cwd=clone, check=True, timeout=60)


def run(command: str, folder: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command.split(), cwd=folder, env=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=TOOL_SECONDS,
    )  # fmt: skip


@pytest.mark.slow
def test_the_hooks_have_nothing_to_say(clone: Path, tools: dict[str, str]) -> None:
    valid = run("pre-commit validate-config", clone, tools)
    assert valid.returncode == 0, valid.stdout
    done = run("pre-commit run --all-files --show-diff-on-failure", clone, tools)
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^(.+?)\.{3,}(\w+)$", done.stdout, re.MULTILINE) == [
        (hook, "Passed") for hook in ("ruff", "ruff format", "codespell", "end of files", "requirements files")
    ]
    by_hand = run("codespell", clone, tools)
    assert by_hand.returncode == 0, by_hand.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "file", "text"),
    [
        ("ruff", "openmic/new.py", "import os\n"),
        ("ruff-format", "openmic/new.py", "a = {  }\n"),
        ("codespell", "docs/new.md", "Recie" + "ved.\n"),
        ("end-of-file-fixer", "docs/new.md", "No end"),
        ("requirements-files", "requirements.txt", "numpy\n"),
    ],
)
def test_each_hook_finds_what_it_is_for(clone: Path, tools: dict[str, str], hook: str, file: str, text: str) -> None:
    path = clone / file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(text, encoding="utf-8")
    stage_all(clone)
    done = run(f"pre-commit run {hook} --files {file}", clone, tools)
    if before is None:
        path.unlink()
    else:
        path.write_text(before, encoding="utf-8")
    stage_all(clone)
    assert done.returncode == 1, done.stdout
    assert "Failed" in done.stdout


@pytest.mark.slow
def test_just_lists_the_tasks_and_writes_what_is_there_already(clone: Path, tools: dict[str, str]) -> None:
    listed = run("just --list --unsorted", clone, tools)
    assert listed.returncode == 0, listed.stderr
    recipes = re.findall(r"^    ([\w-]+)", listed.stdout, re.MULTILINE)
    assert recipes == ["check", "test", "test-all", "test-cluster", "bench", "docs"]
    written = run("just docs", clone, tools)
    assert written.returncode == 0, written.stderr
    assert run("git diff --stat", clone, tools).stdout == ""


def read_yaml(file: Path, tools: dict[str, str]) -> Any:
    """What a YAML file holds, all of it as text, by the reader that comes with pre-commit."""
    read = "import json, sys, yaml; print(json.dumps(yaml.load(sys.stdin, yaml.BaseLoader)))"
    done = subprocess.run(
        [tools["TOOLS_PYTHON"], "-c", read],
        input=file.read_text(encoding="utf-8"), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_workflow_runs_ci_on_every_supported_python(tools: dict[str, str]) -> None:
    workflow = read_yaml(ROOT / ".github" / "workflows" / "ci.yml", tools)
    assert workflow["on"].keys() >= {"push", "pull_request"}
    steps = workflow["jobs"]["all"]["steps"]
    assert steps[-1]["run"] == ".ci/run"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    (pythons,) = (step["with"]["python-version"] for step in steps if "with" in step)
    assert pythons.split() == [f"{major}.{minor}" for major, minor in PYTHONS]
    hooks = [step["run"] for step in workflow["jobs"]["hooks"]["steps"] if "run" in step]
    assert set(re.findall(r"--group (\w+)", " ".join(hooks))) <= GROUPS.keys()
    assert hooks[-1].startswith("pre-commit run --all-files")
