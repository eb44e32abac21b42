"""The rooms of the package: who imports whom. One ring, one direction, and nobody reaches over a neighbour."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "openmic"
COMMON = {
    "environment",
    "errors",
    "folding",
    "log",
    "memory",
    "origins",
    "ownership",
    "progress",
    "pyav",
    "settings",
    "terminal",
    "threads",
}
"""Modules that belong to no room: every room may import them, and they import none."""

MAY_IMPORT = {
    "audio": set[str](),
    "speech": {"audio"},
    "sessions": {"audio", "speech"},
    "server": {"sessions"},
    "tunnels": set[str](),
    "client": set[str](),
    "notebook": {"tunnels", "client"},  # the client: a sample is streamed as an external one would
    "service": {"client", "notebook", "server", "sessions", "speech", "tunnels"},
    "cluster": {"notebook", "server", "service", "sessions", "speech", "tunnels"},
    "cli": {"client", "cluster", "server", "service", "sessions"},
}
INSIDE = {
    "speech": {
        "model": set[str](),
        "weights": set[str](),
        "gpu": {"model"},
        "live": {"model"},
        "final": {"model"},
        "engine": {"model", "live", "final"},
    },
    "sessions": {"text": set[str](), "storage": set[str]()},
    "notebook": {"microphone": set[str]()},
    "server": {
        "access": set[str](),
        "uvicorn_protocols": set[str](),
        "dialects": {"access", "uvicorn_protocols"},
        "api": {"access", "dialects"},
    },
}
"""Of each room, which of its inner rooms imports which; all may import the room's own modules."""

MODEL_LIBRARIES = {"torch", "whisper", "numba"}
WEB = {"fastapi", "starlette", "uvicorn"}


def imports(folder: Path) -> set[tuple[str, str]]:
    """(module, what it imports) of all files of a room; of ``from a import b`` the module ``a.b`` where it is one."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                place = PACKAGE.parent / node.module.replace(".", "/")
                inner = [alias.name for alias in node.names if (place / alias.name).with_suffix(".py").is_file()]
                found |= {(path.name, f"{node.module}.{name}") for name in inner} or {(path.name, node.module)}
            elif isinstance(node, ast.Import):
                found |= {(path.name, alias.name) for alias in node.names}
    return found


def test_every_room_has_a_rule() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)
    for room, inner in INSIDE.items():
        assert {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")} == set(inner)
    assert {path.stem for path in PACKAGE.glob("*.py")} == COMMON | {"__init__", "__main__"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_its_neighbours_alone(room: str) -> None:
    found = imports(PACKAGE / room)
    assert found
    rooms = {name.split(".")[1] for _, name in found if name.startswith("openmic.")}
    assert rooms - {room} - COMMON <= MAY_IMPORT[room]


@pytest.mark.parametrize("module", sorted(COMMON))
def test_a_module_of_no_room_imports_none(module: str) -> None:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[1] for name in names if name.startswith("openmic.")} <= COMMON


@pytest.mark.parametrize(("room", "inner"), [(room, inner) for room, all_ in INSIDE.items() for inner in all_])
def test_an_inner_room_imports_its_sisters_alone(room: str, inner: str) -> None:
    names = {name for _, name in imports(PACKAGE / room / inner) if name.startswith(f"openmic.{room}.")}
    sisters = {name.split(".")[2] for name in names} & set(INSIDE[room])
    assert sisters - {inner} <= INSIDE[room][inner]


def imported_modules(path: Path) -> set[str]:
    """The modules of openmic that a file imports when it runs: not those that only its annotations name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            place = PACKAGE.parent / node.module.replace(".", "/")
            inner = {f"{node.module}.{alias.name}" for alias in node.names if (place / f"{alias.name}.py").is_file()}
            found |= inner or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("openmic.")}


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    graph = {".".join(name.parts).removesuffix(".__init__"): imported_modules(path) for name, path in files.items()}
    assert graph["openmic.service.launch"] >= {"openmic.service.service", "openmic.terminal"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_only_loading_sees_the_gpu_and_the_weights() -> None:
    seeing = {
        path.name
        for path in (PACKAGE / "speech").glob("*.py")
        if "speech.gpu" in path.read_text(encoding="utf-8") or "speech.weights" in path.read_text(encoding="utf-8")
    }
    assert seeing == {"load.py"}


@pytest.mark.parametrize("room", sorted(set(MAY_IMPORT) - {"speech"}))
def test_only_speech_touches_torch(room: str) -> None:
    assert not {name.split(".")[0] for _, name in imports(PACKAGE / room)} & MODEL_LIBRARIES


@pytest.mark.parametrize("room", sorted(set(MAY_IMPORT) - {"cluster"}))
def test_only_the_cluster_imports_ray(room: str) -> None:
    assert "ray" not in {name.split(".")[0] for _, name in imports(PACKAGE / room)}


@pytest.mark.parametrize("room", ["audio", "speech", "sessions", "client"])
def test_no_web_framework_behind_the_server(room: str) -> None:
    assert not {name.split(".")[0] for _, name in imports(PACKAGE / room)} & WEB


def test_speech_takes_only_types_from_audio() -> None:
    taken = {name for _, name in imports(PACKAGE / "speech") if name.startswith("openmic.audio")}
    assert taken == {"openmic.audio.types"}
