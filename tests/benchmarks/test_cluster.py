"""The simulation of many GPUs: its laws, on small numbers, and its streams beside the engine's own."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import cluster
from benchmarks.corpus.reading import Reading
from benchmarks.realtime import cluster_soak
from benchmarks.realtime.cluster_soak import GROUPS, Soak, Spoken
from benchmarks.report import tables_in
from benchmarks.simulated import speakers
from benchmarks.simulated.cluster import Cluster, Outcome, Scenario, most_offered, refused_part
from benchmarks.simulated.replica import Replica
from benchmarks.simulated.routing import ByFreePlaces, Routing, TwoByChance
from benchmarks.simulated.speakers import Seen, Speaker, arriving, met
from openmic.sessions.problems import ServerFull
from openmic.settings import Settings
from openmic.speech.engine.costs import Costs
from tests.support.scripted_turns import Stage

FIVE_PLACES = Costs(((1, 0.05), (4, 0.2), (8, 0.4)), 1.8)
ONE_PLACE = Costs(((1, 0.4),), 1.8)
SELDOM = Settings(live_step_seconds=2.0, live_window_seconds=24.0)  # few steps, so that hours pass in seconds


def play(costs: tuple[Costs, ...], offered: float, seconds: float, **more: object) -> Outcome:
    return Cluster(Scenario(costs, offered, seconds, **more), SELDOM).run()  # type: ignore[arg-type]


def test_the_costs_of_these_tests_give_so_many_places() -> None:
    assert (FIVE_PLACES.capacity(), ONE_PLACE.capacity()) == (5, 1)


@pytest.mark.parametrize(("engine", "seconds", "off"), [(True, 3_000.0, 0.1), (False, 100_000.0, 0.02)])
def test_one_gpu_has_never_more_sessions_than_places_and_refuses_as_erlangs_formula_says(
    engine: bool, seconds: float, off: float
) -> None:
    outcome = play((FIVE_PLACES,), 4.0, seconds, engine=engine)
    assert outcome.fullest == 5
    assert outcome.refused_part == pytest.approx(refused_part(5, 4.0), abs=off)
    assert outcome.speaking_mean == pytest.approx(4.0 * (1 - refused_part(5, 4.0)), rel=10 * off)


def test_where_any_free_place_will_do_many_gpus_refuse_as_one_large_one() -> None:
    ours = play((FIVE_PLACES,) * 4, 18.0, 20_000.0, engine=False)
    serves = play((FIVE_PLACES,) * 4, 18.0, 20_000.0, engine=False, by_free_places=False)
    assert ours.came == serves.came  # the same people
    assert ours.fullest == serves.fullest == 5
    assert ours.refused_part == pytest.approx(refused_part(20, 18.0), abs=0.02)
    assert ours.refused_beside_a_place < 0.01 * ours.came  # whose place had just become free
    assert serves.refused_part > ours.refused_part + 0.01
    assert serves.refused_beside_a_place > 0.05 * serves.came


@pytest.mark.slow
def test_engines_that_are_in_time_refuse_nobody_whom_places_would_have_let_in() -> None:
    with_engines = play((FIVE_PLACES,) * 4, 18.0, 1_000.0)
    without = play((FIVE_PLACES,) * 4, 18.0, 1_000.0, engine=False)
    assert with_engines.came == without.came
    assert with_engines.refused_part == pytest.approx(without.refused_part, abs=0.03)
    assert with_engines.refused_beside_a_place == 0


@pytest.mark.parametrize("more", [{}, {"kill_every_seconds": 40.0}, {"update": True}])
@pytest.mark.parametrize("by_free_places", [True, False])
def test_no_session_is_lost_and_every_word_is_seen(more: dict[str, object], by_free_places: bool) -> None:
    outcome = play((FIVE_PLACES,) * 3, 7.0, 600.0, by_free_places=by_free_places, **more)
    assert outcome.lost == 0
    assert outcome.seen.missing == 0
    assert outcome.begun > outcome.inside > 0
    if more:
        assert outcome.cut + outcome.handed_over > 3
        assert outcome.seen.silences
    if "update" in more:
        assert outcome.updated_at is not None
        assert max(outcome.seen.silences) < 5.0  # nobody waits for a lease to run out


def test_a_killed_replica_is_missed_for_as_long_as_its_lease_and_the_words_of_that_time_are_late() -> None:
    outcome = play((FIVE_PLACES,) * 2, 4.0, 300.0, kill_every_seconds=100.0)
    quiet = play((FIVE_PLACES,) * 2, 4.0, 300.0)
    assert min(outcome.seen.silences) >= 10.5
    assert max(outcome.seen.delays) > 10.0 > max(quiet.seen.delays)


@pytest.mark.parametrize(("routing", "refused"), [(ByFreePlaces(), 0), (TwoByChance(Random(1)), 3)])
def test_of_a_small_full_replica_beside_an_empty_one_only_serves_router_knows_nothing(
    routing: Routing, refused: int
) -> None:
    replicas = [Replica("small", ONE_PLACE, Settings()), Replica("large", FIVE_PLACES, Settings())]
    for replica in replicas:
        replica.say()
    turned_away = 0
    for number in range(6):  # all at once: nobody is asked again in between
        speaker = Speaker(str(number), 0.0, 600, Seen())
        try:
            routing.choose(replicas, speaker.name, 0.0).admit(speaker)
        except ServerFull:
            turned_away += 1
            routing.over(speaker.name)
    assert turned_away == refused


def test_people_speak_for_as_long_as_is_said_and_who_is_met_speaks_for_longer() -> None:
    random, seen = Random(1), Seen()
    come = [arriving("", 0.0, random, seen) for _ in range(20_000)]
    seconds = np.array([one.pieces * speakers.PIECE_SECONDS for one in come])
    assert np.median(seconds) == pytest.approx(speakers.MEDIAN_SECONDS, rel=0.03)
    assert seconds.mean() == pytest.approx(speakers.MEAN_SECONDS, rel=0.03)
    inside = [met("", 0.0, random, seen) for _ in range(20_000)]
    assert np.mean([one.ends for one in inside]) == pytest.approx((seconds**2).mean() / seconds.mean() / 2, rel=0.1)
    assert all(one.begins <= 0.0 < one.ends + speakers.PIECE_SECONDS for one in inside)
    assert {one.heard_pieces - one.spoken_pieces(0.0) for one in inside} == {0}


def test_erlangs_formula() -> None:
    assert refused_part(1, 1.0) == 0.5
    assert refused_part(10, 5.0) == pytest.approx(0.018385, abs=1e-6)  # as tables have it
    assert refused_part(107, most_offered(107, 0.01)) == pytest.approx(0.01, abs=1e-5)


def test_streams_without_sound_get_the_delays_that_the_engines_own_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speakers, "HEARD_SECONDS", 0.5)  # as the scripted decoder, which hears a word each half second
    monkeypatch.setattr(speakers, "WORD_SECONDS", 0.5)
    costs = Costs(((1, 0.05), (16, 0.5)), 0.6)
    stage, seen = Stage(costs), Seen(since=10.0)
    replica = Replica("one", costs, Settings())
    for number in range(16):
        begins = 0.17 * number
        stage.play(begins)
        stage.speaker(seconds=90.0)
        replica.play(begins)
        replica.take(Speaker(str(number), begins, 900, seen))
    stage.play(130.0)
    replica.play(130.0)
    delays = np.array([delay for speaker in stage.speakers for delay in speaker.delays(10.0)])
    assert len(seen.delays) == pytest.approx(len(delays), rel=0.02)
    for part in (50, 90):
        assert np.percentile(seen.delays, part) == pytest.approx(np.percentile(delays, part), abs=0.2)
    assert len(seen.final_waits) == sum(speaker.final_at is not None for speaker in stage.speakers) == 16


def test_live_text_is_as_late_as_it_was_measured_to_be() -> None:
    device = cluster.read_device(cluster.MEASURED)
    assert device.costs.capacity() == 107
    for sessions, measured in device.crowds[:3]:
        assert cluster.simulated_crowd(device.costs, sessions) == pytest.approx(measured, abs=0.1)


def test_the_program_prints_its_tables_and_draws_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LEAST_SECONDS", 20.0)
    monkeypatch.setattr(cluster, "GPU_SECONDS", 20.0)
    monkeypatch.setattr(cluster, "LEAST_FAULT_SECONDS", 40.0)
    monkeypatch.setattr(cluster, "COUNTED_SECONDS", 400.0)
    monkeypatch.setattr(cluster, "UPDATES", 2)
    measured = {
        "machine": {"device": "cuda:0", "card": "a small one"},
        "sessions": {
            "costs": {"steps": FIVE_PLACES.steps, "window_seconds": FIVE_PLACES.final_window_cost_seconds},
            "base": [{"sessions": 2, "stable_p90": 1.2}],
        },
    }
    (tmp_path / "costs.json").write_text(json.dumps({"stages": measured}))
    cluster.main(["--gpus", "1,2", "--costs", str(tmp_path / "costs.json"), "--output", str(tmp_path)])
    crowd, plain, mixed, faults = tables_in(capsys.readouterr().out)
    assert [row[:2] for row in crowd.rows] == [("2", "1.20")]
    assert [row[:3] for row in plain.rows] == [
        (str(gpus), router, str(5 * gpus)) for gpus in (1, 2) for router in ("openmic's", "Serve's")
    ]
    assert [row[2] for row in mixed.rows] == ["7", "7"]  # one of five places, and one that is half as quick
    assert {row[4] for row in faults.rows} == {"0"}  # lost
    assert (tmp_path / "cluster.png").stat().st_size > 10_000


def test_the_soak_counts_what_was_lost_and_what_was_told_twice() -> None:
    said = "the quick brown fox jumps over the lazy dog and runs away from the barking hounds"
    assert cluster_soak.lost_and_repeated(said, said) == (0, 0)
    assert cluster_soak.lost_and_repeated(said, said.replace("fox", "box")) == (0, 0)  # misheard
    assert cluster_soak.lost_and_repeated(said, said.replace("jumps over the lazy ", "")) == (4, 0)
    assert cluster_soak.lost_and_repeated(said, said.replace("dog", "dog jumps over the lazy dog")) == (0, 5)


def test_the_soak_is_content_where_everybody_got_everything_once() -> None:
    undisturbed = Spoken([1, 2, 3], "said", "Said.")
    cut = Spoken([1, 2, 3, 4], "said", "Said.", cuts=[(70.0, 1.5), (130.0, 2.5)])
    refused = Spoken(refused="server_full")
    reading = Reading("", np.zeros(1, np.float32), "said", ())
    run = Soak(undisturbed, [Spoken([1, 2, 3], "said", "Said."), cut, refused])
    assert cluster_soak.nothing_lost(run)
    calm, killed = cluster_soak.rows_of(run, reading)
    assert calm[1:] == ["2", "0", "0", "0", "0", "0", "0", "-"]
    assert killed[1:] == ["1", "2", "0", "0", "0", "0", "0", "2.0 / 2.5"]
    for wrong in (
        Spoken([1, 2, 2, 3], "said", "Said.", cuts=[(1.0, 1.0)]),
        Spoken([1, 2], "said", "Said", cuts=[(1.0, 1.0)]),
        Spoken([1], "", "", cuts=[(1.0, 1.0)], failed="session_lost"),
    ):
        assert not cluster_soak.nothing_lost(Soak(undisturbed, [wrong]))
        assert [*cluster_soak.rows_of(Soak(undisturbed, [wrong]), reading)][1][3:6].count("1") == 1


def test_the_soaks_memory_is_told_by_quarters_of_its_time() -> None:
    samples = [(1_000_000 * (1 + place // 4), 0, 0, 0, 0) for place in range(16)]
    assert cluster_soak.memory_rows(samples)[0] == ["replicas", "1", "2", "3", "4"]
    assert cluster_soak.growth(samples) == pytest.approx(1 / 3)


def test_the_processes_of_the_soak_are_told_apart_by_what_ray_calls_them() -> None:
    names = ["ray::ServeReplica:openmic:openmic", "ray::ProxyActor", "ray::ServeController.listen", "raylet"]
    assert [cluster_soak._group(0, name) for name in names] == [*GROUPS[:4]]
