"""The rooms of the package: who imports whom. One ring, one direction, and nobody reaches over a neighbour."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "openmic"
MAY_IMPORT = {
    "audio": set[str](),
    "speech": {"audio"},
    "sessions": {"audio", "speech"},
    "server": {"sessions"},
    "tunnels": set[str](),
    "client": set[str](),
    "notebook": {"server", "tunnels", "client"},  # the client: a sample is streamed as an external one would
}
MODEL_LIBRARIES = {"torch", "whisper", "numba"}
WEB = {"fastapi", "starlette", "uvicorn"}


def imports(folder: Path) -> set[tuple[str, str]]:
    """(module, what it imports) of all files of a room."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add((path.name, node.module))
            elif isinstance(node, ast.Import):
                found |= {(path.name, alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_its_neighbours_alone(room: str) -> None:
    found = imports(PACKAGE / room)
    assert found
    rooms = {name.split(".")[1] for _, name in found if name.startswith("openmic.")} & set(MAY_IMPORT)
    assert rooms - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("room", sorted(set(MAY_IMPORT) - {"speech"}))
def test_only_speech_touches_torch(room: str) -> None:
    assert not {name.split(".")[0] for _, name in imports(PACKAGE / room)} & MODEL_LIBRARIES


@pytest.mark.parametrize("room", ["audio", "speech", "sessions", "client"])
def test_no_web_framework_behind_the_server(room: str) -> None:
    assert not {name.split(".")[0] for _, name in imports(PACKAGE / room)} & WEB


def test_speech_takes_only_types_from_audio() -> None:
    taken = {name for _, name in imports(PACKAGE / "speech") if name.startswith("openmic.audio")}
    assert taken == {"openmic.audio.types"}


def test_the_command_line_goes_through_launch_and_client() -> None:
    tree = ast.parse((PACKAGE / "cli.py").read_text(encoding="utf-8"))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.startswith(("openmic.speech", "openmic.server", "openmic.sessions"))}
