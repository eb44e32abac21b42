"""The card in a real JupyterLab in a real Chromium: every way for the sound, a busy kernel, refusals, a reload."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

from tests.support.jupyterlab import KERNEL, Lab, jupyterlab
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PATIENCE_MS = 120_000  # a generous end to every wait
SIZE = ViewportSize(width=1000, height=800)
SUBSHELLS = "@jupyterlab/apputils-extension:kernels-settings"
DIRECT, PROXY = "ws://127.0.0.1:*/**", "**/proxy/**"
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        running.set("@jupyter-widgets/jupyterlab-manager:plugin", saveState=True)
        yield running


@pytest.fixture
def opened(chrome: Browser, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Open a notebook of these cells in a context of its own, with some addresses that cannot be reached."""
    contexts: list[BrowserContext] = []
    name = re.sub(r"\W", "_", request.node.name)

    def make(*cells: str, blocked: tuple[str, ...] = (), microphone: bool = True) -> Page:
        context = chrome.new_context(locale="en-GB", viewport=SIZE, permissions=["microphone"] if microphone else [])
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        for address in blocked:
            page.route_web_socket(address, lambda socket: socket.close())
        page.goto(lab.notebook(name, *cells))
        expect(page.get_by_role("button", name=f"{KERNEL} | Idle")).to_be_visible()
        for number in (0, 1):
            run(page, number)
        expect(card(page)).to_have_attribute("data-state", "idle")
        return page

    yield make
    for context in contexts:
        context.close()


def card(page: Page, number: int = 0) -> Locator:
    return page.locator(".openmic-mic").nth(number)


def button(page: Page, number: int = 0) -> Locator:
    return card(page, number).locator("button")


def line(page: Page, number: int = 0) -> Locator:
    return card(page, number).get_by_role("status")


def run(page: Page, number: int) -> None:
    """Run a cell; the next one is chosen then."""
    page.locator(".jp-CodeCell .jp-InputPrompt").nth(number).click()
    page.keyboard.press("Shift+Enter")


def run_after_interruption(page: Page, number: int) -> None:
    """Run a cell until it has run: the kernel drops what it finds queued behind one that was interrupted."""
    prompt = page.locator(".jp-CodeCell").nth(number).locator(".jp-InputPrompt")

    def has_run() -> bool:
        run(page, number)
        expect(prompt).not_to_have_text("[*]:")
        return bool(re.search(r"\d", prompt.inner_text()))

    wait_until(has_run)


def output(page: Page, number: int) -> Locator:
    return page.locator(".jp-CodeCell").nth(number).locator(".jp-OutputArea-output")


def speak(page: Page, words: str = "one two") -> None:
    button(page).click()
    expect(card(page).locator(".openmic-said")).to_contain_text(words)


def finish(page: Page) -> str:
    """Press Stop; the final text."""
    button(page).click()
    expect(card(page)).to_have_attribute("data-state", "final")
    text = card(page).locator(".openmic-said").inner_text()
    assert re.fullmatch(r"heard [\d.]+ seconds", text), text
    return text


def test_directly_to_this_machine_also_while_a_cell_runs(opened: Callable[..., Page], lab: Lab) -> None:
    page = opened("voice", "time.sleep(600)", "print(voice.result.text)", "print(server.token)")
    run(page, 2)
    speak(page)
    expect(line(page)).to_have_text(re.compile(r"directly to this machine · \d+ ms"))
    final = finish(page)
    expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt")).to_have_text("[*]:")
    page.get_by_role("button", name="Interrupt the kernel").click()
    expect(page.get_by_role("button", name=f"{KERNEL} | Idle")).to_be_visible()
    run_after_interruption(page, 3)
    expect(output(page, 3)).to_have_text(final)
    page.keyboard.press("Control+s")
    file = lab.file("test_directly_to_this_machine_also_while_a_cell_runs")
    wait_until(lambda: final in file.read_text(encoding="utf-8"))
    saved = file.read_text(encoding="utf-8")
    run(page, 4)
    token = output(page, 4).inner_text().strip()
    assert "MicrophoneWidget" in saved or "anywidget" in saved
    assert len(token) > 4
    assert token not in saved


def test_through_the_jupyter_server(opened: Callable[..., Page]) -> None:
    page = opened("voice", "print(voice.result.text)", blocked=(DIRECT,))
    speak(page)
    expect(line(page)).to_have_text(re.compile(r"through the Jupyter server · \d+ ms"))
    final = finish(page)
    run(page, 2)
    expect(output(page, 2)).to_have_text(final)


def test_through_the_notebook_whose_kernel_answers_beside_a_cell(opened: Callable[..., Page]) -> None:
    page = opened("voice", "time.sleep(600)", blocked=(DIRECT, PROXY))
    page.wait_for_timeout(4000)  # a reader's first look; the card's second hello goes out meanwhile
    run(page, 2)
    speak(page)
    expect(line(page)).to_have_text(re.compile(r"through this notebook · \d+ ms"))
    finish(page)
    expect(page.locator(".jp-CodeCell").nth(2).locator(".jp-InputPrompt")).to_have_text("[*]:")


def test_a_kernel_that_runs_a_cell_keeps_the_words_waiting(opened: Callable[..., Page], lab: Lab) -> None:
    lab.set(SUBSHELLS, commsOverSubshells="disabled")
    try:
        page = opened("voice", "time.sleep(6)", "print(voice.result.text)", blocked=(DIRECT, PROXY))
    finally:
        lab.set(SUBSHELLS)
    speak(page)
    run(page, 2)
    expect(line(page)).to_contain_text("The notebook is busy")
    said = card(page).locator(".openmic-said").inner_text()
    expect(line(page)).to_contain_text("through this notebook")
    expect(card(page).locator(".openmic-said")).not_to_have_text(said)
    final = finish(page)
    assert float(final.split()[1]) > 6
    run(page, 3)
    expect(output(page, 3)).to_have_text(final)


def test_a_refused_microphone_says_what_to_do(opened: Callable[..., Page]) -> None:
    page = opened("voice", microphone=False)
    button(page).click()
    expect(line(page)).to_contain_text(
        "The browser refused the microphone. This page may not use it. Press the icon beside the page's address"
    )
    expect(card(page)).to_have_attribute("data-state", "idle")


def test_two_cards_of_a_page_and_a_reload_in_mid_sentence(opened: Callable[..., Page]) -> None:
    page = opened("voice", "voice", "print(voice.result.text)", blocked=(DIRECT, PROXY))
    run(page, 2)
    speak(page)
    button(page, 1).click()
    expect(line(page, 1)).to_contain_text("Another microphone of this notebook is on.")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Saving completed")).to_be_visible()
    page.reload()
    expect(card(page)).to_have_attribute("data-state", "idle")
    run(page, 3)
    expect(output(page, 3)).to_have_text(re.compile(r"heard [\d.]+ seconds"))
