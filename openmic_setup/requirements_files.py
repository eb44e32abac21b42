"""Writes the requirements files from pyproject.toml, the one place where dependencies and the reasons for them stand.

``python -m openmic_setup.requirements_files`` writes them. The files stay because `colab_bootstrap.py`, a notebook's
``pip install -r`` and the matrix read requirements a line at a time, before anything is installed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Written from pyproject.toml by `python -m openmic_setup.requirements_files`: change it there.\n"
# By file: the arrays of pyproject.toml that it consists of, each as (table, key).
FILES = {
    "requirements.txt": (("project", "dependencies"),),
    "requirements-test.txt": (("dependency-groups", "tests"), ("dependency-groups", "lint")),
    "requirements-benchmarks.txt": (("dependency-groups", "benchmarks"),),
    "requirements-cluster.txt": (("project.optional-dependencies", "cluster"),),
}


def written(pyproject: str) -> dict[str, str]:
    """The text of each requirements file.

    Args:
        pyproject: the text of pyproject.toml.

    Returns:
        By file name: the header, then a requirement a line, with the comments that stand in pyproject.toml.

    Raises:
        ValueError: an array is not laid out as one quoted requirement a line, so that lines and TOML disagree.
    """
    return {
        name: HEADER + "".join(line + "\n" for table, key in arrays for line in _lines(pyproject, table, key))
        for name, arrays in FILES.items()
    }


def array_of(pyproject: dict[str, Any], table: str, key: str) -> list[Any]:
    """An array of a table of pyproject.toml, as TOML's reader has it."""
    for name in table.split("."):
        pyproject = pyproject[name]
    values: list[Any] = pyproject[key]
    return values


def _lines(pyproject: str, table: str, key: str) -> list[str]:
    """The lines of an array of requirements: TOML's reader drops comments, so that they are read as text."""
    of_table = re.search(rf"^\[{re.escape(table)}\]$(.*?)(?=^\[|\Z)", pyproject, re.MULTILINE | re.DOTALL)
    array = re.search(rf"^{re.escape(key)} = \[\n(.*?)^\]$", of_table[1] if of_table else "", re.MULTILINE | re.DOTALL)
    lines, requirements = [], []
    for line in (array[1] if array else "").splitlines():
        entry = re.fullmatch(r'\s*(?:"([^"]+)",)?( *)(#.*)?', line)
        requirement, gap, comment = (part or "" for part in entry.groups()) if entry else ("", "", "")
        lines.append(f"{requirement}{gap}{comment}" if requirement else comment)
        if requirement:
            requirements.append(requirement)
    if requirements != array_of(tomllib.loads(pyproject), table, key):
        raise ValueError(f"[{table}] {key} in pyproject.toml has to be one quoted requirement a line, comma included")
    return lines


def main() -> None:
    """Write the files beside pyproject.toml."""
    for name, text in written((ROOT / "pyproject.toml").read_text(encoding="utf-8")).items():
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
