"""The notebook: its rules, how it finds the project, and papermill running it on real weights."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "openmic.ipynb"
EXECUTE_SECONDS = 900


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell(notebook: Any, ident: str) -> str:
    return str(next(cell.source for cell in notebook.cells if cell.id == ident))


def test_it_is_a_valid_notebook_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    for one in code_cells(notebook):
        assert one.outputs == []
        assert one.execution_count is None
    assert "widgets" not in notebook.metadata


def test_it_asks_colab_for_a_gpu(notebook: Any) -> None:
    assert notebook.metadata.accelerator == "GPU"
    assert notebook.metadata.colab.gpuType == "T4"
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_sentence_stands_before_each_cell_and_cells_are_short(notebook: Any) -> None:
    for before, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        if after.cell_type == "code":
            assert before.cell_type == "markdown"
            assert before.source.endswith(".")
            assert ". " not in before.source
            assert 1 <= len([line for line in after.source.splitlines() if line.strip()]) <= 5
    assert notebook.cells[0].cell_type == "markdown"


def test_the_settings_are_a_form_and_papermills_parameters(notebook: Any) -> None:
    settings = next(cell for cell in notebook.cells if cell.id == "settings")
    assert settings.metadata.tags == ["parameters"]
    assert settings.metadata.cellView == "form"
    assert all("# @param" in line for line in settings.source.splitlines())
    values = {
        node.targets[0].id: ast.literal_eval(node.value)  # type: ignore[attr-defined]
        for node in ast.parse(settings.source).body
    }
    assert values["REPO_URL"] == ""
    assert (values["MODEL"], values["TUNNEL"]) == ("auto", "auto")


def test_it_imports_only_what_is_there_by_then(notebook: Any) -> None:
    ready = False
    for one in code_cells(notebook):
        for node in ast.walk(ast.parse(one.source)):
            for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else []:
                allowed = name in sys.stdlib_module_names or name == "colab_bootstrap" or (ready and name == "openmic")
                assert allowed, name
            assert not isinstance(node, ast.ImportFrom)
        ready = ready or "colab_bootstrap.setup()" in one.source
    assert ready


def test_every_attribute_it_uses_is_there(notebook: Any) -> None:
    import openmic
    from openmic.client import Result
    from openmic.service.service import OpenMic

    homes = {"openmic": openmic, "mic": OpenMic, "result": Result}
    used = {
        (node.value.id, node.attr)
        for one in code_cells(notebook)
        for node in ast.walk(ast.parse(one.source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in homes
    }
    assert ("openmic", "launch") in used
    for home, name in used:
        assert hasattr(homes[home], name), f"{home}.{name}"


def run_cells(notebook: Any, folder: Path, repo_url: str, *idents: str) -> subprocess.CompletedProcess[str]:
    """Run cells in a plain Python whose folder is ``folder``; prints where the project was found."""
    parts = [f"REPO_URL = {repo_url!r}", *(cell(notebook, ident) for ident in idents), "print(homes[0])"]
    code = "\n".join(parts)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_it_finds_the_project_around_itself(notebook: Any) -> None:
    for folder in (ROOT, ROOT / "notebooks"):
        done = run_cells(notebook, folder, "", "find", "fetch", "find", "fetch")
        assert done.stdout.strip() == str(ROOT), done.stderr


def test_alone_and_without_an_address_it_says_what_to_do(notebook: Any, tmp_path: Path) -> None:
    done = run_cells(notebook, tmp_path, "", "find")
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "The project is not beside this notebook: fill in REPO_URL above, then run from there on."
    )


def test_alone_it_fetches_the_project_once(notebook: Any, tmp_path: Path) -> None:
    origin, work = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    work.mkdir()
    (origin / "colab_bootstrap.py").write_text("")
    name = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "."], [*name, "commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *command], cwd=origin, check=True, timeout=120)
    for _ in range(2):
        done = run_cells(notebook, work, origin.as_uri(), "find", "fetch", "find", "fetch")
        assert done.stdout.strip() == str(work / "openmic-project"), done.stderr
    failed = run_cells(notebook, tmp_path, (tmp_path / "none").as_uri(), "find", "fetch")
    assert "git could not fetch REPO_URL" in failed.stderr
    assert "Traceback" not in failed.stderr


def execute(path: Path, out: Path, **parameters: object) -> Any:
    """Execute a notebook with papermill, in a kernel of its own, where no account is."""
    command = [
        sys.executable,
        "-m",
        "papermill",
        "--no-progress-bar",
        "--cwd",
        str(NOTEBOOK.parent),
        str(path),
        str(out),
    ]
    for name, value in parameters.items():
        command += ["-p", name, str(value)]
    env = {name: value for name, value in os.environ.items() if name != "NGROK_AUTHTOKEN"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=EXECUTE_SECONDS, check=False, env=env)
    assert done.returncode == 0, done.stderr[-4000:]
    return nbformat.read(out, as_version=4)


def outputs(notebook: Any, ident: str) -> list[Any]:
    return [output for one in code_cells(notebook) if one.id == ident for output in one.outputs]


def text_of(notebook: Any, ident: str) -> str:
    return "".join(output.text for output in outputs(notebook, ident) if output.output_type == "stream")


def html_of(notebook: Any, ident: str) -> str:
    return "".join(output.data.get("text/html", "") for output in outputs(notebook, ident) if "data" in output)


def reference() -> str:
    return (ROOT / "sample_audio" / "quickstart.txt").read_text(encoding="utf-8")


@pytest.mark.timeout(EXECUTE_SECONDS + 20)
@pytest.mark.weights
@pytest.mark.slow
def test_papermill_executes_it_without_an_edit(tmp_path: Path, word_error_rate: Callable[[str, str], float]) -> None:
    done = execute(NOTEBOOK, tmp_path / "out.ipynb")
    assert "ready" in text_of(done, "setup")
    assert "base" in html_of(done, "launch")
    card = html_of(done, "card")
    assert "<svg" in card
    assert "#token=" in card
    assert "NGROK_AUTHTOKEN" in card
    board = outputs(done, "dashboard")[0].data
    assert "running" in board["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in board
    assert "Final text of" in html_of(done, "sample")
    final = json.loads(text_of(done, "final"))
    assert final["type"] == "final"
    assert word_error_rate(reference(), final["text"]) < 0.05
    assert "ended" in html_of(done, "watch")
    errors = [output for one in code_cells(done) for output in one.outputs if output.output_type == "error"]
    assert errors == []


@pytest.mark.timeout(EXECUTE_SECONDS + 20)
@pytest.mark.weights
@pytest.mark.slow
def test_every_cell_may_run_twice_and_cells_may_run_loops(
    notebook: Any, tmp_path: Path, word_error_rate: Callable[[str, str], float]
) -> None:
    twice = deepcopy(notebook)
    twice.cells = []
    for one in notebook.cells:
        twice.cells.append(one)
        if one.cell_type == "code" and one.id != "settings":
            again = deepcopy(one)
            again.id = f"{one.id}-again"
            twice.cells.append(again)
        if one.id == "final":
            source = (
                "import asyncio\nfrom openmic.client.sample import sample_path\n"
                "work = openmic.client.stream_file_async(mic.link, sample_path(), realtime=False)\n"
                "print(asyncio.run(work).json())"
            )
            twice.cells.append(nbformat.v4.new_code_cell(source, id="own-loop"))
    nbformat.write(twice, tmp_path / "twice.ipynb")
    done = execute(tmp_path / "twice.ipynb", tmp_path / "out.ipynb", WATCH_SECONDS=1)
    for ident in ("final", "final-again", "own-loop"):
        assert word_error_rate(reference(), json.loads(text_of(done, ident))["text"]) < 0.05
    assert html_of(done, "card") == html_of(done, "card-again")
    assert text_of(done, "stop-again") == ""
