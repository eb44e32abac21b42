"""The questions that are put to a device, each in a process of its own: what fails in one does not reach the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from benchmarks.accuracy import all_clips
from benchmarks.corpus.reading import load_reading
from benchmarks.corpus.recordings import ROOT
from benchmarks.gpu import Parts
from benchmarks.gpu_lease.memory import memory, started_again
from benchmarks.gpu_lease.neighbour import beside, failed_recording
from benchmarks.gpu_lease.steps import choices, measured_steps, profiled
from benchmarks.metrics.display import word_error_rate
from benchmarks.simulated import crowd
from benchmarks.simulated.crowd import Crowd, LiveStep
from benchmarks.simulated.pieces import measure_pieces, random_model
from benchmarks.simulated.progressive import progressive
from openmic.settings import Settings
from openmic.speech.engine.calibration import measure
from openmic.speech.load import load_parts, load_whisper
from openmic.speech.weights.locate import locate

GOOD_SECONDS = 1.5  # of stable delay at the 90th percentile: up to there a number of sessions is carried
TESTED = (
    "speech/gpu/test_cuda_graphs.py",
    "speech/gpu/test_decoder.py",
    "speech/gpu/test_window_encoder.py",
    "speech/gpu/test_settled_slots.py",
    "speech/gpu/test_select.py",
    "speech/weights/test_selection.py",
    "speech/test_device.py",
    "speech/model/test_attention.py",
    "speech/gpu/test_token_attention.py",
)
SESSIONS = (1, 16, 64, 128, 256, 384, 512, 640, 768, 1024)
CROWD_SECONDS = 20.0  # of the reading that each of many sessions speaks


@dataclass
class Stage:
    """One stage at work.

    Attributes:
        device: on which.
        seconds: it should be over in.
        keep: writes what is known so far.
        small: a dry run on a processor.
        texts: the processor's final texts, by recording; None: not known.
    """

    device: torch.device
    seconds: float
    keep: Callable[[dict[str, Any]], None]
    small: bool = False
    texts: dict[str, str] | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.began)

    @property
    def numbers(self) -> list[int]:
        """Of sessions or rows."""
        return [1, 2] if self.small else [1, 16, 64, 256]

    @cached_property
    def base(self) -> Parts:
        """The live parts of ``base``."""
        model = load_whisper("base", locate("base", Settings().cache_dir), self.device)
        return Parts("base", model.requires_grad_(False), max(self.numbers))


def machine(stage: Stage) -> dict[str, Any]:
    """Which card and torch, and what the card can do: bytes copied and operations of a matrix product a second."""
    found: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0], "device": str(stage.device)}
    size = 256 if stage.small else 8192
    if stage.device.type == "cuda":
        properties = torch.cuda.get_device_properties(stage.device)
        found |= {
            "card": properties.name,
            "bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "built_for": torch.cuda.get_arch_list(),
            "cuda": torch.version.cuda,
        }
    data = torch.randn(size * size, device=stage.device)
    half = data.view(size, size).to(torch.float16 if stage.device.type == "cuda" else torch.float32)
    copy, product = (best_seconds(work, stage.device) for work in (data.clone, lambda: half @ half))
    found["copied_bytes_per_second"] = 2 * data.nbytes / copy
    found["operations_per_second"] = 2 * size**3 / product
    return found


def tests(stage: Stage) -> dict[str, Any]:
    """The tests of what runs on a GPU; warnings are errors, as everywhere."""
    report = Path(Settings().cache_dir) / "gpu_tests.xml"
    files = [str(ROOT / "tests" / name) for name in (*TESTED, "benchmarks/test_gpu.py")]
    only = ["-k", "recorded or on_a_gpu"] if stage.small else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *only, *files]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=stage.left)
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return {
        "passed": len(cases) - len(bad) - len(skipped),
        "failed": [case.get("name") for case in bad],
        "skipped": [case.get("name") for case in skipped],
        "tail": "" if run.returncode == 0 else run.stdout[-6000:],
    }


def same_text(stage: Stage) -> dict[str, Any]:
    """Every recording's final text, beside the processor's."""
    parts, _ = load_parts(Settings(model="base", device=str(stage.device)))
    rows: list[dict[str, Any]] = []
    found = {"recordings": rows}
    for clip in all_clips()[: 1 if stage.small else None]:
        if stage.left < 0:
            break
        began = time.perf_counter()
        text = progressive(parts.final, clip).text
        known = (stage.texts or {}).get(clip.name)
        rows.append(
            {
                "name": clip.name,
                "seconds": clip.seconds,
                "took": time.perf_counter() - began,
                "same_text": None if known is None else text == known,
                "word_error_rate": word_error_rate(clip.text, text),
                "text": text if known is not None and text != known else "",
                "processor": known if known is not None and text != known else "",
            }
        )
        stage.keep(found)
    return found


def live_quality(stage: Stage) -> dict[str, Any]:
    """One session at a step of 0.5 s that is said to take 0.3 s, in virtual time: the policy's own figures."""
    reading = load_reading(4.0 if stage.small else 120.0)
    found = crowd.run(stage.base.live, stage.base.final, reading, 1, Settings(live_step_seconds=0.5), lambda step: 0.3)
    return {"seconds": reading.seconds, **crowd_figures(found)}


def sessions(stage: Stage) -> dict[str, Any]:
    """More and more sessions at one step a second, until the stable delay is no longer good; and the capacity."""
    base = stage.base
    found: dict[str, Any] = {"told": base.told()}
    costs = measure(base.live, base.final, [1, 2] if stage.small else [1, 4, 16, 64, 128, 256], drafted=True)
    found["costs"] = {
        "steps": costs.steps,
        "final_window_cost_seconds": costs.final_window_cost_seconds,
        "capacity": costs.capacity(),
    }
    stage.keep(found)
    found["base"] = grown(stage, lambda step: step.seconds, found)
    return found


def turbo(stage: Stage) -> dict[str, Any]:
    """The same for the shapes of turbo: the time of the parts that depend on the model in place of base's."""
    base, numbers = stage.base, stage.numbers
    ours = measure_pieces(base.encoder, base.decoder, numbers)
    shapes = "tiny" if stage.small else "turbo"
    other = Parts(shapes, random_model(shapes, stage.device), max(numbers))
    theirs = measure_pieces(other.encoder, other.decoder, numbers)
    found: dict[str, Any] = {"told": other.told(), "base_pieces": asdict(ours), "pieces": asdict(theirs)}
    found["choices"] = choices(other.decoder, numbers)
    found["memory"] = memory(stage.device)
    stage.keep(found)
    del other

    def cost(step: LiveStep) -> float:
        return max(0.0, step.seconds - ours.seconds(step)) + theirs.seconds(step)

    found["turbo"] = grown(stage, cost, found)
    return found


def parts_of_a_step(stage: Stage) -> dict[str, Any]:
    """Where the time of a live step goes, and of a decoder's pass of one token per row."""
    found: dict[str, Any] = {"told": stage.base.told()}
    found["choices"] = choices(stage.base.decoder, stage.numbers)
    stage.keep(found)
    found["steps"] = [measured_steps(stage.base, number) for number in stage.numbers]
    stage.keep(found)
    found["profile"] = profiled(stage.base, stage.numbers[-2])
    return found


def memory_and_restart(stage: Stage) -> dict[str, Any]:
    """Memory from stage to stage of loading, and whether a stopped engine gives it back."""
    return started_again(stage.device, stage.keep)


def beside_others(stage: Stage) -> dict[str, Any]:
    """Steps while another thread draws numbers, waits for the device and multiplies; and a recording that fails."""
    found = beside(stage.base, 2 if stage.small else 16, stage.device, min(20.0, stage.left / 3))
    stage.keep(found)
    return found | failed_recording(stage.base, stage.device)


STAGES: dict[str, tuple[Callable[[Stage], dict[str, Any]], float]] = {
    "machine": (machine, 30.0),
    "tests": (tests, 150.0),
    "parts": (parts_of_a_step, 90.0),
    "same_text": (same_text, 90.0),
    "live_quality": (live_quality, 60.0),
    "beside": (beside_others, 60.0),
    "memory": (memory_and_restart, 60.0),
    "sessions": (sessions, 360.0),
    "turbo": (turbo, 300.0),
}
"""Name: what is done, and the seconds that it may take; together twenty minutes."""


def grown(stage: Stage, cost: Callable[[LiveStep], float], found: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of more and more sessions, until one of them is too many or the time is over."""
    rows: list[dict[str, Any]] = []
    reading = load_reading(4.0 if stage.small else CROWD_SECONDS)
    settings = Settings(live_step_seconds=1.0)
    took = 0.0
    crowd.run(stage.base.live, stage.base.final, load_reading(4.0), min(4, max(stage.numbers)), settings, cost)
    for number in SESSIONS[: 2 if stage.small else None]:
        if stage.left < 1.5 * took or (rows and (rows[-1]["stable_p90"] or 0.0) > GOOD_SECONDS):
            break
        began = time.monotonic()
        rows.append(crowd_figures(crowd.run(stage.base.live, stage.base.final, reading, number, settings, cost)))
        took = time.monotonic() - began
        found["so_far"] = rows
        stage.keep(found)
    found.pop("so_far", None)
    return rows


def crowd_figures(found: Crowd) -> dict[str, Any]:
    """One round in numbers; delays and times in seconds."""
    times, m = [step.seconds for step in found.steps], found.measured
    return {
        "sessions": found.sessions,
        "steps": len(times),
        "step_median": float(np.median(times)),
        "step_p90": float(np.percentile(times, 90)),
        "busy": found.busy,
        "first_seen_median": m.first_seen and m.first_seen.median,
        "first_seen_p90": m.first_seen and m.first_seen.p90,
        "stable_median": m.stable and m.stable.median,
        "stable_p90": m.stable and m.stable.p90,
        "stable_max": m.stable and m.stable.max,
        "missing": m.missing,
        "flicker": m.flicker,
        "live_word_error_rate": m.live_wer,
    }


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The least of five times, after one that does not count."""
    times = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def run_stage(name: str, device: str, seconds: float, output: Path, small: bool, texts: Path | None) -> None:
    """Do one stage; what it finds is in ``output`` from the first figure on."""

    def keep(found: dict[str, Any]) -> None:
        output.write_text(json.dumps(found), encoding="utf-8")

    known = json.loads(texts.read_text(encoding="utf-8")) if texts is not None and texts.is_file() else None
    numba.set_num_threads(1)  # as the engine's thread does
    stage = Stage(torch.device(device), seconds, keep, small, known)
    with torch.inference_mode():
        keep(STAGES[name][0](stage) | {"took": time.monotonic() - stage.began})
