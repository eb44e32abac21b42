"""Public names use the words of the glossary in docs/architecture.md, and say the unit of what they measure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Glossary")[1]
# Words of a language that only this project would speak; the glossary's or the field's stand in their place.
PRIVATE = {"heard", "told", "said", "apart", "kept", "diary", "hearing"}
# Metaphors: they are not used for locals either, nor in any sentence of the code and its documentation.
METAPHORS = {"story", "stories", "island", "islands", "diary"}
# A clause in the place of a subject ("Who is refused is told"): name the client, the process or the speaker instead.
CLAUSES = re.compile(r"(?i:\bwhoever\b)|(?:^|[.;:] )Who (?!.*\?)")
SOURCES = [path for folder in ("openmic", "openmic_setup", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
UNITS = re.compile(r"(seconds|seconds_ago|bytes|decibels|rate|fraction|_hz|_at|_per_\w+|_since)$")
# Numbers without a unit in their names.
WHISPERS = {
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
    "probability",
    "temperature",
    "start",
    "end",
    "duration",
}
HTTPS = {"retry_after"}  # Retry-After counts seconds
WIRES = {"lag"}  # the protocol's own field
VENDORS = {"threshold"}  # of OpenAI's `turn_detection`
INSTANTS = {"after", "at", "before", "begin", "created", "deadline", "last_speech", "now", "opened", "owner_started"}
INSTANTS |= {"origin", "since", "started", "until"}
RATIOS = {"busy", "loudest", "out_bias", "part", "slowness", "sound_factor", "top"}
UNITLESS = WHISPERS | HTTPS | WIRES | VENDORS | INSTANTS | RATIOS


def public_names(folder: str) -> Iterator[tuple[str, str, str]]:
    """Classes, functions, parameters, attributes in a folder: file, name, annotation."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: list[tuple[str, ast.expr | None]] = []
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((node.name, None))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not re.match(r"_(?!_init__)", node.name):
                found += [(one.arg, one.annotation) for one in (*node.args.args, *node.args.kwonlyargs)]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.append((node.target.id, node.annotation))
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.append((node.attr, None))
            for name, annotation in found:
                if not name.startswith("_"):
                    yield where, name, ast.unparse(annotation) if annotation is not None else ""


NAMES = sorted(set(public_names("openmic")))


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_no_public_name_speaks_a_private_language() -> None:
    assert [f"{where}: {name}" for where, name, _ in NAMES if words(name) & PRIVATE] == []


def lines() -> Iterator[tuple[str, str]]:
    """Every line of the code and its documentation, without what marks it as a sentence, and where it stands."""
    for path in (*SOURCES, *PAGES):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line.strip().lstrip('#"-*| ')


def test_no_metaphor_stands_for_a_term_of_the_glossary() -> None:
    assert [f"{where}: {line}" for where, line in lines() if METAPHORS & words(line)] == []


def test_no_clause_stands_in_the_place_of_a_subject() -> None:
    assert [f"{where}: {line}" for where, line in lines() if CLAUSES.search(line)] == []


def test_what_is_measured_says_in_which_unit() -> None:
    measured = [(where, name) for where, name, annotation in NAMES if re.fullmatch(r"float( \| None)?", annotation)]
    assert [
        f"{where}: {name}" for where, name in measured if not UNITS.search(name.lower()) and name not in UNITLESS
    ] == []
    assert UNITLESS - {name for _, name in measured} == set(), "exceptions that are not there any more"


@pytest.mark.parametrize("row", re.findall(r"^\| \*\*(.+?)\*\* \|", GLOSSARY, re.M))
def test_each_word_of_the_glossary_names_something(row: str) -> None:
    spoken = {word for _, name, _ in (*NAMES, *public_names("benchmarks")) for word in words(name)}
    for term in row.split(","):
        assert words(term) & {form for word in spoken for form in (word, f"{word}s", word.removesuffix("s"))}, term
