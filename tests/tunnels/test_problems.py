"""The table of problems, its sentences, and the page that prints it."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from openmic.tunnels import terms
from openmic.tunnels.problems import NGROK_CODES, PROBLEMS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tunnels.md"
ISSUED_CODES = {4018, 105, 107, 108, 334, 120, 121, 123, 314, 319, 320, 15013, 324, 725, 727, 9009, 3200, 8012}


def details(sentence: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(sentence) if field}


def table_row(code: str) -> str:
    """A row as docs/tunnels.md has it: what, why and hint, with <detail> for what is filled in."""
    problem = PROBLEMS[code]
    cells = [re.sub(r"\{(\w+)\}", r"<\1>", part) for part in (problem.what, problem.why, problem.hint)]
    return f"| `{code}` | " + " | ".join(cell.replace("<", "&lt;").replace(">", "&gt;") for cell in cells) + " |"


@pytest.mark.parametrize("code", PROBLEMS)
def test_each_problem_says_what_why_and_what_to_do(code: str) -> None:
    problem = PROBLEMS[code]
    error = PROBLEMS.error(code, **dict.fromkeys(details(problem.what + problem.why + problem.hint), "DETAIL"))
    for part in (error.what, error.why, error.hint):
        assert part[0].isupper() or part.startswith(("ngrok", "cloudflared"))  # as their makers write them
        assert part.endswith((".", "DETAIL"))
    assert error.code == code


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_docs_print_each_problem(code: str) -> None:
    assert table_row(code) in DOCS.read_text(encoding="utf-8").splitlines()


def test_the_docs_print_no_problem_that_is_gone() -> None:
    printed = re.findall(r"^\| `(\w+)` \| .* \| .* \| .* \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert printed == list(PROBLEMS)


def test_every_known_code_of_ngrok_has_a_row_that_names_it() -> None:
    assert set(NGROK_CODES) == ISSUED_CODES
    for number, code in NGROK_CODES.items():
        assert str(number) in PROBLEMS[code].why


def test_the_docs_say_what_others_allow() -> None:
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    for sentence in (terms.COLAB, terms.NGROK_FREE_PLAN, terms.NGROK_EXPIRES, terms.CLOUDFLARE_EXPIRES):
        assert sentence in text
