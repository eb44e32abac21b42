"""The microphone in a real kernel, without a browser: comm messages as a front end sends them, and the result."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from openmic.client.sample import recorder_slices, sample_path
from tests.support.kernel import Cell, Kernel, running_kernel

ROOT = Path(__file__).resolve().parents[3]
SERVICE = """
import sys, threading, time
from pathlib import Path
sys.path[:0] = [{root!r}, {root!r} + "/tests"]  # some environments hold another package named tests
from openmic.notebook.microphone.display import comm_html
from openmic.notebook.microphone.microphone import Microphone, Place
from support.scripted_engine import scripted_server
stack = scripted_server(Path({folder!r}), idle_seconds={idle_seconds})
server = stack.__enter__()
place = Place(server.url, server.token, lambda: "the link", server.sessions.wait_for, {idle_seconds})
voice = Microphone(place)
threads = set()
def answer(post, buffers=()):
    threads.add(threading.current_thread() is threading.main_thread())
    return voice.answer(post, buffers)
print(comm_html(answer).split('"openmic.microphone.')[1].split('"')[0])
"""
RESULT = "print(voice.result.text, '|', voice.result.live_text)"


class Page:
    """What the card's JavaScript does, without its waits: posts, and the answers that name them as their parent."""

    def __init__(self, kernel: Kernel, comm_id: str, page: str = "page1", subshell: str = "") -> None:
        self.kernel = kernel
        self._comm_id = comm_id
        self._page = page
        self._subshell = subshell
        self._n = 0
        self.posts: dict[str, float] = {}  # when each was sent, by the message's id

    def send(self, kind: str, buffers: list[bytes] | None = None, **fields: Any) -> str:
        data = {"kind": kind, "page": self._page, **fields}
        content = {"comm_id": self._comm_id, "data": data}
        ident = self.kernel.send_comm("comm_msg", content, buffers or [], self._subshell)
        self.posts[ident] = time.monotonic()
        return ident

    def post(self, *frames: str | bytes, socket: int = 1, n: int | None = None) -> str:
        self._n = n or self._n + 1
        buffers = [frame for frame in frames if isinstance(frame, bytes)]
        said = [frame if isinstance(frame, str) else {"buffer": buffers.index(frame)} for frame in frames]
        return self.send("post", buffers, socket=socket, n=self._n, frames=said)

    def answer(self, ident: str, patience_seconds: float = 120.0) -> dict[str, Any]:
        """The answer to a message."""
        deadline = time.monotonic() + patience_seconds
        while not (found := [one for _, one in self.kernel.comm_messages if parent(one) == ident]):
            assert time.monotonic() < deadline, "no answer"
            self.kernel.read(0.02)
        return dict(found[0]["content"]["data"])

    def delay(self, ident: str) -> float:
        self.answer(ident)
        return next(at for at, one in self.kernel.comm_messages if parent(one) == ident) - self.posts[ident]

    def messages(self) -> list[dict[str, Any]]:
        """All that the service said so far, in the order of the answers; each frame once."""
        answers = [one["content"]["data"] for _, one in self.kernel.comm_messages]
        frames: list[str] = []
        for one in answers:
            if one["kind"] == "post" and one["page"] == self._page:
                assert one["first"] == len(frames)
                frames += one["frames"]
        return [json.loads(frame) for frame in frames]

    def poll_for(self, kind: str) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while not (found := [one for one in self.messages() if one["type"] == kind]):
            assert time.monotonic() < deadline, self.messages()
            self.answer(self.post())
            self.kernel.read(0.05)
        return found[0]


def parent(message: dict[str, Any]) -> str:
    return str(message["parent_header"].get("msg_id"))


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields})


@pytest.fixture(scope="module")
def slices() -> list[bytes]:
    """The sample as the page's MediaRecorder gives it, a slice a quarter second."""

    async def recorded() -> list[bytes]:
        return [one async for one in recorder_slices(sample_path(), realtime=False)]

    return asyncio.run(recorded())


def started(kernel: Kernel, folder: Path, idle_seconds: float = 60.0) -> Page:
    cell = kernel.run(SERVICE.format(root=str(ROOT), folder=str(folder / "service"), idle_seconds=idle_seconds))
    assert cell.status == "ok", cell.text
    target = f"openmic.microphone.{cell.text.split()[-1]}"
    kernel.send_comm("comm_open", {"comm_id": "c1", "target_name": target, "data": {}})
    return Page(kernel, "c1")


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with running_kernel(tmp_path) as kernel:
        yield kernel


def speak(page: Page, slices: list[bytes]) -> list[str]:
    """Post a whole recording, a slice at a time; waits for no answer."""
    posts = [page.post(frame("start", words=True))]
    posts += [page.post(one) for one in slices]
    return [*posts, page.post(frame("stop"))]


@pytest.mark.slow
def test_a_recording_goes_through_and_its_text_is_the_result(
    kernel: Kernel, tmp_path: Path, slices: list[bytes]
) -> None:
    page = started(kernel, tmp_path)
    assert "Speak" in kernel.run("voice.result").text
    hello = page.answer(page.send("hello", [b"\1\2\3\4"]))
    assert (hello["probe"], hello["link"]) == (4, "the link")
    assert hello["port"] > 0
    posts = speak(page, slices)
    page.poll_for("done")
    messages = page.messages()
    assert max(one["received_bytes"] for one in messages if one["type"] == "ack") == sum(map(len, slices))
    final = next(one for one in messages if one["type"] == "final")
    assert kernel.run(RESULT).text == f"{final['text']} | {final['live_text']}\n"
    said = [one for _, one in kernel.comm_messages]
    assert {parent(one) for one in said} == {*page.posts}  # each is an answer, none is pushed
    assert [page.answer(ident)["n"] for ident in posts] == list(range(1, len(posts) + 1))
    assert kernel.run("print(threads)").text == "{True}\n"


@pytest.mark.slow
def test_a_busy_kernel_loses_nothing_and_keeps_the_session(kernel: Kernel, tmp_path: Path, slices: list[bytes]) -> None:
    page = started(kernel, tmp_path, idle_seconds=3.0)
    page.answer(page.post(frame("start", words=True)))
    page.poll_for("ready")
    busy = kernel.send("time.sleep(8)")
    for one in slices:
        page.post(one)
    kernel.wait([busy])
    page.post(frame("stop"))
    page.poll_for("done")
    messages = page.messages()
    assert [one for one in messages if one["type"] in ("error", "warning")] == []
    undisturbed = Page(kernel, "c1", "page2")
    speak(undisturbed, slices)
    undisturbed.poll_for("done")
    finals = [one for page in (page, undisturbed) for one in page.messages() if one["type"] == "final"]
    assert finals[0]["text"] == finals[1]["text"] != ""
    assert kernel.run(RESULT).text.startswith(finals[1]["text"])


@pytest.mark.slow
def test_a_cell_that_stays_answers_at_once(kernel: Kernel, tmp_path: Path, slices: list[bytes]) -> None:
    page = started(kernel, tmp_path)
    stays = kernel.send("from openmic.notebook.serving import stay\nprint(await stay(lambda: True))")
    after = kernel.send("print('after')")
    kernel.read(0.5)
    delays = [page.delay(page.post(frame("start", words=True)))]
    delays += [page.delay(page.post(one)) for one in slices[:20]]
    assert (stays.status, after.seen) == ("", [])
    assert median(delays) < 1.0  # a turn of the cell; without, the answers come after it
    kernel.interrupt()
    kernel.wait([stays, after])
    assert (stays.text, after.text) == ("interrupted\n", "after\n")


@pytest.mark.slow
def test_a_subshell_answers_while_a_cell_runs(kernel: Kernel, tmp_path: Path, slices: list[bytes]) -> None:
    started(kernel, tmp_path)
    beside = Page(kernel, "c1", "page2", subshell=kernel.subshell())
    # ipykernel 7.4 sends a comm's messages where its last answer came from: the card's hello, before a cell runs.
    beside.answer(beside.send("hello"))
    busy = kernel.send("time.sleep(600)")
    kernel.read(0.5)
    posts = speak(beside, slices[:20])
    for one in posts:
        beside.answer(one)
    beside.poll_for("done")
    assert busy.status == ""
    kernel.interrupt()
    kernel.wait([busy])
    assert kernel.run("print(threads)").text == "{False}\n"
    assert "one" in kernel.run(RESULT).text


@pytest.mark.slow
def test_a_page_that_is_gone_and_posts_that_are_lost(kernel: Kernel, tmp_path: Path, slices: list[bytes]) -> None:
    page = started(kernel, tmp_path)
    page.post(frame("start"), *slices[:20])
    page.poll_for("ready")
    ready = next(one for one in page.messages() if one["type"] == "ready")
    assert page.answer(page.post(n=50))["closed"] == [1006, ""]  # those between were lost
    again = Page(kernel, "c1", "page1")
    resume = {"session_id": ready["session_id"], "resume_token": ready["resume_token"], "after_seq": 0}
    answer = again.answer(again.post(frame("resume", **resume), socket=2))
    assert answer["closed"] is None
    assert "still on" in kernel.run("voice.result").text
    again.send("leave")
    text: Cell = kernel.run(RESULT)
    assert "four five" in text.text, text.text
    assert kernel.run("voice.close(); voice.close()").status == "ok"
