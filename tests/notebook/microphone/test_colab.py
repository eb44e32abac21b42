"""The card in a stand-in for Colab's page: over its raw comm, and in a cell that listens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.support.colab_page import ColabPage
from tests.support.kernel import Kernel, running_kernel
from tests.support.scripted_engine import scripted_server

pytestmark = [pytest.mark.slow, pytest.mark.browser]
ROOT = Path(__file__).resolve().parents[3]
SERVICE = """
import sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/support/colab_stand_in"]
import google.colab
from pathlib import Path
from openmic.notebook.microphone.listening import listen
from openmic.notebook.microphone.microphone import Microphone, Place
from openmic.notebook.serving import stay
from support.scripted_engine import scripted_server
serving = scripted_server(Path({folder!r}))
server = serving.__enter__()
voice = Microphone(Place(server.url, server.token))
"""


@pytest.fixture
def colab(chrome: Browser, tmp_path: Path) -> Iterator[Callable[..., ColabPage]]:
    """Colab's page over a kernel of its own; any page of this machine is the frame it lives in."""
    contexts: list[BrowserContext] = []
    with running_kernel(tmp_path) as kernel, scripted_server(tmp_path / "frame") as frame:
        cell = kernel.run(SERVICE.format(root=str(ROOT), folder=str(tmp_path / "service")))
        assert cell.status == "ok", cell.text

        def make(microphone: bool = True, **options: bool) -> ColabPage:
            context = chrome.new_context(locale="tr-TR", permissions=["microphone"] if microphone else [])
            contexts.append(context)
            return ColabPage(context.new_page(), kernel, f"{frame.url}/healthz", **options)

        yield make
        for context in contexts:
            context.close()


def said(colab: ColabPage) -> str:
    return colab.page.locator(".openmic-said").inner_text()


def line(colab: ColabPage) -> str:
    return colab.page.locator(".openmic-line").inner_text()


def press(colab: ColabPage) -> None:
    colab.page.locator(".openmic-button").click()


def shown(colab: ColabPage, kernel: Kernel) -> None:
    cell = kernel.run("voice")
    colab.until(lambda: colab.page.locator(".openmic-mic").count(), cell)


@pytest.mark.parametrize("buffers", [True, False])
def test_over_the_raw_comm_and_while_a_cell_runs(colab: Callable[..., ColabPage], buffers: bool) -> None:
    page = colab(buffers=buffers)
    shown(page, page.kernel)
    press(page)
    page.until(lambda: "one" in said(page))
    assert re.search(r"bu not defteri üzerinden · ", line(page))
    busy = page.kernel.send("time.sleep(5)")
    page.until(lambda: "Not defteri meşgul" in line(page))
    page.until(lambda: busy.ended_at)
    stays = page.kernel.send("print(await stay(lambda: True))")
    before = said(page)
    page.until(lambda: "üzerinden" in line(page) and said(page) != before)
    press(page)
    page.until(lambda: said(page).startswith("heard"))
    assert stays.status == ""
    page.kernel.interrupt()
    page.kernel.wait([stays])
    assert page.kernel.run("print(voice.result.text)").text.strip() == said(page)


def test_a_cell_that_listens(colab: Callable[..., ColabPage]) -> None:
    page = colab()
    listens = page.kernel.send("print(listen(voice, 3).text)")
    page.until(lambda: listens.ended_at, listens)
    heard = re.fullmatch(r" heard (\d+\.\d+) seconds\n", listens.text)
    assert heard, listens.text
    assert 1 < float(heard[1]) < 10  # three seconds of a busy machine's clock; without an end it would listen on
    assert said(page) == listens.text.strip()
    again = page.kernel.send("print(listen(voice).text)")
    page.until(lambda: page.page.locator(".openmic-mic").count() == 2, again)
    page.until(lambda: "one" in page.page.locator(".openmic-said").nth(1).inner_text(), again)
    page.kernel.interrupt()
    page.until(lambda: again.ended_at, again)
    assert re.fullmatch(r" heard \d\.\d+ seconds\n", again.text), again.text


def test_a_cell_that_listens_and_is_refused(colab: Callable[..., ColabPage]) -> None:
    page = colab(microphone=False)
    listens = page.kernel.send("listen(voice)")
    page.until(lambda: listens.ended_at, listens)
    assert listens.text.startswith("The browser did not open a microphone.\nWhy: Tarayıcı mikrofona izin vermedi.")


def test_outside_colab_it_says_where_to_speak(tmp_path: Path) -> None:
    with running_kernel(tmp_path) as kernel:
        code = SERVICE.replace("import google.colab\n", "").replace(', {root!r} + "/tests/support/colab_stand_in"', "")
        kernel.run(code.format(root=str(ROOT), folder=str(tmp_path / "service")))
        assert "mic.microphone()" in kernel.run("listen(voice)").text
