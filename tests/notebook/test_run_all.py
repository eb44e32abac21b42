"""*Run all*, as a reader sees it: all cells queued at once, in a kernel that shows what Colab's shows.

The service runs over a scripted engine; ``test_notebook.py`` has the real one.
"""

from __future__ import annotations

import re
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from openmic.notebook.view import GOES_ON, HOW_TO_END, NOBODY_THERE, STOPPED
from tests.support.kernel import Cell, Kernel, running_kernel
from tests.support.tunnel_fixtures import COLAB

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = nbformat.read(ROOT / "notebooks" / "openmic.ipynb", as_version=4)
CELLS = {cell.id: str(cell.source) for cell in NOTEBOOK.cells if cell.cell_type == "code"}
SCRIPTED = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "support")!r}]
import openmic.service.service as launching
from scripted_engine import ScriptedEngine
launching.load_engine = lambda settings, progress: ScriptedEngine()
"""
SPOKEN = """voice = mic.microphone()
voice.play(lambda: openmic.stream_sample(mic, realtime=False))
voice"""  # in the place of somebody who presses Speak
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]


@contextmanager
def kernel_in(folder: Path, recordings: Path, **environment: str) -> Iterator[Kernel]:
    variables = {"OPENMIC_DATA_DIR": str(recordings), "NGROK_AUTHTOKEN": "", **environment}
    with running_kernel(folder, variables) as kernel:
        yield kernel


def run_all(kernel: Kernel, *, allow_stdin: bool = True, **settings: str) -> dict[str, Cell]:
    """Queue all cells of the notebook; ``settings`` are typed into the form. The sample is sent at once."""
    assert "mic.microphone()" in CELLS["voice"]
    sources = {**CELLS, "voice": SPOKEN} if allow_stdin else dict(CELLS)
    for name, value in settings.items():
        sources["settings"] = re.sub(rf'^{name} = ".*?"', f"{name} = {value!r}", sources["settings"], flags=re.M)
    kernel.send("import time\ntime.sleep(0.5)")  # until all of them have come
    return {ident: kernel.send(source, allow_stdin=allow_stdin) for ident, source in sources.items()}


def answers(link: str) -> bool:
    try:
        with urllib.request.urlopen(f"{link.partition('/#')[0]}/healthz", timeout=20) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def link_on(card: Cell) -> str:
    found = re.search(r'href="([^"]+#token=[^"]+)"', card.html)
    assert found, card.html
    return found[1]


def statuses(cells: dict[str, Cell]) -> dict[str, str]:
    return {ident: cell.status for ident, cell in cells.items()}


@pytest.mark.parametrize("how", ["stop", "interrupt"])
def test_it_stays_on_until_somebody_ends_it_and_then_says_so(how: str, tmp_path: Path) -> None:
    with kernel_in(ROOT / "notebooks", tmp_path) as kernel:
        assert kernel.run(SCRIPTED).status == "ok"
        cells = run_all(kernel)
        kernel.wait_for(lambda: "openmic is on" in cells["serve"].html)
        kernel.read(1.0)
        link = link_on(cells["launch"])
        assert answers(link)
        assert "openmic is live" in cells["launch"].html
        assert cells["serve"].text == HOW_TO_END + "\n"
        assert cells["final"].seen == cells["stop"].seen == []
        kernel.click("Stop") if how == "stop" else kernel.interrupt()
        kernel.wait(list(cells.values()))
        assert set(statuses(cells).values()) == {"ok"}
        assert cells["serve"].text.endswith(STOPPED + "\n")
        assert "openmic has ended" in cells["launch"].html
        assert "openmic has ended" in cells["serve"].html
        assert '"type": "final"' in cells["final"].text
        assert cells["stop"].text == ""
        assert not answers(link)
        token = link.rpartition("=")[2]
        assert not [ident for ident, cell in cells.items() if token in cell.html + cell.text]


def test_where_nobody_can_press_anything_it_ends_by_itself(tmp_path: Path) -> None:
    with kernel_in(ROOT / "notebooks", tmp_path) as kernel:
        kernel.run(SCRIPTED)
        cells = run_all(kernel, allow_stdin=False)
        kernel.wait_for(lambda: cells["serve"].text)
        assert cells["serve"].text == NOBODY_THERE + "\n"
        assert not cells["serve"].status
        kernel.wait(list(cells.values()))
        assert set(statuses(cells).values()) == {"ok"}
        assert cells["stop"].text == STOPPED + "\n"


def test_buttons_answer_while_it_stays_and_words_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    with kernel_in(ROOT / "notebooks", tmp_path) as kernel:
        kernel.run(SCRIPTED)
        cells = run_all(kernel)
        kernel.wait_for(lambda: "openmic is on" in cells["serve"].html)
        assert "heard 15" not in cells["serve"].html
        assert "What people say is not shown" in cells["serve"].html
        kernel.click("Show what is said")
        kernel.wait_for(lambda: "heard 15" in cells["serve"].html, 20)
        kernel.click("Hide what is said")
        kernel.wait_for(lambda: "heard 15" not in cells["serve"].html, 20)
        again = kernel.send("mic.dashboard()")
        kernel.click("Stop")
        kernel.wait([*cells.values(), again])
        assert "openmic has ended" in again.html


def test_in_colab_without_a_secret_the_card_leads_nowhere_wrong(tmp_path: Path) -> None:
    with kernel_in(ROOT / "notebooks", tmp_path, PYTHONPATH=str(COLAB)) as kernel:
        kernel.run("import google.colab" + SCRIPTED)
        cells = run_all(kernel)
        kernel.wait_for(lambda: cells["serve"].text)
        card = cells["launch"].html
        assert "Nobody outside can reach this runtime yet" in card
        assert "NGROK_AUTHTOKEN" in card
        assert "<svg" not in card
        assert "href" not in card
        assert "no secret NGROK_AUTHTOKEN" in cells["setup"].text
        assert "Runtime > Change runtime type" in cells["setup"].text, "there is no GPU"
        assert cells["setup"].text.index("NGROK_AUTHTOKEN") < cells["setup"].text.index("ready in")
        kernel.interrupt()
        kernel.wait(list(cells.values()))


def told(cells: dict[str, Cell], *lines: str) -> None:
    """The set-up cell says these three lines alone, and no cell behind it runs."""
    said = cells["setup"].text.strip().splitlines()
    assert len(said) == len(lines), said
    for line, start in zip(said, lines, strict=True):
        assert line.startswith(start), said
    behind = [ident for ident in CELLS if ident not in ("settings", "setup")]
    assert {cells[ident].status for ident in behind} == {"aborted"}


def test_alone_it_says_what_to_do_and_goes_on_from_there(tmp_path: Path) -> None:
    origin, other, work = tmp_path / "origin", tmp_path / "other", tmp_path / "work"
    for folder, file in ((origin, "colab_bootstrap.py"), (other, "something.py")):
        folder.mkdir()
        (folder / file).write_text("def setup(public_link):\n    print('set up with', public_link)\n")
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"], ["tag", "v1"]):
            subprocess.run([*GIT, *command], cwd=folder, check=True, timeout=60)
    work.mkdir()
    hint = ("The project is not beside this notebook.", "It was opened alone", "Fill in REPO_URL")
    with kernel_in(work, tmp_path) as kernel:
        for settings, lines in (
            ({}, hint),
            ({"REPO_URL": (tmp_path / "none").as_uri()}, ("The project could not be", "git says: fatal", "Correct")),
            ({"REPO_URL": other.as_uri()}, ("What was fetched is not openmic.", "There is no", "Correct REPO_URL")),
            ({}, hint),
        ):
            cells = run_all(kernel, allow_stdin=True, **settings)
            kernel.wait(list(cells.values()))
            told(cells, *lines)
            assert list(work.iterdir()) == []
        cells = run_all(kernel, REPO_URL=f"{origin.as_uri()}#v1", PUBLIC_LINK="none")
        kernel.wait(list(cells.values()))
        assert cells["setup"].text == "set up with none\n"
        paths = kernel.run("import sys\nprint(sum('openmic-project' in path for path in sys.path))")
        again = kernel.run(CELLS["setup"])
        assert "fetched before" in again.text
        assert paths.text == kernel.run("print(sum('openmic-project' in path for path in sys.path))").text == "1\n"


def test_alone_a_zip_beside_it_will_do_and_no_cell_before_is_needed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(work / "openmic-main.zip", "w") as file:
        file.writestr("openmic-main/colab_bootstrap.py", "def setup(public_link):\n    print('set up', public_link)\n")
        file.writestr("openmic-main/tests/colab_bootstrap.py", "")
    with kernel_in(work, tmp_path) as kernel:
        assert kernel.run(CELLS["setup"]).text == "set up auto\n"
    assert sorted(path.name for path in work.iterdir()) == ["openmic-main.zip", "openmic-project"]


@pytest.mark.parametrize("colab", [True, False])
def test_a_package_that_moved_stops_it_until_the_restart(colab: bool, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(COLAB)} if colab else {}
    with kernel_in(ROOT / "notebooks", tmp_path, **environment) as kernel:
        kernel.run(f"{SCRIPTED}\nimport colab_bootstrap\ncolab_bootstrap.install_missing = lambda wanted: ['numpy']")
        cells = run_all(kernel, PUBLIC_LINK="none")
        kernel.wait(list(cells.values()))
        what = "The session must be restarted" if colab else "The notebook must be restarted"
        how = "Choose Runtime > Restart session and run all." if colab else "Choose Kernel > Restart"
        told(cells, what, "These packages had been imported already", how)


INTERRUPTS_AT_ONCE = """
import builtins, os, signal
from openmic.notebook import view

def interrupting(text, **options):
    builtins.print(text, **options)
    if text in (view.HOW_TO_END, view.FINISHING):
        os.kill(os.getpid(), signal.SIGINT)

view.print = interrupting
"""


def test_an_interruption_counts_from_the_moment_that_the_cell_asks_for_it(tmp_path: Path) -> None:
    """Between its two waits too: it would end in a traceback."""
    with kernel_in(ROOT / "notebooks", tmp_path) as kernel:
        kernel.run(f"{SCRIPTED}\nimport threading, time, openmic\nmic = openmic.launch(tunnel='none')")
        kernel.run("end, held = mic._view._stop, threading.Event()\nmic._view._stop = lambda: (held.wait(60), end())")
        cell = kernel.run(f"{INTERRUPTS_AT_ONCE}\nawait mic.serve()")
        assert (cell.status, cell.text.splitlines()[-1]) == ("ok", GOES_ON)
        kernel.run("held.set()\nmic.stop()")


def test_a_second_interruption_gives_the_cell_back(tmp_path: Path) -> None:
    with kernel_in(ROOT / "notebooks", tmp_path) as kernel:
        kernel.run(f"{SCRIPTED}\nimport threading, time, openmic\nmic = openmic.launch(tunnel='none')")
        kernel.run("end, held = mic._view._stop, threading.Event()\nmic._view._stop = lambda: (held.wait(60), end())")
        cell = kernel.send("await mic.serve()")
        kernel.wait_for(lambda: cell.text)
        kernel.interrupt()
        kernel.wait_for(lambda: "Stopping" in cell.text)
        kernel.interrupt()
        kernel.wait([cell])
        assert (cell.status, cell.text.splitlines()[-1]) == ("ok", GOES_ON)
        assert kernel.run("held.set()\nmic.stop()\nprint(mic)").text.endswith("<OpenMic stopped>\n")
