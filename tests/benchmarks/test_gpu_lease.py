"""The GPU's figures in one command: parts that come together again, and stages that do not reach each other."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.corpus.recordings import ROOT
from benchmarks.gpu import Parts
from benchmarks.gpu_lease import __main__ as lease
from benchmarks.gpu_lease import pack, parts, stages, steps
from benchmarks.gpu_lease.picture import draw
from openmic.speech.live.decode import STAGES


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A folder with 250 kB in three files, and its parts."""
    source = tmp_path / "source"
    (source / "inside").mkdir(parents=True)
    for name, size in (("a", 200_000), ("inside/b", 50_000), ("inside/c", 0)):
        (source / name).write_bytes(random.Random(size).randbytes(size))
    return source, parts.split(source, tmp_path / "parts", part_bytes=100_000)


def test_parts_come_together_again_wherever_they_lie(packed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    source, made = packed
    assert [part.name for part in made] == ["part1", "part2", "part3"]
    assert all((part / f"{part.name}.bin").stat().st_size <= 100_000 for part in made)
    (tmp_path / "there" / "deep").mkdir(parents=True)
    made[1].rename(tmp_path / "there" / "deep" / "part2")
    for part in (made[2], made[0]):
        part.rename(tmp_path / "there" / part.name)
    there, joined = tmp_path / "there", tmp_path / "joined"
    code = "import sys, pathlib as p; sys.path.insert(0, sys.argv[1] + '/part1'); import unpack; "
    code += "unpack.join(*map(p.Path, sys.argv[1:]))"
    command = [sys.executable, "-I", "-c", code, str(there), str(joined)]  # the other machine has the parts alone
    subprocess.run(command, check=True)
    for file in ("a", "inside/b", "inside/c"):
        assert (tmp_path / "joined" / file).read_bytes() == (source / file).read_bytes()


def test_a_part_that_is_missing_or_broken_is_named(packed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    _, made = packed
    file = made[1] / "part2.bin"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(parts.BrokenPart, match=r"part2\.bin"):
        parts.join(tmp_path / "parts", tmp_path / "joined")
    file.unlink()
    with pytest.raises(parts.BrokenPart, match=r"part2\.bin is not there"):
        parts.join(tmp_path / "parts", tmp_path / "joined")


def test_parts_of_two_packings_do_not_mix(packed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    source, made = packed
    (source / "a").write_bytes(b"other")
    other = parts.split(source, tmp_path / "other")
    (other[0] / "part1.bin").replace(made[0] / "part1.bin")
    with pytest.raises(parts.BrokenPart):
        parts.join(tmp_path / "parts", tmp_path / "joined")


def test_a_part_is_small_enough_to_be_carried() -> None:
    assert parts.PART_BYTES < 60_000_000


def test_the_project_that_is_packed_is_the_one_that_runs(tmp_path: Path) -> None:
    pack.copy_project(tmp_path)
    for name in (
        "pyproject.toml",
        "benchmarks/gpu_lease/parts.py",
        "tests/speech/gpu/test_cuda_graphs.py",
        "openmic/speech/engine/thread.py",
    ):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert not (tmp_path / ".git").exists()


def test_every_wheel_is_one_that_the_project_asks_for_or_what_that_needs() -> None:
    asked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in ("av", "fastapi", "uvicorn", "websockets", "pydantic-settings", "pysubs2", "segno", "platformdirs"):
        assert name in pack.WHEELS
        assert name in asked
    assert pack.WHISPER.split("==")[0] in asked


def test_stages_fit_into_twenty_minutes() -> None:
    assert sum(seconds for _, seconds in stages.STAGES.values()) <= 20 * 60


@pytest.mark.slow
def test_a_stage_that_fails_is_noted_and_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that its process does not know; what is asked behind it is there, in JSON and picture."""
    monkeypatch.setattr(stages, "STAGES", {"broken": (stages.machine, 30.0), "machine": (stages.machine, 60.0)})
    results = lease.run("cpu", 1.5, tmp_path / "out", tmp_path / "no texts")
    assert results["stages"]["broken"]["failed_because"] == "ended with 1"
    assert "KeyError" in results["stages"]["broken"]["said"]
    assert results["stages"]["machine"]["operations_per_second"] > 0
    assert json.loads((tmp_path / "out" / "gpu_lease.json").read_text(encoding="utf-8")) == results
    assert (tmp_path / "out" / "gpu_lease.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_stage_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "GRACE_SECONDS", -0.9)
    found = lease._stage("machine", "cpu", 1.0, tmp_path / "no texts")
    assert found["failed_because"] == "took longer than its time"


def test_a_picture_needs_no_figure(tmp_path: Path) -> None:
    draw({"stages": {"sessions": {"failed_because": "ended with 1"}}}, tmp_path / "empty.png")
    rows: list[dict[str, Any]] = [{"sessions": 1, "stable_p90": 1.0}, {"sessions": 2, "stable_p90": None}]
    choices = [{"rows": 1, "seconds": 0.001, "least_bytes": 100}]
    steps = [{"rows": 1, "encode": 0.1, "times": 0.2}]
    found = {"sessions": {"base": rows}, "parts": {"choices": choices, "steps": steps}}
    draw({"stages": found | {"machine": {"card": "X", "copied_bytes_per_second": 1e9}}}, tmp_path / "some.png")
    assert (tmp_path / "some.png").read_bytes() != (tmp_path / "empty.png").read_bytes()


@pytest.mark.slow
def test_the_parts_of_a_step_are_measured_in_small(base_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With real weights, through the batched decoder, as on a GPU."""
    monkeypatch.setattr(steps, "STEPS", 2)
    monkeypatch.setattr(steps, "CALLS", 1)
    small = Parts("base", base_model, 2)
    found = steps.measured_steps(small, 2)
    assert set(STAGES) < set(found)
    assert all(found[name] > 0 for name in STAGES)
    assert sum(found[name] for name in STAGES) <= found["whole"]
    assert small.decoder.pools[0].free == 2  # type: ignore[attr-defined]
    passes = steps.choices(small.decoder, [1, 2])
    assert [entry["rows"] for entry in passes] == [1, 2]
    assert passes[0]["least_bytes"] < passes[1]["least_bytes"]


def test_unpacking_ends_with_what_to_type_next(tmp_path: Path) -> None:
    told = parts.next_steps(tmp_path)
    for name in ("site", "cache", "audio", "project"):
        assert f"{tmp_path}/{name}" in told
    assert "python -m benchmarks.gpu_lease run" in told
    assert "OPENMIC_CACHE_DIR=target/cache" in (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
