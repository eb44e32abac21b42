"""Several server processes on one folder: a session goes on in another where its client comes back.

Real processes, which are killed, stood still, and asked for what they hold. The words are the scripted engine's: they
depend on nothing but the samples, so that all must be as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from openmic.sessions.archive import Archive
from openmic.sessions.storage.names import journal_path
from openmic.sessions.storage.record_file import Kind, Scan
from openmic.sessions.storage.replay import read_replay_at
from tests.support.killed_server import KilledServer
from tests.support.speaker import Closed, Speaker
from tests.support.waiting import wait_until

SECOND = 32_000  # bytes
LEASE_SECONDS = 1.0
OTHER_CLOCK = """import runpy, sys, time
real_time = time.time
time.time = lambda: real_time() + {offset}
sys.argv = ["scripted_engine", *sys.argv[1:]]
runpy.run_module("tests.support.scripted_engine", run_name="__main__")"""

pytestmark = [pytest.mark.slow, pytest.mark.faults]

Fleet = Callable[..., list[KilledServer]]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Starts servers on one folder."""
    servers: list[KilledServer] = []

    def start(
        count: int, *more: str, lease_seconds: float = LEASE_SECONDS, clocks: tuple[float, ...] = ()
    ) -> list[KilledServer]:
        environment = {"OPENMIC_LEASE_SECONDS": str(lease_seconds)}
        for number in range(count):
            command: tuple[str, ...] = ()
            if clocks:
                program = OTHER_CLOCK.replace("{offset}", str(clocks[number]))
                command = ("-c", program, "--port", "{port}", "--token", "a-token-for-tests", "--folder", "{folder}")
            server = KilledServer(tmp_path, command, environment=environment)
            servers.append(server)
            server.start(*more)
        return servers[-count:]

    yield start
    for server in servers:
        server.kill()


def tone(seconds: float) -> bytes:
    noise = np.random.default_rng(7).normal(0, 300, round(16_000 * seconds))
    return (np.cumsum(noise) % 20_000 - 10_000).astype("<i2").tobytes()


NUMBERS = " one two three four five six seven eight nine one-zero one-one one-two one-three one-four one-five one-six"


def is_over(folder: Path) -> bool:
    return read_replay_at(journal_path(folder)).is_over


def as_if_nothing_had_happened(speaker: Speaker, folder: Path) -> None:
    """All words once, one final, every byte, whoever worked on it."""
    seconds = len(speaker.data) // SECOND
    assert speaker.words.split() == NUMBERS.split()[:seconds]
    assert speaker.final["text"] == f" heard {seconds:.1f} seconds"
    assert speaker.final["live_text"] == speaker.words.strip()
    wait_until(partial(is_over, folder / speaker.session_id))
    (entry,) = [one for one in Archive(folder, LEASE_SECONDS).entries() if one.id == speaker.session_id]
    with entry.sound() as recording:
        assert recording.read_pcm(0, len(recording)) == speaker.data
    with journal_path(entry.folder).open("rb") as file:
        kinds = [record.kind for record in Scan(file.fileno())]
    assert (kinds.count(Kind.FINALISED), kinds.count(Kind.ENDED)) == (1, 1)


def test_a_client_that_comes_back_elsewhere_is_handed_over(fleet: Fleet, tmp_path: Path) -> None:
    servers, speaker = fleet(3), Speaker(tone(12))
    dice, waits = random.Random(3), list[float]()
    speaker.begin_or_resume(servers[0])
    for second in range(1, 12):
        speaker.send_to(second * SECOND + dice.randrange(0, SECOND, 2))  # some of it is on its way
        if dice.random() < 0.5:
            speaker.hang_up()
        waits.append(speaker.insist(servers[second % 3]))
        speaker.speak_to(max(second * SECOND, speaker.acknowledged))
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")
    print(f"hand-over: median {statistics.median(waits):.2f} s, max {max(waits):.2f} s")


def test_whoever_was_attached_elsewhere_is_told_that_the_session_was_resumed(fleet: Fleet) -> None:
    first, second = fleet(2)
    speaker = Speaker(tone(2))
    speaker.begin_or_resume(first)
    speaker.speak_to(SECOND)
    before = speaker.socket
    speaker.insist(second)
    speaker.socket, here = before, speaker.socket
    assert speaker.hear_until("error")["code"] == "replaced"
    assert speaker.hear_out() == 4404
    speaker.socket = here
    speaker.speak_to(2 * SECOND)


def test_killed_in_turns_while_somebody_speaks(fleet: Fleet, tmp_path: Path) -> None:
    servers, speaker = fleet(2), Speaker(tone(12))
    dice, waits, holder = random.Random(4), list[float](), 0
    speaker.begin_or_resume(servers[0])
    for second in range(1, 11):
        speaker.send_to(second * SECOND + dice.randrange(0, SECOND, 2))
        time.sleep(dice.random() * 0.1)
        servers[holder].kill()
        speaker.hear_out()
        waits.append(speaker.insist(servers[1 - holder]))
        servers[holder].start()
        holder = 1 - holder
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")
    print(f"after a kill: median {statistics.median(waits):.2f} s, max {max(waits):.2f} s")


def test_one_that_stood_still_for_longer_than_its_lease_writes_and_tells_nothing(fleet: Fleet, tmp_path: Path) -> None:
    servers, speaker = fleet(2), Speaker(tone(12))
    holder = 0
    speaker.begin_or_resume(servers[0])
    for second in (2, 5, 8):
        stopped, speaking = servers[holder], servers[1 - holder]
        speaker.speak_to(second * SECOND)
        stopped.pause()
        speaker.send_to((second + 1) * SECOND)  # into a socket that nobody reads
        left = speaker.socket
        waited = speaker.insist(speaking)
        assert waited >= LEASE_SECONDS / 2
        speaker.speak_to((second + 1) * SECOND)
        stopped.go_on()
        acknowledged, speaker.socket, here = speaker.acknowledged, left, speaker.socket
        assert speaker.hear_out() in (1012, 4404)  # it has moved, or was resumed elsewhere; without a word of an error
        assert speaker.acknowledged == acknowledged
        speaker.socket, holder = here, 1 - holder
        speaker.speak_to((second + 2) * SECOND)
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")


def test_one_that_stood_still_and_was_not_missed_goes_on(fleet: Fleet, tmp_path: Path) -> None:
    (server,) = fleet(1)
    speaker = Speaker(tone(4))
    speaker.begin_or_resume(server)
    speaker.speak_to(SECOND)
    for _ in range(2):
        server.pause()
        time.sleep(1.5 * LEASE_SECONDS)
        server.go_on()
        speaker.speak_to(speaker.acknowledged + SECOND)
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")


def test_one_that_lets_go_late_is_waited_for(fleet: Fleet, tmp_path: Path) -> None:
    first, second = fleet(2, lease_seconds=20.0)
    speaker = Speaker(tone(3))
    speaker.begin_or_resume(first)
    speaker.speak_to(SECOND)
    first.pause()
    threading.Timer(2.0, first.go_on).start()
    assert 1.5 < speaker.insist(second) < 15.0
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")


def test_what_a_dead_one_left_is_finished_by_exactly_one(fleet: Fleet, tmp_path: Path) -> None:
    servers = fleet(3)
    speakers = [Speaker(tone(3)) for _ in range(4)]
    for speaker in speakers:
        speaker.begin_or_resume(servers[0])
        speaker.speak_to(len(speaker.data))
        speaker.stop()  # perhaps heard, perhaps not
    servers[0].kill()
    for number, speaker in enumerate(speakers):
        speaker.hear_out()
        if len(speaker.counted) < 5:
            speaker.insist(servers[1 + number % 2])
            if not any(one["type"] == "final" for one in speaker.counted.values()):
                speaker.stop()
            speaker.hear_out()
        as_if_nothing_had_happened(speaker, tmp_path / "recordings")


def test_clients_that_stay_away_have_their_finals_made_by_one_of_the_others(fleet: Fleet, tmp_path: Path) -> None:
    holder, *others = [*fleet(1, "--hold-finals"), *fleet(2)]
    folder = tmp_path / "recordings"
    speakers = [Speaker(tone(2)) for _ in range(3)]
    for speaker in speakers:
        speaker.begin_or_resume(holder)
        speaker.speak_to(len(speaker.data))
        speaker.stop()
    wait_until(
        lambda: all(read_replay_at(journal_path(folder / one.session_id)).stopped is not None for one in speakers)
    )
    holder.kill()
    for speaker in speakers:
        path = folder / speaker.session_id
        wait_until(partial(is_over, path))
        replay = read_replay_at(journal_path(path))
        assert [type(event).__name__ for event in replay.counted] == ["Committed", "Committed", "Finalised"]
        speaker.insist(others[0])
        assert speaker.hear_out() == 1000
        as_if_nothing_had_happened(speaker, folder)


@pytest.mark.parametrize("clocks", [(0.0, 86_400.0), (0.0, -86_400.0)])
def test_clocks_that_are_a_day_apart_change_nothing(fleet: Fleet, tmp_path: Path, clocks: tuple[float, float]) -> None:
    servers, speaker = fleet(2, clocks=clocks), Speaker(tone(6))
    speaker.begin_or_resume(servers[0])
    for second in range(1, 5):
        speaker.speak_to(second * SECOND)
        if second == 3:
            servers[0].kill()
            speaker.hear_out()
        speaker.insist(servers[0 if second == 2 else 1])
    speaker.speak_to(len(speaker.data))
    speaker.stop()
    assert speaker.hear_out() == 1000
    as_if_nothing_had_happened(speaker, tmp_path / "recordings")
    servers[0].start()  # whose clock is a day off, and which deletes nothing for it
    time.sleep(1.0)
    speaker.insist(servers[0])
    assert speaker.acknowledged == len(speaker.data)


def test_two_that_want_it_at_once_get_it_one_after_the_other(fleet: Fleet, tmp_path: Path) -> None:
    servers, speaker = fleet(3), Speaker(tone(4))
    speaker.begin_or_resume(servers[0])
    speaker.speak_to(2 * SECOND)
    servers[0].kill()
    speaker.hear_out()
    twins = [Speaker(speaker.data) for _ in range(2)]
    for twin in twins:
        twin.session_id, twin._token, twin.acknowledged = speaker.session_id, speaker._token, speaker.acknowledged
        twin.counted = dict(speaker.counted)
    codes: dict[Speaker, int | None] = {}

    def want(twin: Speaker, server: KilledServer) -> None:
        twin.insist(server)
        with contextlib.suppress(Closed):  # while it spoke; what it was told before is still to be read
            twin.speak_to(len(twin.data))
            twin.stop()
        codes[twin] = twin.hear_out()

    threads = [threading.Thread(target=want, args=pair) for pair in zip(twins, servers[1:], strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes.values()) <= {1000, 4404}  # done, or told that the session was resumed elsewhere
    done = [twin for twin in twins if codes[twin] == 1000]
    assert done
    for twin in done:
        as_if_nothing_had_happened(twin, tmp_path / "recordings")
