"""How many people 1 to 64 GPUs serve, whom they refuse and how late live text is, while replicas die and are replaced.

    python -m benchmarks.cluster --jobs 2
    python -m benchmarks.cluster --soak-minutes 20  # real replicas on this machine, one killed each minute

Everything happens in virtual time, with the step costs that a GPU was measured to have (``--costs``: a result of
``benchmarks.gpu_lease``): ``benchmarks/simulated/`` says what is openmic's own code in it and what is pretended. People
come at random, so many that Erlang's formula has one of a hundred refused, and speak for 90 s (median; log-normal).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.metrics.plots import ALWAYS_GOOD_SECONDS, Panel, panels
from benchmarks.metrics.report import machine
from benchmarks.realtime import cluster_soak as soak
from benchmarks.report import RESULTS
from benchmarks.simulated.cluster import Cluster, Outcome, Scenario, most_offered, refused_part
from benchmarks.simulated.replica import Replica
from benchmarks.simulated.speakers import PIECE_SECONDS, Seen, Speaker
from openmic.settings import Settings
from openmic.speech.engine.costs import Costs

ROOT = Path(__file__).resolve().parents[1]
MEASURED = RESULTS / "gpu-h200-2026-11-27-after.json"
GPUS = (1, 2, 4, 8, 16, 32, 64)
FEW = (2, 8, 16)  # of which it is also asked what happens where they differ, die or are replaced
REFUSED = 0.01  # of those who come, by Erlang's formula
LEAST_SECONDS, GPU_SECONDS = 30.0, 240.0  # of virtual time that are counted: at least, and of all GPUs together
LEAST_FAULT_SECONDS = 200.0  # a rolling update takes a while
KILL_SECONDS = 60.0
COUNTED_SECONDS, UPDATES = 5000.0, 20  # over which refusals are counted, without engines
SLOWER = 2.0  # every second GPU of a mixed cluster
CROWD_SECONDS, CROWD_SPREAD_SECONDS, CROWD_STEP_SECONDS = 20.0, 8.0, 1.0  # of the measured sessions
ROUTERS = {True: "openmic's", False: "Serve's"}


@dataclass(frozen=True, slots=True)
class Case:
    """One row.

    Attributes:
        gpus: how many.
        what: happens to them.
        scenario: with all that is simulated.
    """

    gpus: int
    what: str
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Device:
    """What a GPU was measured to do.

    Attributes:
        name: the card's.
        costs: of its steps and final windows.
        crowds: (sessions, stable p90 in seconds), of live text alone.
    """

    name: str
    costs: Costs
    crowds: tuple[tuple[int, float], ...]


def read_device(path: Path) -> Device:
    """A device from a result of ``benchmarks.gpu_lease``, with the model ``base``."""
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    measured = stages["sessions"]
    costs = Costs(
        tuple((count, took) for count, took in measured["costs"]["steps"]), measured["costs"]["window_seconds"]
    )
    crowds = tuple((one["sessions"], one["stable_p90"]) for one in measured["base"])
    return Device(stages["machine"].get("card", stages["machine"]["device"]), costs, crowds)


def simulated_crowd(costs: Costs, sessions: int) -> float:
    """Stable p90, in seconds, of what was measured: so many sessions of 20 s, live text alone."""
    seen = Seen()
    replica = Replica(
        "one", replace(costs, final_window_cost_seconds=0.0), Settings(live_step_seconds=CROWD_STEP_SECONDS)
    )
    for number in range(sessions):
        begins = number * CROWD_SPREAD_SECONDS / sessions
        replica.play(begins)
        replica.take(Speaker(str(number), begins, round(CROWD_SECONDS / PIECE_SECONDS), seen))
    replica.play(CROWD_SPREAD_SECONDS + 2 * CROWD_SECONDS)
    return seen.p90() or 0.0


def plain_cases(costs: Costs, gpus: Sequence[int]) -> list[Case]:
    """GPUs that are alike, with each router."""
    return [Case(count, "", _scenario((costs,) * count, router)) for count in gpus for router in ROUTERS]


def mixed_cases(costs: Costs, gpus: Sequence[int]) -> list[Case]:
    """Every second GPU is slower."""
    slower = Costs(
        tuple((count, SLOWER * took) for count, took in costs.steps), SLOWER * costs.final_window_cost_seconds
    )
    return [
        Case(count, "", _scenario(((costs, slower) * count)[:count], router)) for count in gpus for router in ROUTERS
    ]


def fault_cases(costs: Costs, gpus: Sequence[int]) -> list[Case]:
    """Replicas die or are replaced: all GPUs as busy as before, or with some to spare."""
    cases = []
    for count in gpus:
        full = _scenario((costs,) * count, True)
        full = replace(full, seconds=max(full.seconds, LEAST_FAULT_SECONDS))
        for what, changed, spare in (
            ("a kill each minute", replace(full, kill_every_seconds=KILL_SECONDS), 1),
            ("a rolling update", replace(full, update=True), max(1, count // 5)),
        ):
            spared = most_offered((count - spare) * costs.capacity(), REFUSED)
            cases.append(Case(count, f"{what}, none to spare", changed))
            cases.append(Case(count, f"{what}, {spare} to spare", replace(changed, offered=spared)))
    return cases


def _scenario(costs: tuple[Costs, ...], by_free_places: bool) -> Scenario:
    places = sum(one.capacity() for one in costs)
    seconds = max(LEAST_SECONDS, GPU_SECONDS / len(costs))
    return Scenario(costs, most_offered(places, REFUSED), seconds, by_free_places)


def played(case: Case) -> tuple[Outcome, Outcome]:
    """What becomes of a case, with the engine for as long as it says, and without for long; in another process."""
    return Cluster(case.scenario, Settings()).run(), counted(case.scenario)


def counted(scenario: Scenario) -> Outcome:
    """Refusals, over a long time, or where there is an end to it (an update), over several times."""
    runs = range(UPDATES if scenario.update else 1)
    seconds = scenario.seconds if scenario.update else COUNTED_SECONDS
    outcomes = [
        Cluster(replace(scenario, engine=False, seconds=seconds, seed=scenario.seed + run), Settings()).run()
        for run in runs
    ]
    whole = outcomes[0]
    for outcome in outcomes[1:]:
        whole.came += outcome.came
        whole.refused += outcome.refused
        whole.refused_beside_a_place += outcome.refused_beside_a_place
    return whole


def routed_row(case: Case, outcome: Outcome, counted: Outcome) -> list[str]:
    """Cells of the first tables."""
    scenario = case.scenario
    return [
        str(case.gpus),
        ROUTERS[scenario.by_free_places],
        str(scenario.places),
        f"{scenario.offered:.0f}",
        f"{counted.speaking_mean:.0f}",
        str(counted.came),
        f"{100 * counted.refused_part:.2f}",
        f"{100 * counted.refused_beside_a_place / max(1, counted.came):.2f}",
        f"{100 * refused_part(scenario.places, scenario.offered):.2f}",
        _seconds(outcome.seen.p90()),
        _seconds(_p90(outcome.seen.final_waits)),
    ]


ROUTED = (
    "GPUs",
    "router",
    "places",
    "would speak at once",
    "do, mean",
    "came",
    "refused %",
    "while another had a place %",
    "by Erlang's formula %",
    "stable p90 s",
    "time to final p90 s",
)


def fault_row(case: Case, outcome: Outcome, counted: Outcome) -> list[str]:
    """Cells of the table of faults."""
    silences = outcome.seen.silences
    return [
        case.what,
        str(case.gpus),
        f"{case.scenario.offered:.0f}",
        str(outcome.cut + outcome.handed_over),
        str(outcome.lost),
        f"{100 * counted.refused_part:.2f}",
        str(outcome.fullest),
        f"{np.median(silences):.1f} / {max(silences):.1f}" if silences else "-",
        _seconds(outcome.seen.p90()),
        _updated(case, outcome),
    ]


FAULTS = (
    "what happens",
    "GPUs",
    "would speak at once",
    "sessions that moved",
    "lost",
    "refused %",
    "most at one GPU",
    "silence of those s, median / max",
    "stable p90 s",
    "updated after s",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and draw the picture; or soak a cluster on this machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--gpus", default=",".join(map(str, GPUS)), help="how many, one row each")
    parser.add_argument("--costs", type=Path, default=MEASURED, help="a result of benchmarks.gpu_lease")
    parser.add_argument("--jobs", type=int, default=1, help="rows that are simulated at once")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "benchmarks", help="where the picture goes")
    parser.add_argument("--soak-minutes", type=float, help="kill real replicas for so long instead; needs Ray")
    parser.add_argument("--speakers", type=int, default=4, help="of the soak, at once")
    parser.add_argument("--model", default="tiny.en", help="of the soak")
    given = parser.parse_args(arguments)
    if given.soak_minutes is not None:
        return soak_here(given.soak_minutes, given.speakers, given.model)
    gpus = [int(count) for count in given.gpus.split(",")]
    device = read_device(given.costs)
    costs = device.costs
    print(f"{machine()}\n{device.name}, base, {costs.capacity()} places; virtual time, seed 1\n")
    _begin(("sessions, live text alone", "measured stable p90 s", "simulated s"))
    for sessions, measured in device.crowds:
        _print_row([str(sessions), f"{measured:.2f}", f"{simulated_crowd(costs, sessions):.2f}"])
    with ProcessPoolExecutor(given.jobs) as pool:
        plain = _table(ROUTED, plain_cases(costs, gpus), routed_row, pool)
        few = [count for count in gpus if count in FEW]
        _table(ROUTED, mixed_cases(costs, few), routed_row, pool)
        faults = _table(FAULTS, fault_cases(costs, few), fault_row, pool)
    given.output.mkdir(parents=True, exist_ok=True)
    draw(given.output / "cluster.png", plain, faults)
    return 0


def soak_here(minutes: float, speakers: int, model: str) -> int:
    """Print what kills cost real replicas, and their memory; 1 where something was lost or memory grows."""
    print(f"{machine()}\n{speakers} speakers, 2 replicas, {model}, {minutes:g} min\n", flush=True)
    run, reading, note = soak.soak(minutes, speakers, model)
    _begin(("killed at s", "both replicas there again after s"))
    for kill in run.kills:
        _print_row([f"{kill.at:.0f}", "-" if kill.back_seconds is None else f"{kill.back_seconds:.1f}"])
    _begin(soak.FAULTS)
    for row in soak.rows_of(run, reading):
        _print_row(row)
    _begin(("memory MB, median", "first quarter", "second", "third", "fourth"))
    for row in soak.memory_rows(run.memory):
        _print_row(row)
    codes = ", ".join(sorted({one.failed for one in run.spoken if one.failed})) or "none"
    refused, grown = sum(1 for one in run.spoken if one.refused), soak.growth(run.memory)
    kept, flat = soak.nothing_lost(run), grown <= soak.MOST_GROWTH
    print(f"\n{len(run.kills)} kills; {refused} refused; errors: {codes}; {'nothing' if kept else 'SOMETHING'} lost")
    print(f"memory {100 * grown:+.1f} % from the third quarter to the fourth: {'flat' if flat else 'NOT flat'}; {note}")
    return 0 if kept and flat and run.kills else 1


Played = list[tuple[Case, Outcome, Outcome]]  # with the engine, and without for long


def _table(
    columns: Sequence[str],
    cases: Sequence[Case],
    row: Callable[[Case, Outcome, Outcome], list[str]],
    pool: ProcessPoolExecutor,
) -> Played:
    """Print a table as its rows come."""
    if not cases:
        return []
    _begin(columns)
    found = []
    for case, (outcome, counted) in zip(cases, pool.map(played, cases), strict=True):
        _print_row(row(case, outcome, counted))
        found.append((case, outcome, counted))
    return found


def draw(path: Path, plain: Played, faults: Played) -> None:
    """Speakers, refusals and delay by the number of GPUs."""
    groups: dict[str, Played] = {}
    for case, outcome, counted in plain:
        groups.setdefault(f"{ROUTERS[case.scenario.by_free_places]} router", []).append((case, outcome, counted))
    for case, outcome, counted in faults:
        what, _, spare = case.what.partition(", ")
        name = f"{what}, {'none' if spare.startswith('none') else 'some'} to spare"
        groups.setdefault(name, []).append((case, outcome, counted))

    def lines(value: Callable[[Outcome, Outcome], float | None]) -> dict[str, list[tuple[float, float]]]:
        return {
            name: [
                (case.gpus, found) for case, outcome, counted in group if (found := value(outcome, counted)) is not None
            ]
            for name, group in groups.items()
        }

    panels(
        path,
        "GPUs",
        (
            Panel("people who speak at once", lines(lambda _, counted: counted.speaking_mean), logarithmic=True),
            Panel("refused, % of those who come", lines(lambda _, counted: 100 * counted.refused_part)),
            Panel(
                "seconds until a word is stable, nine of ten",
                lines(lambda outcome, _: outcome.seen.p90()),
                limit=ALWAYS_GOOD_SECONDS,
            ),
        ),
    )


def _updated(case: Case, outcome: Outcome) -> str:
    if not case.scenario.update:
        return "-"
    return f"{outcome.updated_at:.0f}" if outcome.updated_at is not None else f"not in {case.scenario.seconds:.0f}"


def _p90(values: Sequence[float]) -> float | None:
    return float(np.percentile(values, 90)) if values else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _begin(columns: Iterable[str]) -> None:
    names = [*columns]
    print()
    _print_row(names)
    _print_row(["---"] * len(names))


def _print_row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
