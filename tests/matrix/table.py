"""The table of what ran: as JSON, and as Markdown for docs/compatibility.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- what python -m tests.matrix --docs wrote -->\n", "<!-- until here -->\n"
# The packages whose versions stand in the Markdown; the others are in the JSON.
SHOWN = ("torch", "numpy", "numba", "av", "fastapi", "starlette", "uvicorn", "h11", "websockets", "ipykernel", "openai")


@dataclass
class Cell:
    """One Python with one set of packages.

    Attributes:
        python: such as 3.13.0.
        packages: ``newest``, ``lowest`` or ``colab``.
        parts: seconds by the name of each part that passed or failed.
        counts: tests that passed, by the name of the part.
        failed: the parts that did not pass, in the order in which they were run.
        problem: why there is no environment, where there is none.
        environment_seconds: what making the environment took; 0 where it was kept from before.
        versions: of what our requirements name and what Colab's set adds.
        not_run: requirements that no part imported or started.
    """

    python: str
    packages: str
    parts: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    problem: str = ""
    environment_seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Such as 3.13-lowest, with no patch version: an environment's and a log folder's name."""
        return f"{self.python.rpartition('.')[0]}-{self.packages}"

    @property
    def passed(self) -> bool:
        return bool(self.parts) and not self.failed and not self.problem

    @property
    def seconds(self) -> float:
        """What its parts took together, without making the environment."""
        return sum(self.parts.values())


@dataclass
class Table:
    """All cells of a run.

    Attributes:
        date: the day, as 2026-11-27.
        cores: of the machine.
        at_a_time: how many cells were run beside each other.
    """

    date: str
    cores: int
    at_a_time: int
    cells: list[Cell]

    @property
    def passed(self) -> bool:
        return bool(self.cells) and all(cell.passed for cell in self.cells)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Table:
    """A table that `Table.write` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Table(**told | {"cells": [Cell(**cell) for cell in told["cells"]]})


def markdown(table: Table) -> str:
    """When and how, what was run and how it went, and with which versions."""
    names = list(dict.fromkeys(name for cell in table.cells for name in cell.parts))
    ran = [["Python", "packages", *names, "result", "run", "made"]]
    for cell in table.cells:
        results = [_result(cell, name) for name in names]
        whole = "passed" if cell.passed else "**no environment**" if cell.problem else "**failed**"
        made = f"{cell.environment_seconds:.0f} s" if cell.environment_seconds else "kept"
        ran.append([cell.python, cell.packages, *results, whole, f"{cell.seconds:.0f} s", made])
    versions = [["Python", "packages", *SHOWN]]
    versions += [
        [cell.python, cell.packages, *(cell.versions.get(name, "-") for name in SHOWN)] for cell in table.cells
    ]
    run_on = f"Run on {table.date} on {table.cores} cores, {table.at_a_time} beside each other."
    return f"{run_on}\n\n{_rows(ran)}\n\n{_rows(versions)}\n"


def write_page(table: Table) -> None:
    """Put the table into docs/compatibility.md, in the place of the one that is there."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}{markdown(table)}{END}{after}", encoding="utf-8")


def _result(cell: Cell, name: str) -> str:
    if name not in cell.parts:
        return "-"
    if name in cell.failed:
        return "**failed**"
    return f"{cell.counts[name]} in {cell.parts[name]:.0f} s" if cell.counts.get(name) else f"{cell.parts[name]:.0f} s"


def _rows(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
