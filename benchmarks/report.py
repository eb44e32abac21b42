"""Writes the tables of the docs from dated results, and makes such results out of what a benchmark has printed.

    python -m benchmarks.live --sessions 1 > live.txt
    python -m benchmarks.report keep live live.txt --command "python -m benchmarks.live --sessions 1"
    python -m benchmarks.report

``keep`` reads the markdown tables in a program's output and writes ``benchmarks/results/live-DATE.json``. Without a
command, every table of ``docs/`` that stands between two marks is written again:

    <!-- result live -->
    <!-- end of result -->

The mark may name one of several tables (``result live table 2``; the first also says how it was measured) and a
pattern for the rows to show (``result accuracy only quickstart|all``). Of one question there may be several results:
of rows with the same key, the newest counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.metrics.report import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
MARK = re.compile(
    r"^<!-- result (?P<question>\w+)(?: table (?P<number>\d+))?(?: only (?P<rows>.+?))? -->\n"
    r"(?P<old>.*?)^<!-- end of result -->$",
    re.M | re.S,
)
COLUMNS = 120  # of a line of the docs, outside tables
MACHINE_LINE = re.compile(r"(\d{4}-\d{2}-\d{2}) \d{2}:\d{2} UTC, ([^\n;]+)")  # benchmarks.metrics.report.machine


@dataclass(frozen=True, slots=True)
class Table:
    """One table as it was printed.

    Attributes:
        columns: their titles, with units.
        rows: cells as texts, as many in each row as there are columns.
        key_columns: how many of the first columns tell rows apart.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    key_columns: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a benchmark gave.

    Attributes:
        question: what it answers; the first part of its file's name.
        date: of the measurement, ``YYYY-MM-DD``.
        command: that measured it.
        machine: processor or GPU, cores, memory, system.
        tables: in the order in which they were printed.
        python, commit: with which it was measured; None: not known.
        conditions: anything else that mattered, such as other programs.
    """

    question: str
    date: str
    command: str
    machine: str
    tables: tuple[Table, ...]
    python: str | None = None
    commit: str | None = None
    conditions: str = ""

    def source(self) -> str:
        """The lines that say how it was measured: a list item."""
        facts = [self.date, self.machine]
        facts += [f"Python {self.python}"] if self.python else []
        facts += [f"commit {self.commit}"] if self.commit else []
        facts += [self.conditions] if self.conditions else []
        told = textwrap.fill("; ".join(facts), COLUMNS, initial_indent="  ", subsequent_indent="  ")
        return f"- `{self.command}`\n{told}"


def read_result(path: Path) -> Result:
    """The result in a file.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    tables = [
        Table(tuple(one["columns"]), tuple(map(tuple, one["rows"])), one.get("key_columns", 1))
        for one in content.pop("tables")
    ]
    for table in tables:
        if any(len(row) != len(table.columns) for row in table.rows):
            raise ValueError(f"{path.name}: a row has more or fewer cells than there are columns")
    return Result(**content, tables=tuple(tables))


def write_result(result: Result, folder: Path = RESULTS) -> Path:
    """Keep a result under its question and date; one that is there already is replaced."""
    path = folder / f"{result.question}-{result.date}.json"
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    in_lines = re.sub(r"\[([^][]+)\]", lambda row: f"[{' '.join(row[1].split())}]", text)  # a row of cells is one line
    path.write_text(in_lines + "\n", encoding="utf-8")
    return path


def results_of(question: str, folder: Path = RESULTS) -> list[Result]:
    """All results of a question, the oldest first.

    Raises:
        LookupError: there is none.
    """
    found = [read_result(path) for path in sorted(folder.glob(f"{question}-????-??-??.json"))]
    if not found:
        raise LookupError(f"no result answers {question!r}: {folder} has no such file")
    return found


def measured_on(text: str) -> tuple[str, str]:
    """The date, and the machine with its load, that a program has printed; today and this machine if it has not."""
    found = MACHINE_LINE.search(text) or MACHINE_LINE.search(machine())
    assert found is not None, "a machine's line begins with its date"
    return found[1], found[2]


def tables_in(text: str) -> tuple[Table, ...]:
    """The markdown tables in what a program has printed."""
    tables = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text if text.endswith("\n") else text + "\n", re.M):
        head, line, *rows = ([cell.strip() for cell in row[1:-1].split("|")] for row in block.splitlines())
        assert all(re.fullmatch(r":?-+:?", cell) for cell in line), "a table has a line below its head"
        tables.append(Table(tuple(head), tuple(map(tuple, rows))))
    return tuple(tables)


def current_table(results: Sequence[Result], number: int, rows: str | None = None) -> str:
    """A question's table in markdown: of rows with the same key the newest, each in the place of the first one.

    Args:
        results: the oldest first.
        number: which of their tables, from 1.
        rows: a pattern that a row's key must match as a whole; None: all.

    Raises:
        ValueError: the results' columns differ.
    """
    tables = [result.tables[number - 1] for result in results if len(result.tables) >= number]
    columns = tables[-1].columns
    if any(table.columns != columns for table in tables):
        raise ValueError(f"the results of {results[-1].question!r} have different columns")
    current: dict[tuple[str, ...], tuple[str, ...]] = {}
    for table in tables:
        current |= {row[: table.key_columns]: row for row in table.rows}
    shown = [row for key, row in current.items() if rows is None or re.fullmatch(rows, " | ".join(key))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ("---",) * len(columns), *shown))


def written(page: str, folder: Path = RESULTS) -> str:
    """A page with its tables written again."""

    def fill(mark: re.Match[str]) -> str:
        results = results_of(mark["question"], folder)
        number = int(mark["number"] or 1)
        table = current_table(results, number, mark["rows"])
        sources = "\n".join(result.source() for result in results if len(result.tables) >= number) + "\n\n"
        first = mark[0].partition("\n")[0]
        return f"{first}\n{sources if number == 1 else ''}{table}\n<!-- end of result -->"

    return MARK.sub(fill, page)


def pages() -> list[Path]:
    """The pages of the docs that have such tables."""
    return [path for path in sorted(DOCS.rglob("*.md")) if MARK.search(path.read_text(encoding="utf-8"))]


def _commit() -> str | None:
    """The checkout's commit; None where it is no checkout."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() or None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or keep what a benchmark has printed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    keep = parser.add_subparsers(dest="action").add_parser("keep", help="make a result of what a benchmark has printed")
    keep.add_argument("question", help="what it answers; letters and underscores")
    keep.add_argument("output", type=Path, help="what the benchmark has printed")
    keep.add_argument("--command", required=True, help="the command that measured it")
    keep.add_argument("--folder", type=Path, default=RESULTS, help="where results are kept")
    keep.add_argument("--conditions", default="", help="anything else that mattered")
    keep.add_argument("--key-columns", type=int, default=1, help="how many first columns tell rows apart")
    given = parser.parse_args(arguments)
    if given.action == "keep":
        printed = given.output.read_text(encoding="utf-8")
        tables = tables_in(printed)
        if not tables:
            print(f"{given.output} has no table", file=sys.stderr)
            return 2
        date, on_machine = measured_on(printed)
        result = Result(
            question=given.question,
            date=date,
            command=given.command,
            machine=on_machine,
            tables=tuple(Table(table.columns, table.rows, given.key_columns) for table in tables),
            python=platform.python_version(),
            commit=_commit(),
            conditions=given.conditions,
        )
        print(write_result(result, given.folder))
        return 0
    for path in pages():
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
