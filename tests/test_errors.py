"""Every error says what happened, why, and what to do, in plain sentences; on the page in English and in Turkish."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from openmic.errors import Problem, ProblemTable
from openmic_setup import problems as setup

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "openmic" / "server" / "page"
CARD = ROOT / "openmic" / "notebook" / "microphone" / "card"
TABLE_FILES = sorted((ROOT / "openmic").rglob("problems.py"))

# What a person can do; a clause of every third part begins with one of these.
VERBS = set(
    re.findall(
        r"\w+",
        """
        add allow append ask begin check choose clear close connect convert copy correct delete disconnect
        download end fetch free give go install keep launch leave look make name open press read record
        reload remove restart resume run save see select send set share shorten show start stop switch try
        unset update use verify wait
        """,
    )
)
CLAUSE = re.compile(r"[.;:,(] ?|\b(?:then|and|or|elsewhere|[Ii]f [^,]+,|[Ii]n Colab|in a cluster) ")
TURKISH_REQUEST = re.compile(r"\w[ıiuü]n\b(?=[^.]*[.;]?)|Kendisi bulsun", re.I)  # deneyin, açın, seçin, sorun
# Words that only this project would use so, and clauses in the place of a subject ("Who is refused is told").
PRIVATE = re.compile(r"(?:^|[.;] )(?:Who|Whoever|What)\b|\b(?:anew|told|heard|taken back)\b")
LOWER_CASE_NAMES = ("ngrok", "openmic", "torch ", "pip ", "cloudflared", "listen()", "{", "`")
GIVEN = (
    "{detail}",
    "{detail}.",
    "It says: {detail}",
    "The last attempt said: {detail}",
)  # sentences of another program

ADVICE = "{advice}"  # filled in by openmic_setup, in the imperative

Row = tuple[str, str, str]


def tables() -> Iterator[tuple[str, Mapping[str, Row]]]:
    for path in TABLE_FILES:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found = [value for value in vars(module).values() if isinstance(value, ProblemTable)]
        assert found, path
        for table in found:
            yield module.__name__, {code: (row.what, row.why, row.hint) for code, row in table.items()}
    yield setup.__name__, setup.PROBLEMS
    yield setup.__name__, setup.WARNINGS


ROWS = [pytest.param(row, id=f"{room}:{code}") for room, table in tables() for code, row in table.items()]


def clauses(sentences: str) -> list[str]:
    return [clause.strip(" `") for clause in CLAUSE.split(sentences) if clause.strip(" `")]


def asks(sentences: str) -> bool:
    """Whether something is to be done."""
    return any(clause.split()[0].lower() in VERBS or clause == ADVICE for clause in clauses(sentences))


def test_the_tables_are_all_here() -> None:
    assert len(TABLE_FILES) == 10
    assert len(ROWS) > 150


@pytest.mark.parametrize("row", ROWS)
def test_an_error_says_what_happened_and_why_and_what_to_do(row: Row) -> None:
    what, why, hint = row
    assert len({what, why, hint}) == 3
    for part in row:
        assert part[0].isupper() or part.startswith(LOWER_CASE_NAMES), part
        assert part.endswith(".") or part in GIVEN, part
        assert not PRIVATE.search(part), part
    assert asks(hint), hint


def test_what_is_put_into_a_warning_asks_for_something() -> None:
    code = "".join((ROOT / "openmic_setup" / name).read_text(encoding="utf-8") for name in ("place.py", "pip.py"))
    sentences = re.findall(r'(?:advice|in_colab) = f?"([^"]+)"', code)
    assert len(sentences) == 3
    assert all(asks(advice) for advice in sentences)


def test_a_row_without_a_deed_is_found() -> None:
    bad = Problem("It broke.", "It was old.", "It is so.")
    assert not asks(bad.hint)
    assert PRIVATE.search("Who is refused is told.")


def sentences_of(path: Path, part: str = "") -> dict[str, str]:
    """The strings of a page's module, or of one object in it, by key."""
    text = path.read_text(encoding="utf-8")
    if part:
        text = text.split(f"const {part} = {{")[1].split("\n};")[0]
    return dict(re.findall(r'^\s+(\w+):\s*"((?:[^"\\]|\\.)*)",$', text, re.M))


def problems_of(words: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Title and body of each problem."""
    titles = [key.removesuffix("_title") for key in words if re.fullmatch(r"(problem_\w+|token\w*)_title", key)]
    return {name: (words[f"{name}_title"], words[f"{name}_body"]) for name in titles}


ENGLISH, TURKISH = sentences_of(PAGE / "english.js"), sentences_of(PAGE / "turkish.js")
CARD_ENGLISH = {**ENGLISH, **sentences_of(CARD / "words.js", "ENGLISH")}
CARD_TURKISH = {**TURKISH, **sentences_of(CARD / "words.js", "TURKISH")}


def test_both_languages_have_the_same_sentences() -> None:
    assert ENGLISH.keys() == TURKISH.keys()
    assert CARD_ENGLISH.keys() == CARD_TURKISH.keys()
    assert len(problems_of(ENGLISH)) >= 22
    assert {key for key in ENGLISH if key.endswith("_body") and key != "hero_body"} == {
        f"{name}_body" for name in problems_of(ENGLISH)
    }


@pytest.mark.parametrize("words", [ENGLISH, CARD_ENGLISH], ids=["page", "card"])
def test_a_problem_of_the_page_says_why_and_what_to_do(words: Mapping[str, str]) -> None:
    for name, (title, body) in problems_of(words).items():
        assert title, name
        assert len(parts(body)) >= 2, f"{name}: {body}"
        assert asks(body), f"{name}: {body}"
        assert not asks(parts(body)[0]), f"{name} gives no reason before it says what to do: {body}"
        assert not PRIVATE.search(body), body


@pytest.mark.parametrize("words", [TURKISH, CARD_TURKISH], ids=["page", "card"])
def test_a_problem_of_the_page_says_so_in_turkish(words: Mapping[str, str]) -> None:
    for name, (title, body) in problems_of(words).items():
        assert title, name
        assert len(parts(body)) >= 2, f"{name}: {body}"
        assert any(TURKISH_REQUEST.search(part) for part in parts(body)[1:]), f"{name}: {body}"


def parts(body: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.;:]) ", body) if part]
