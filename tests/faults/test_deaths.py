"""Faults on real server processes: ``kill -9`` and a full disk. Nothing acknowledged is lost, nothing told twice.

The table in docs/reliability.md says how often each was tried; these are the commands that it names.
"""

from __future__ import annotations

import asyncio
import random
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmic.client import connect, stream_file
from openmic.client.stream import Stream
from openmic.errors import OpenmicError
from openmic.sessions.archive import Archive, StoredSession
from openmic.sessions.storage.names import JOURNAL
from openmic.sessions.storage.record_file import Kind, Scan
from openmic.speech.types import FinalWindow
from tests.support.client_audio import PCM
from tests.support.killed_server import TOKEN, KilledServer

PIECE = 3200  # bytes: 0.1 s
UNMEASURED = """import sys
import openmic.speech.load as load
from openmic.cli.main import main
load.measure = lambda *_, **__: load.Costs(((1, 0.1),), 1.0)
main(["serve", "--model", "tiny.en", "--tunnel", "none", "--port", sys.argv[1]])"""
"""The real server, which does not work out at each start how many this machine can serve: that takes a minute."""
PATIENCE_SECONDS = 240.0
Message = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KilledServer]:
    server = KilledServer(tmp_path)
    yield server
    server.kill()


def tone(seconds: float) -> bytes:
    noise = np.random.default_rng(5).normal(0, 300, round(16_000 * seconds))
    return (np.cumsum(noise) % 20_000 - 10_000).astype("<i2").tobytes()


def sound_of(entry: StoredSession) -> bytes:
    with entry.sound() as recording:
        return recording.read_pcm(0, len(recording))


def journalled(folder: Path) -> bytes:
    """The client's bytes in a journal, read by nothing but the format's reader."""
    with (folder / JOURNAL).open("rb") as file:
        return b"".join(one.payload for one in Scan(file.fileno()) if one.kind == Kind.AUDIO)


async def listen(stream: Stream, messages: list[Message]) -> None:
    async for message in stream:
        messages.append(message)


async def said(messages: list[Message], kind: str, count: int) -> None:
    """Wait until so many messages of a kind have come."""
    await until(lambda: sum(message["type"] == kind for message in messages) >= count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 (it is in another process)
            await asyncio.sleep(0.002)


def told_once(messages: list[Message]) -> str:
    """The committed text, with nothing missing and nothing twice."""
    counted = [message for message in messages if message["type"] in ("commit", "final", "done")]
    assert [message["seq"] for message in counted] == list(range(1, len(counted) + 1))
    assert [message["type"] for message in counted[-2:]] == ["final", "done"]
    commits = "".join(message["text"] for message in messages if message["type"] == "commit")
    assert counted[-2]["live_text"] == commits.strip()
    return commits


def test_killed_ten_times_while_somebody_speaks(server: KilledServer) -> None:
    dice, data, messages = random.Random(1), tone(11), list[Message]()

    async def run() -> None:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS, **PCM) as stream:  # type: ignore[arg-type]
            listener = asyncio.create_task(listen(stream, messages))
            starts = range(0, len(data), PIECE)
            deaths = set(dice.sample(starts, 10))
            for start in starts:
                await stream.send(data[start : start + PIECE])
                if start in deaths:
                    await asyncio.sleep(dice.random() * 0.1)
                    received = stream.confirmed_bytes
                    await asyncio.to_thread(server.kill)
                    kept = journalled(server.recordings / stream.session_id)
                    assert len(kept) >= received
                    assert kept == data[: len(kept)]
                    await asyncio.to_thread(server.start)
            await stream.stop()
            await listener

    server.start()
    asyncio.run(run())
    assert server.starts == 11
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "one-zero", "one-one"]
    assert told_once(messages).split() == words
    assert messages[-2]["text"] == " heard 11.0 seconds"
    (entry,) = Archive(server.recordings).entries()
    assert (entry.standing, sound_of(entry)) == ("ended", data)


def test_killed_at_each_commit(server: KilledServer) -> None:
    data, messages = tone(5), list[Message]()

    async def run() -> None:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS, **PCM) as stream:  # type: ignore[arg-type]
            listener = asyncio.create_task(listen(stream, messages))
            for second in range(5):
                await stream.send(data[second * 32_000 : (second + 1) * 32_000])
                await said(messages, "commit", second + 1)
                server.kill()
                await asyncio.to_thread(server.start)
            await stream.stop()
            await listener

    server.start()
    asyncio.run(run())
    assert server.starts == 6
    assert told_once(messages).split() == ["one", "two", "three", "four", "five"]
    assert sound_of(Archive(server.recordings).entries()[0]) == data


def test_killed_during_the_final_and_again(server: KilledServer) -> None:
    data, messages = tone(2.5), list[Message]()

    async def run() -> None:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS, **PCM) as stream:  # type: ignore[arg-type]
            listener = asyncio.create_task(listen(stream, messages))
            await stream.send(data)
            await stream.stop()
            await said(messages, "commit", 3)
            for more in (("--hold-finals",), ()):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start, *more)
                await asyncio.sleep(0.5)
            await listener

    server.start("--hold-finals")
    asyncio.run(run())
    assert told_once(messages).split() == ["one", "two", "three"]
    assert messages[-1]["reason"] == "stopped"
    assert sound_of(Archive(server.recordings).entries()[0]) == data


def test_a_full_disk_is_told_and_what_was_acknowledged_is_kept(tmp_path: Path) -> None:
    server = KilledServer(tmp_path, largest_file=60_000)
    data, messages = tone(11), list[Message]()

    async def run() -> int:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS, **PCM) as stream:  # type: ignore[arg-type]
            listener = asyncio.create_task(listen(stream, messages))
            with pytest.raises(OpenmicError, match="disk"):  # noqa: PT012 (whichever of them is told first)
                for start in range(0, len(data), PIECE):
                    await stream.send(data[start : start + PIECE])
                    await asyncio.sleep(0.005)
                await listener
            listener.cancel()
            return stream.confirmed_bytes

    try:
        server.start()
        confirmed = asyncio.run(run())
        final = next(message for message in messages if message["type"] == "final")
        (entry,) = Archive(server.recordings).entries()
        kept = sound_of(entry)
        assert len(data) > len(kept) >= confirmed > 30_000
        assert kept == data[: len(kept)]
        assert final["duration"] == pytest.approx(len(kept) / 32_000, abs=0.001)
        server.kill()
        server.largest_file = None
        server.start()  # with room again, it is there to be heard, and says why it is short
        found = Archive(server.recordings).entries()[0]
        assert found.standing == "failed"
        assert sound_of(found) == kept
    finally:
        server.kill()


@pytest.mark.weights
def test_words_of_the_real_model_survive_three_deaths(tmp_path: Path, sample_audio: Path) -> None:
    """Killed while it hears, right after a promise, and while it writes the final; the same final as without."""
    server = KilledServer(tmp_path, ("-c", UNMEASURED, "{port}"))
    source, messages = sample_audio / "quickstart.wav", list[Message]()
    data = source.read_bytes()

    async def run() -> None:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS) as stream:
            stream._waits["reconnect_seconds"] = PATIENCE_SECONDS  # a busy machine takes a while to load the weights
            listener = asyncio.create_task(listen(stream, messages))
            third = len(data) // 3
            await stream.send(data[:third])
            await said(messages, "live", 1)
            await restart()
            await stream.send(data[third : 2 * third])
            await said(messages, "commit", 1)
            await restart()
            await stream.send(data[2 * third :])
            await stream.stop()
            await until(lambda: Archive(server.recordings).entries()[0].readable().stopped is not None)
            await restart()
            await listener

    async def restart() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    try:
        server.start()
        asyncio.run(run())
        commits = told_once(messages)
        undisturbed = stream_file(server.link, source, token=TOKEN, realtime=False)
    finally:
        server.kill()
    final = next(message for message in messages if message["type"] == "final")
    assert final["text"] == undisturbed.text
    spoken = (sample_audio / "quickstart.txt").read_text(encoding="utf-8")
    assert letters(final["text"]) == letters(undisturbed.text)
    assert abs(len(letters(commits).split()) - len(letters(spoken).split())) <= 3


def letters(text: str) -> str:
    return " ".join("".join(char for char in word if char.isalnum()) for word in text.lower().split())


@pytest.mark.weights
def test_a_final_of_many_windows_is_taken_up_where_it_was(tmp_path: Path, sample_audio: Path) -> None:
    """Killed twice in the middle of it: no window is decoded twice, and the text is that of an undisturbed pass."""
    server = KilledServer(tmp_path, ("-c", UNMEASURED, "{port}"))
    source, messages = tmp_path / "long.wav", list[Message]()
    with wave.open(str(sample_audio / "interview.wav")) as once, wave.open(str(source), "wb") as twice:
        twice.setparams(once.getparams())
        twice.writeframes(once.readframes(once.getnframes()) * 2)
    told: list[list[FinalWindow]] = [[]]

    def walked() -> list[FinalWindow]:
        return Archive(server.recordings).entries()[0].readable().walked

    async def run() -> None:
        async with connect(server.link, TOKEN, reconnect_seconds=PATIENCE_SECONDS) as stream:
            stream._waits["reconnect_seconds"] = PATIENCE_SECONDS
            listener = asyncio.create_task(listen(stream, messages))
            await stream.send(source.read_bytes())
            await stream.stop()
            for _ in range(2):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(await asyncio.to_thread(walked)) <= len(told[-1]):  # noqa: ASYNC110 (another process)
                        await asyncio.sleep(0.3)
                await asyncio.to_thread(server.kill)
                told.append(walked())
                await asyncio.to_thread(server.start)
            await listener

    try:
        server.start()
        asyncio.run(run())
        told_once(messages)
        undisturbed = stream_file(server.link, source, token=TOKEN, realtime=False)
    finally:
        server.kill()
    final = next(message for message in messages if message["type"] == "final")
    assert final["text"] == undisturbed.text
    assert [one["tokens"] for one in final["segments"]] == [one["tokens"] for one in undisturbed.segments]
    _, first, second = told
    assert 0 < len(first) < len(second)
    assert second[: len(first)] == first
    assert [one.seek for one in second] == sorted({one.seek for one in second})
    segments = [segment for one in second for segment in one.segments]
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert [list(segment.tokens) for segment in segments] == [one["tokens"] for one in final["segments"]][
        : len(segments)
    ]
