"""The card's modules and the page's own ones, joined: a widget's code is one text and can import nothing beside it."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

FOLDERS = ("notebook/microphone/card", "server/page")
"""Where modules are, in ``openmic``; a name is looked for in this order."""

_IMPORT = re.compile(r'^import (?P<what>\w+|\{[^}]*\}) from "\./(?P<module>\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (?P<name>\w+))", re.MULTILINE)
_DEFAULT = re.compile(r"^export default ", re.MULTILINE)


@cache
def read(name: str) -> str:
    """The text of a file of the card's or the page's."""
    for folder in FOLDERS:
        file = files("openmic").joinpath(folder, name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(name)


@cache
def joined(entry: str) -> str:
    """``entry`` and all it imports as statements; ``modules["NAME"]`` has what a module exports.

    Knows the imports and exports that the modules use: of names, of the default, of declarations.
    """
    done: dict[str, str] = {}
    _join(entry, done)
    return "const modules = {};\n" + "".join(done.values())


def _join(name: str, done: dict[str, str]) -> None:
    text = read(name)
    for imported in _IMPORT.finditer(text):
        if imported["module"] not in done:
            _join(imported["module"], done)
    exports = [found["name"] for found in _EXPORT.finditer(text)]
    text = _IMPORT.sub(_as_constant, text)
    text = _DEFAULT.sub("exported.default = ", _EXPORT.sub("", text))
    named = f"Object.assign(exported, {{ {', '.join(exports)} }});\n" if exports else ""
    done[name] = f'modules["{name}"] = (() => {{\nconst exported = {{}};\n{text}\n{named}return exported;\n}})();\n'


def _as_constant(found: re.Match[str]) -> str:
    what = found["what"] if found["what"].startswith("{") else f"{{ default: {found['what']} }}"
    return f'const {what.replace(" as ", ": ")} = modules["{found["module"]}"];\n'
