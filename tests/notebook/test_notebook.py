"""The notebook: its rules, how it finds the project, and papermill running it on real weights."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from openmic.notebook.view import NOBODY_THERE, STOPPED
from openmic.service.arguments import make_settings
from openmic.tunnels import terms

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "openmic.ipynb"
EXECUTE_SECONDS = 900


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_a_valid_notebook_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    for one in code_cells(notebook):
        assert one.outputs == []
        assert one.execution_count is None
    assert "widgets" not in notebook.metadata


def test_it_asks_colab_for_a_gpu_and_to_save_no_outputs(notebook: Any) -> None:
    colab = notebook.metadata.colab
    assert notebook.metadata.accelerator == "GPU"
    assert (colab.gpuType, colab.private_outputs, colab.toc_visible) == ("T4", True, True)
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_visitor_meets_five_steps_with_titles_and_headings_in_both_languages(notebook: Any) -> None:
    titles = [one.source.splitlines()[0] for one in code_cells(notebook)]
    assert all(title.startswith("# @title ") and " · " in title for title in titles)
    assert [title[9] for title in titles[:5]] == list("12345")
    assert not [title for title in titles[5:] if title[9].isdigit()]
    headings = [one.source.splitlines()[0] for one in notebook.cells if one.cell_type == "markdown"]
    assert headings[0].startswith("# ")
    assert all(heading.startswith("## ") and " · " in heading for heading in headings[1:])
    shown = [one.id for one in code_cells(notebook) if one.metadata.get("cellView") != "form"]
    assert shown == ["final"], "the code that a reader is to copy"


def test_the_first_screen_says_what_it_is_what_to_press_and_how_long_it_takes(notebook: Any) -> None:
    intro = notebook.cells[0].source
    assert len(intro) < 900
    for part in ("your voice turns into text", "Runtime > Run all", "about 2 minutes", "Yaklaşık 2 dakika"):
        assert part in intro
    assert "REPO_URL" not in intro


def test_what_colab_allows_is_said_before_a_link_is_opened(notebook: Any) -> None:
    idents = [one.id for one in notebook.cells]
    said = next(one for one in notebook.cells if "forbid remote proxies" in one.source)
    assert idents.index(said.id) < idents.index("settings")
    assert terms.COLAB.partition(":")[0] in said.source


def test_the_settings_are_a_form_and_papermills_parameters(notebook: Any) -> None:
    settings = next(cell for cell in notebook.cells if cell.id == "settings")
    assert settings.metadata.tags == ["parameters"]
    assert settings.metadata.cellView == "form"
    assert all("# @" in line for line in settings.source.splitlines())
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(settings.source).body}
    assert values == {"REPO_URL": "", "MODEL": "auto", "LANGUAGE": "auto", "PUBLIC_LINK": "auto"}
    offered = {
        name: ast.literal_eval(choices)
        for name, choices in re.findall(r"^(\w+) = .*# @param (\[.*?\])", settings.source, re.M)
    }
    assert "cloudflare" not in offered["PUBLIC_LINK"], "its program is not in Colab"
    for name, field in (("MODEL", "model"), ("LANGUAGE", "language"), ("PUBLIC_LINK", "tunnel")):
        for value in offered[name]:
            make_settings(**{field: value})


def test_it_imports_only_what_is_there_by_then(notebook: Any) -> None:
    ready = False
    for one in code_cells(notebook):
        for node in ast.walk(ast.parse(one.source)):
            for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else []:
                allowed = name in sys.stdlib_module_names or name == "colab_bootstrap" or (ready and name == "openmic")
                assert allowed, name
            assert not isinstance(node, ast.ImportFrom) or node.module == "google.colab"
        ready = ready or "colab_bootstrap.setup(" in one.source
    assert ready


def test_every_attribute_it_uses_is_there(notebook: Any) -> None:
    import openmic
    from openmic.notebook.microphone.microphone import Microphone
    from openmic.service.service import OpenMic

    homes = {"openmic": openmic, "mic": OpenMic, "voice": Microphone}
    used = {
        (node.value.id, node.attr)
        for one in code_cells(notebook)
        for node in ast.walk(ast.parse(one.source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in homes
    }
    assert {("openmic", "launch"), ("mic", "microphone"), ("mic", "serve"), ("voice", "json")} <= used
    for home, name in used:
        assert hasattr(homes[home], name), f"{home}.{name}"


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


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook as papermill leaves it, without an edit."""
    return execute(NOTEBOOK, tmp_path_factory.mktemp("executed") / "out.ipynb")


@pytest.mark.timeout(EXECUTE_SECONDS + 20)
@pytest.mark.weights
@pytest.mark.slow
def test_papermill_executes_it_without_an_edit(
    executed: Any, word_error_rate: Callable[[str, str], float], tmp_path: Path
) -> None:
    assert "ready" in text_of(executed, "setup")
    launched = html_of(executed, "launch")
    assert "base" in launched
    assert "openmic has ended" in launched
    assert "Final text of" in html_of(executed, "voice")
    assert text_of(executed, "serve") == NOBODY_THERE + "\n"
    final = json.loads(text_of(executed, "final"))
    assert final["type"] == "final"
    assert word_error_rate(reference(), final["text"]) < 0.05
    assert "(estimated)" in html_of(executed, "capacity")
    assert text_of(executed, "stop") == STOPPED + "\n"
    errors = [output for one in code_cells(executed) for output in one.outputs if output.output_type == "error"]
    assert errors == []
    assert "#token=" not in json.dumps(executed), "no link outlives its service"
    dashboard = html_of(executed, "serve")
    assert "openmic has ended" in dashboard
    assert "library" not in dashboard.lower(), "no word of what was said"


@pytest.mark.timeout(EXECUTE_SECONDS + 20)
@pytest.mark.weights
@pytest.mark.slow
def test_every_cell_may_run_twice_and_cells_may_await_the_client(
    notebook: Any, tmp_path: Path, word_error_rate: Callable[[str, str], float]
) -> None:
    twice = deepcopy(notebook)
    twice.cells = []
    for one in notebook.cells:
        if one.id == "serve":
            one = deepcopy(one)
            one.source = "await mic.serve(seconds=0.5)"
        twice.cells.append(one)
        if one.cell_type == "code" and one.id != "settings":
            again = deepcopy(one)
            again.id = f"{one.id}-again"
            twice.cells.append(again)
        if one.id == "final":
            source = (
                "from openmic.client.sample import sample_path\n"
                "work = openmic.client.stream_file_async(mic.link, sample_path(), realtime=False)\n"
                "print((await work).json())"
            )
            twice.cells.append(nbformat.v4.new_code_cell(source, id="own-loop"))
        if one.id == "guest":
            again.source = one.source.replace("False", "True", 1)
    nbformat.write(twice, tmp_path / "twice.ipynb")
    done = execute(tmp_path / "twice.ipynb", tmp_path / "out.ipynb")
    for ident in ("final", "final-again", "own-loop"):
        assert word_error_rate(reference(), json.loads(text_of(done, ident))["text"]) < 0.05
    assert "openmic has ended" in html_of(done, "launch")
    assert text_of(done, "launch-again").startswith(STOPPED), "the first service"
    assert "openmic has ended" in html_of(done, "guest-again")
    assert html_of(done, "guest") == ""
    assert text_of(done, "stop-again") == ""
