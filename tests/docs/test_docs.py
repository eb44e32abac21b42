"""The docs are tested: what they name exists, what they generate is up to date, what they show runs."""

from __future__ import annotations

import ast
import http.server
import importlib.util
import json
import pkgutil
import re
import shlex
import subprocess
import sys
import threading
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from pydantic import TypeAdapter

import colab_bootstrap
import openmic
from docs import make_troubleshooting
from openmic.cli.main import _parser
from openmic.errors import ProblemTable
from openmic.server.app import LEAVE_SECONDS
from openmic.server.dialects.native.messages import ServerMessage
from openmic.server.thread import SPARE_SECONDS
from openmic.settings import Settings, settings_page
from openmic.tunnels import terms
from openmic_setup.problems import PROBLEMS as SETUP_PROBLEMS
from openmic_setup.problems import WARNINGS as SETUP_WARNINGS
from tests.support.browser import browser
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.test_rooms import INSIDE, MAY_IMPORT

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "sample_audio").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
TURKISH = (ROOT / "README.tr.md").read_text(encoding="utf-8")
CLIENTS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LINK = "https://NAME.ngrok-free.app/#token=TOKEN"
PICTURE_BYTES = 200_000
LONGEST_LINE = 120  # outside tables
PATIENCE_SECONDS = 120.0


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced code blocks of those languages, in order."""
    return [code for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S) if language in languages]


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def inline_code(text: str) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    return next(dict(action.choices) for action in parser._actions if isinstance(action, _SubParsersAction))


# --- pages that are written by a program


def test_settings_page_is_up_to_date_and_has_every_setting() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: python -m openmic.settings > docs/settings.md"
    assert re.findall(r"^\| `(\w+)` \| `\w+` \|", page, re.M) == list(Settings.model_fields)


def test_settings_page_names_variables_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    page = settings_page()
    for name, value in (("max_sessions", "3"), ("ngrok_authtoken", "a-token")):
        found = re.search(rf"^\| `{name}` \| `(\w+)` \|", page, re.M)
        assert found is not None
        monkeypatch.setenv(found[1], value)
    settings = Settings()
    assert settings.max_sessions == 3
    assert settings.ngrok_authtoken is not None
    assert settings.ngrok_authtoken.get_secret_value() == "a-token"


def test_troubleshooting_is_up_to_date() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert page == make_troubleshooting.page(), "run: python docs/make_troubleshooting.py > docs/troubleshooting.md"


def test_troubleshooting_has_every_problem_of_every_room() -> None:
    tables: dict[int, ProblemTable] = {}
    for module in pkgutil.walk_packages(openmic.__path__, "openmic."):
        if module.name.endswith("problems"):
            members = vars(importlib.import_module(module.name)).values()
            tables |= {id(member): member for member in members if isinstance(member, ProblemTable)}
    assert set(tables) == {id(table) for _, table in make_troubleshooting.TABLES}
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for table in tables.values():
        for code in table:
            assert re.search(rf"^\| `{code}`(?: \(\d+\))? \| \S", page, re.M), code
    assert not re.search(r"\{\w+(?:[:!][^}]*)?\}", page), "a template's field was left as it is"


def test_troubleshooting_has_every_problem_of_the_set_up() -> None:
    page = section((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), "Setting up")
    assert re.findall(r"^\| `(\w+)` \| \S", page, re.M) == [*SETUP_PROBLEMS, *SETUP_WARNINGS]


# --- links, files, commands


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in slugs(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("text", [README, TURKISH], ids=["README.md", "README.tr.md"])
def test_every_file_that_the_readme_names_exists(text: str) -> None:
    named = [code for code in inline_code(text) if re.fullmatch(r"[\w./-]+", code)]
    files = [code for code in named if re.search(r"\w/$|\w\.(py|md|ipynb|wav)$", code)]
    assert len(files) > 1
    for name in files:
        assert (ROOT / name).exists(), name


def test_every_page_is_listed() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "decisions"):
        listed = re.findall(r"\]\(([^)#]+)\) \|", (folder / "README.md").read_text(encoding="utf-8"))
        assert len(listed) == len({*listed})
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert pages <= {*listed}, pages - {*listed}


def prose(text: str) -> list[str]:
    """A page's lines outside tables, code blocks, comments and pictures."""
    lines = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S).splitlines()
    return [line for line in lines if not re.match(r"\||\s*<|!?\[!?\[|- `[^`]+`$", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short(page: Path) -> None:
    for line in prose(page.read_text(encoding="utf-8")):
        assert len(line) <= LONGEST_LINE, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_a_reference_and_no_diary(page: Path) -> None:
    for line in prose(page.read_text(encoding="utf-8")):
        assert not re.search(r"\d\d:\d\d UTC|\bby hand\b|\bevening\b", line), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()] + inline_code(text)
    for line in lines:
        words = shlex.split(line, comments=True) if re.match(r"(\S*python3?|openmic) ", line) else []
        if not words:
            continue
        if words[0] == "openmic":
            assert words[1] in subcommands(_parser()), line
        elif words[1:2] == ["-m"] and words[2] == "openmic":
            _parser().parse_args(words[3:])
        elif words[1:2] == ["-m"]:
            assert importlib.util.find_spec(words[2]) is not None, line
        elif words[1] == "colab_bootstrap.py" and len(words) > 2:
            assert words[2] in colab_bootstrap.COMMANDS, line
        else:
            assert (ROOT / words[1]).is_file(), line


def test_every_option_that_clients_names_exists() -> None:
    known = {
        option
        for parser in subcommands(_parser()).values()
        for action in parser._actions
        for option in action.option_strings
    }
    named = {code for code in inline_code(CLIENTS) if code.startswith("--")}
    assert named
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_benchmark_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"(?<![-/\w])benchmarks[./](?!md\b)(\w+)", page.read_text(encoding="utf-8")):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file() or (ROOT / "benchmarks" / name).is_dir(), name


def test_engine_page_names_constants_and_files_that_exist() -> None:
    page = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    speech = ROOT / "openmic" / "speech"
    code = "".join(path.read_text(encoding="utf-8") for path in speech.rglob("*.py"))
    constants = {name for name in inline_code(page) if re.fullmatch(r"[A-Z][A-Z_]+", name)}
    assert len(constants) > 10
    for name in constants:
        assert re.search(rf"^{name} = ", code, re.M), name
    for name in re.findall(r"`([\w/]+\.py)`", "".join(re.findall(r"^\| .* \|$", page, re.M))):
        assert (speech / name).is_file(), name


def test_architecture_has_the_rooms_that_are_enforced() -> None:
    rows = re.findall(r"^\| `([\w/]+)` \| .+ \| (.+) \|$", section(ARCHITECTURE, "Rooms"), re.M)
    told = {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in rows}
    inner = {f"{room}/{name}": allowed for room, rooms in INSIDE.items() for name, allowed in rooms.items()}
    assert told == MAY_IMPORT | inner


def test_architecture_says_how_long_stop_waits() -> None:
    pattern = r"^\| .+ \| `([\w.]+)` \| `(\w+)` \| (\d+) \|$"
    rows = re.findall(pattern, section(ARCHITECTURE, "What stop() waits for"), re.M)
    assert len(rows) > 5
    for module, name, seconds in rows:
        found = importlib.import_module(module)
        value = Settings.model_fields[name].default if name == "stop_seconds" else getattr(found, name)
        assert value == float(seconds), (module, name)
    assert LEAVE_SECONDS + 2 * SPARE_SECONDS == 15


def test_architecture_names_files_and_threads_that_exist() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "openmic").rglob("*.py"))
    for name in re.findall(r"`(openmic-[\w-]+?)(?:-ID)?`", ARCHITECTURE):
        assert f'"{name}' in code, name
    files = {path.as_posix() for path in ROOT.rglob("*.*") if ".venv" not in path.parts}
    for name in inline_code(ARCHITECTURE):
        if re.fullmatch(r"[\w/]+\.(py|js|md)", name):
            assert any(path.endswith(f"/{name}") for path in files), name


@pytest.mark.parametrize("name", ["architecture.md", "engine.md", "gpu.md"])
def test_pages_for_developers_name_what_the_code_has(name: str) -> None:
    rooms = (ROOT / "openmic", ROOT / "benchmarks")
    files = [path for room in rooms for kind in ("*.py", "*.js") for path in room.rglob(kind)]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    words |= {path.name for path in (ROOT / "openmic").rglob("*")} | {"flock", "PYTHONPATH"}
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    words |= {name for text in tests for name in re.findall(r"def (test_\w+)", text)}
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    codes = [code.removesuffix("()") for code in inline_code(page)]
    identifiers = [code for code in codes if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", code)]
    assert identifiers
    for identifier in identifiers:
        if not re.search(r"\.(py|js|md|svg|wav|json|png)$", identifier):
            assert {*identifier.split(".")} <= words, identifier


def test_decisions_are_listed_in_order() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("0*.md"))
    listed = re.findall(r"^\| \[(\d+)\. .+\]\((\S+)\) \|", (folder / "README.md").read_text(encoding="utf-8"), re.M)
    assert [name for _, name in listed] == pages
    for number, name in listed:
        text = (folder / name).read_text(encoding="utf-8")
        assert name.startswith(f"{int(number):04}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Options", "Decision"]


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs" / "pictures").iterdir() if path.suffix in (".png", ".svg")]
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size <= PICTURE_BYTES, picture.name


# --- what the README and the pages for users say


def test_readme_says_what_colab_allows() -> None:
    assert terms.COLAB in " ".join(README.split())


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 210


def test_turkish_quick_start_has_the_same_code() -> None:
    languages = ("bash", "python", "text")
    english = blocks(section(README, "Quick start"), *languages)
    assert len(english) >= 7
    assert blocks(section(TURKISH, "Hızlı başlangıç"), *languages) == english


def test_readme_shows_the_notebooks_own_cells() -> None:
    notebook = json.loads((ROOT / "notebooks" / "openmic.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = blocks(section(README, "Quick start"), "python")
    assert len(shown) == 2
    for code in shown:
        assert any(cell.endswith(code.strip()) for cell in cells), code


def test_operations_launches_with_settings_that_exist() -> None:
    (code,) = blocks(section(OPERATIONS, "Settings"), "python")
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert Settings(**given).model_dump(include=set(given)) == given


def test_clients_shows_json_of_the_protocol() -> None:
    shown = [json.loads(block) for block in blocks(section(CLIENTS, "The JSON"), "json")]
    assert [message["type"] for message in shown] == ["live", "commit", "final"]
    for message in shown:
        model = TypeAdapter(ServerMessage).validate_python(message)
        assert model.model_dump(exclude_unset=True) == message, "a field is not in the protocol"


# --- what the pages run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("docs"), token="key-for-docs") as running:
        yield running


@pytest.mark.slow
def test_python_clients_run(server: ScriptedServer) -> None:
    programs = [code for code in blocks(section(CLIENTS, "Python"), "python") if LINK in code]
    assert len(programs) == 2
    assert blocks(section(README, "One client"), "python") == programs[:1]
    running = []
    for code in programs:
        real = code.replace(LINK, f"{server.url}/#token={server.token}")
        command = [sys.executable, "-W", "error", "-c", real]
        running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    ended = [(*program.communicate(timeout=PATIENCE_SECONDS), program.returncode) for program in running]
    for output, complaints, status in ended:
        assert (status, complaints) == (0, ""), output + complaints
    plain, streamed = (output.splitlines() for output, _, _ in ended)
    assert "commit one" in plain
    assert any(line.startswith("live   listening for") for line in plain)
    assert plain[-1] == "final  heard 15.2 seconds"
    assert streamed[0] == " 1.00 s  one"
    assert streamed[-1] == " one"


@contextmanager
def website(folder: Path) -> Iterator[str]:
    """Serve a folder, as a page of somebody else's."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/"
        finally:
            running.shutdown()
            thread.join(120)


@pytest.mark.browser
def test_javascript_client_runs(server: ScriptedServer, tmp_path: Path) -> None:
    (code,) = blocks(section(CLIENTS, "JavaScript"), "javascript")
    assert LINK in code
    (tmp_path / "client.js").write_text(code.replace(LINK, f"{server.url}/#token={server.token}"), encoding="utf-8")
    (tmp_path / "index.html").write_text("<title>page</title><script src=client.js></script>", encoding="utf-8")
    said: list[str] = []
    problems: list[str] = []
    with website(tmp_path) as address, sync_playwright() as driver, browser(driver) as chromium:
        page = chromium.new_context(permissions=["microphone"]).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        with page.expect_console_message(
            lambda message: message.text.startswith("final:"), timeout=PATIENCE_SECONDS * 1000
        ):
            page.goto(address)
    assert problems == []
    assert any(line.strip().startswith("one two listening for") for line in said)
    assert re.fullmatch(r"final:\s+heard \d\.\d seconds", said[-1])
