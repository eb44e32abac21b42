"""A cell that stays, in a real kernel: comm messages are answered, other cells wait, an interrupt ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel import Kernel, running_kernel

ROOT = Path(__file__).resolve().parents[2]
TARGET = """
import sys
sys.path.insert(0, {root!r})
from openmic.notebook.serving import somebody_is_there, stay
heard = []
def target(comm, message):
    @comm.on_msg
    def answer(message):
        heard.append(len(message["buffers"][0]))
        comm.send({{"count": len(heard)}})
        if message["content"]["data"].get("loud"):
            print("heard")
get_ipython().kernel.comm_manager.register_target("test", target)
"""
PIECE = b"x" * 1500


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with running_kernel(tmp_path) as kernel:
        assert kernel.run(TARGET.format(root=str(ROOT))).status == "ok"
        kernel.send_comm("comm_open", {"comm_id": "c1", "target_name": "test", "data": {}})
        yield kernel


def answers_in_time(kernel: Kernel, count: int, **data: object) -> list[float]:
    """Seconds until each of ``count`` comm messages was answered, sent one after the other."""
    times = []
    for _ in range(count):
        began = time.monotonic()
        ident = kernel.send_comm("comm_msg", {"comm_id": "c1", "data": data}, [PIECE])
        while not (at := [at for at, one in kernel.comm_messages if one["parent_header"].get("msg_id") == ident]):
            assert time.monotonic() - began < 60
            kernel.read(0.02)
        times.append(at[0] - began)
    return times


@pytest.mark.slow
def test_comms_are_answered_while_the_cell_stays_and_cells_wait_their_turn(kernel: Kernel) -> None:
    stays = kernel.send("print('stays')\nprint(await stay(lambda: len(heard) < 12))\nprint('ends')")
    second = kernel.send("print('second', len(heard))\nraise RuntimeError")
    third = kernel.send("print('third')")
    kernel.read(0.5)
    assert stays.text == "stays\n"
    answers_in_time(kernel, 11, loud=True)
    assert second.seen == []
    assert stays.status == ""
    answers_in_time(kernel, 1)
    kernel.wait([stays, second, third])
    assert stays.text.replace("heard\n", "") == "stays\ndone\nends\n"
    assert second.text.startswith("second 12\n")
    assert (second.status, third.status) == ("error", "aborted")
    assert kernel.run("print(heard == [1500] * 12)").text == "True\n"


@pytest.mark.slow
def test_an_interrupt_is_a_clean_end(kernel: Kernel) -> None:
    for _ in range(2):
        stays = kernel.send("print(await stay(lambda: True))")
        after = kernel.send("print('after')")
        kernel.read(0.5)
        answers_in_time(kernel, 2)
        kernel.interrupt()
        kernel.wait([stays, after])
        assert (stays.status, stays.text, after.text) == ("ok", "interrupted\n", "after\n")
    busy = kernel.send("import time\ntime.sleep(60)")
    kernel.read(0.5)
    kernel.interrupt()
    kernel.wait([busy])
    assert "KeyboardInterrupt" in busy.text


@pytest.mark.slow
def test_its_time_is_over_and_it_knows_whether_somebody_is_there(kernel: Kernel) -> None:
    assert kernel.run("print(await stay(lambda: True, seconds=0.2))").text == "over\n"
    assert kernel.run("print(somebody_is_there())").text == "True\n"
    assert kernel.run("print(somebody_is_there())", allow_stdin=False).text == "False\n"


@pytest.mark.slow
def test_a_cell_may_run_a_loop_only_where_no_queued_cell_is_lost_by_it(kernel: Kernel) -> None:
    kernel.run("from openmic.notebook.serving import let_cells_run_loops\nlet_cells_run_loops()\nimport asyncio")
    kernel.run("async def one():\n    await asyncio.sleep(0.1)\n    return 1")
    of_ipykernel_6 = kernel.run("print(hasattr(get_ipython().kernel, 'msg_queue'))").text == "True\n"
    own_loop = "print(asyncio.run(one()))"
    cells = [kernel.send(code) for code in ("print(await one())", own_loop if of_ipykernel_6 else "print(await one())")]
    cells += [kernel.send("print(await stay(lambda: True, seconds=0.1))"), kernel.send("print('last')")]
    kernel.wait(cells)
    assert [cell.text for cell in cells] == ["1\n", "1\n", "over\n", "last\n"]
    if not of_ipykernel_6:
        assert "cannot be called from a running event loop" in kernel.run(own_loop).text, "Python's own words"
