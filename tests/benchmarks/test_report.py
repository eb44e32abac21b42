"""The tables of the docs are those of the results; the newest figures win; what a benchmark printed can be kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import MARK, RESULTS, ROOT, Result, Table, current_table, read_result, written

ANSWERS = [path for path in sorted(RESULTS.glob("*.json")) if "question" in json.loads(path.read_text("utf-8"))]


def result(date: str, *rows: tuple[str, ...], columns: tuple[str, ...] = ("name", "seconds")) -> Result:
    return Result("sleep", date, "python -m benchmarks.sleep", "a machine", (Table(columns, rows),))


@pytest.mark.parametrize("page", report.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_of_the_docs_are_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == written(text), "run: python -m benchmarks.report"


def test_benchmarks_page_is_written_from_results() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert len(MARK.findall(text)) > 5
    assert text.count("<!-- result ") == text.count("<!-- end of result -->") == len(MARK.findall(text))


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.name)
def test_each_result_is_complete_and_shown(path: Path) -> None:
    one = read_result(path)
    assert path.name == f"{one.question}-{one.date}.json"
    assert one.command.startswith("python -m benchmarks.")
    assert one.machine
    assert one.tables
    assert all(table.rows for table in one.tables)
    pages = [page.read_text(encoding="utf-8") for page in report.pages()]
    assert any(f"<!-- result {one.question}" in page for page in pages)


def test_of_rows_with_one_key_the_newest_counts() -> None:
    old = result("2026-01-01", ("short", "1"), ("long", "9"))
    new = result("2026-02-01", ("long", "5"), ("longer", "7"))
    table = "| name | seconds |\n| --- | --- |\n| short | 1 |\n| long | 5 |\n| longer | 7 |"
    assert current_table([old, new], 1) == table
    assert current_table([old, new], 1, "long|short") == table.rpartition("\n")[0]


def test_other_columns_are_refused() -> None:
    other = result("2026-02-01", ("short", "1"), columns=("name", "minutes"))
    with pytest.raises(ValueError, match="different columns"):
        current_table([result("2026-01-01", ("short", "1")), other], 1)


def test_a_row_with_a_missing_cell_is_refused(tmp_path: Path) -> None:
    path = report.write_result(result("2026-01-01", ("short",)), tmp_path)
    with pytest.raises(ValueError, match="more or fewer cells"):
        read_result(path)


def test_a_question_without_an_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="sleep"):
        written("<!-- result sleep -->\n<!-- end of result -->", tmp_path)


def test_what_a_benchmark_printed_is_kept_and_shown(tmp_path: Path) -> None:
    printed = tmp_path / "printed.txt"
    table = "| name | seconds |\n| --- | --- |\n| a nap | 1.50 / 2.00 |"
    printed.write_text(f"This machine is quick\n\n{table}\n\nand tired\n", encoding="utf-8")
    command = "python -m benchmarks.sleep --long"
    folder = ["--folder", str(tmp_path)]
    assert report.main(["keep", "sleep", str(printed), "--command", command, "--conditions", "at night", *folder]) == 0
    (kept,) = report.results_of("sleep", tmp_path)
    assert kept.command == command
    assert kept.python
    page = written("# Sleep\n\n<!-- result sleep -->\nold\n<!-- end of result -->\n", tmp_path)
    assert f"- `{command}`\n  {kept.date}; " in page
    assert "; at night" in " ".join(page.split())
    assert f"\n\n{table}\n<!-- end of result -->\n" in page
    assert "old" not in page
    assert written(page, tmp_path) == page


def test_date_and_load_are_those_of_the_measurement(tmp_path: Path) -> None:
    printed = tmp_path / "printed.txt"
    told = "reading, 60 s; 2026-01-31 23:58 UTC, a processor, 2 cores, 24 GiB, Linux, load 0.3 before"
    printed.write_text(f"{told}\n\n| name | seconds |\n| --- | --- |\n| a nap | 1.50 |\n", encoding="utf-8")
    assert report.main(["keep", "sleep", str(printed), "--command", "sleep", "--folder", str(tmp_path)]) == 0
    (kept,) = report.results_of("sleep", tmp_path)
    assert (kept.date, kept.machine) == ("2026-01-31", "a processor, 2 cores, 24 GiB, Linux, load 0.3 before")


def test_output_without_a_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "printed.txt").write_text("nothing", encoding="utf-8")
    assert report.main(["keep", "sleep", str(tmp_path / "printed.txt"), "--command", "sleep"]) == 2
    assert "has no table" in capsys.readouterr().err
