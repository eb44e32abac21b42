"""A GPU's figures in one command, on a machine that reaches no network.

    python -m benchmarks.gpu_lease pack [--folder F]
    python -m benchmarks.gpu_lease run [--device auto] [--minutes 20] [--output DIR] [--stages a,b]

``pack`` makes the parts (``parts.py``), each under 60 MB. On the other machine ``python unpack.py PARTS TARGET`` puts
them together, and ``run``, in ``TARGET/project``, asks everything there (``stages.py``): each stage is a process of its
own with its own time, one that fails or takes too long is noted and the next begins, and the JSON is written anew after
each. On a processor the same stages run in small.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEFAULT_FOLDER = Path("artifacts/gpu_lease")
GRACE_SECONDS = 20.0  # that a stage may take longer than its time, to write what it has
KEPT_OUTPUT = 4000  # characters of what a failed stage printed last


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_lease", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="make the parts")
    packing.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    running = verbs.add_parser("run", help="run all stages")
    running.add_argument("--device", default="auto", help="auto, cuda, cuda:1, cpu")
    running.add_argument("--minutes", type=float, default=20.0, help="for all stages together")
    running.add_argument("--output", type=Path, default=DEFAULT_FOLDER)
    running.add_argument("--stages", default="", help="only these, separated by commas")
    running.add_argument("--texts", type=Path, default=Path("../texts.json"), help="the processor's final texts")
    one = verbs.add_parser("stage", help="run one, in this process")
    one.add_argument("name")
    one.add_argument("--device", required=True)
    one.add_argument("--seconds", type=float, required=True)
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--texts", type=Path)
    one.add_argument("--small", action="store_true")
    given = parser.parse_args(arguments)
    if given.verb == "pack":
        from benchmarks.gpu_lease.pack import pack

        for part in pack(given.folder):
            size = sum(file.stat().st_size for file in part.iterdir())
            print(f"{part}: {size / 1e6:.1f} MB")
    elif given.verb == "stage":
        from benchmarks.gpu_lease.stages import run_stage

        run_stage(given.name, given.device, given.seconds, given.output, given.small, given.texts)
    else:
        run(given.device, given.minutes, given.output, given.texts, given.stages)


def run(wanted: str, minutes: float, output: Path, texts: Path, stages: str = "") -> dict[str, Any]:
    """Run the stages one after another; see this file's beginning."""
    from benchmarks.gpu_lease.picture import draw
    from benchmarks.gpu_lease.stages import STAGES
    from openmic.speech.device import choose_device

    device = choose_device(wanted)
    names = [name for name in STAGES if not stages or name in stages.split(",")]
    output.mkdir(parents=True, exist_ok=True)
    began, left = time.monotonic(), sum(STAGES[name][1] for name in names)
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device,
        "small": device == "cpu",
        "stages": {},
    }
    for name in names:
        seconds = (60 * minutes - (time.monotonic() - began)) * STAGES[name][1] / left
        left -= STAGES[name][1]
        results["stages"][name] = found = _stage(name, device, max(1.0, seconds), texts)
        how = found.get("failed_because", "done")
        print(f"{name}: {found['wall_seconds']:.0f} s of {seconds:.0f}, {how}", flush=True)
        (output / "gpu_lease.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, output / "gpu_lease.png")
    return results


def _stage(name: str, device: str, seconds: float, texts: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "found.json"
        command = [sys.executable, "-m", "benchmarks.gpu_lease", "stage", name, "--device", device]
        command += ["--seconds", f"{seconds:.1f}", "--output", str(written)]
        if device == "cpu":
            command.append("--small")
        if texts.is_file():
            command += ["--texts", str(texts.resolve())]
        began = time.monotonic()
        problem = ""
        with (Path(folder) / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=os.environ)
            try:
                process.wait(seconds + GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                problem = "took longer than its time"
            said.seek(0)
            output = said.read()
        if not problem and process.returncode:
            problem = f"ended with {process.returncode}"
        found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        found["wall_seconds"] = time.monotonic() - began
        warnings = [line for line in output.splitlines() if "one by one" in line or "without CUDA graphs" in line]
        if warnings:
            found["warnings"] = warnings
        if problem:
            found |= {"failed_because": problem, "said": output[-KEPT_OUTPUT:]}
        return found


if __name__ == "__main__":
    main()
