"""What the final corrected, in Chromium: cut out of the service's ``revised``, shown for a moment and on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from openmic.server.dialects.native.codec import to_message
from openmic.sessions.events import Finalised
from openmic.sessions.text.revisions import revise
from openmic.speech.types import CommittedText, FinalText, Segment
from tests.support.page_driver import DESKTOP, PHONE, TOKEN, finish, link, overflow, shot, speak, state
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server


@pytest.fixture(scope="module")
def correcting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    """A service whose final says "won" where it had promised "one"."""
    engine = ScriptedEngine(corrections={" one": " won"})
    with scripted_server(tmp_path_factory.mktemp("changes"), engine=engine, token=TOKEN, max_sessions=50) as running:
        yield running


def final_message(live: str, texts: list[str]) -> dict[str, Any]:
    segments = tuple(Segment(n, 0, n, n + 1.0, text, (), 0.0, 0.0, 1.0, 0.0) for n, text in enumerate(texts))
    final = FinalText("".join(texts), "en", float(len(texts)), segments, "base")
    commits = [CommittedText(live, 0.0, 1.0, ())]
    return to_message(Finalised(1, final, live, revise(commits, final)), words=False).model_dump()


@pytest.mark.parametrize(
    ("live", "texts", "shown"),
    [
        (" The keepers left letters", [" The keepers left ledgers."], "The keepers left [letters|]{ledgers}."),
        (" and wrote home", [" and they all wrote home"], "and {they all} wrote home"),
        (" so um we wrote it", [" so we wrote it"], "so[um|] we wrote it"),
        (" hello World of all", [" Hello, world of all!"], "Hello, world of all!"),
        (" we said a b", [" we said", " c d"], "we said [a b|]{c d}"),
        (" one is two", [" one is", " three four"], "one is [two|]{three four}"),
        ("我们爱北京的天气", ["我们爱南京的天气"], "我们爱[北|]{南}京的天气"),
        (" 😀 was a bee there", [" 😀 was a beech there"], "😀 was a [bee|]{beech} there"),
        (" all went well um", [" all went well"], "all went well[um|]"),
    ],
)
def test_old_words_are_struck_out_before_the_new_ones(
    new_page: Callable[..., Page], correcting: ScriptedServer, live: str, texts: list[str], shown: str
) -> None:
    page = new_page()
    page.goto(link(correcting))
    found = page.evaluate(
        """(message) => import("./transcript.js").then(({ Transcript }) => {
            const root = document.createElement("div");
            const it = new Transcript(root);
            it.final(message);
            const mark = { DEL: (text) => `[${text}|]`, INS: (text) => `{${text}}` };
            const rows = [...root.querySelectorAll(".said")].map((said) => [...said.childNodes]
                .map((node) => (mark[node.nodeName] ?? ((text) => text))(node.textContent)).join(""));
            return { shown: rows, text: it.text };
        })""",
        final_message(live, texts),
    )
    assert found["shown"] == [shown]
    assert found["text"] == "".join(texts).strip()


def test_a_text_that_was_hardly_shown_before_has_no_corrections(
    new_page: Callable[..., Page], correcting: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(correcting))
    count = "(message) => import('./changes.js').then((module) => module.cutAtChanges(message).count)"
    assert page.evaluate(count, final_message("", [" All of this was sent at once."])) is None
    assert page.evaluate(count, final_message(" All of that", [" All of this."])) == 1
    assert page.evaluate(count, final_message(" All of this", [" All of this."])) == 0
    older = final_message(" All of that", [" All of this."])
    del older["revised"]
    assert page.evaluate(count, older) is None


@pytest.mark.parametrize(
    ("place", "scheme", "locale"), [("phone", "light", "en"), ("phone", "dark", "tr"), ("desktop", "light", "tr")]
)
def test_corrections_are_seen_for_a_moment_and_on_request(
    new_page: Callable[..., Page], correcting: ScriptedServer, place: str, scheme: str, locale: str
) -> None:
    page = new_page(viewport=PHONE if place == "phone" else DESKTOP, color_scheme=scheme, locale=locale)
    page.clock.install()
    page.goto(link(correcting))
    speak(page)
    page.clock.run_for(500)
    finish(page)
    gone, new = page.locator("#transcript del"), page.locator("#transcript ins")
    expect(gone).to_be_visible()
    expect(gone).to_have_text("one")
    expect(new).to_have_text("won")
    assert gone.evaluate("(element) => getComputedStyle(element).textDecorationLine") == "line-through"
    assert new.evaluate("(element) => getComputedStyle(element).backgroundColor") != "rgba(0, 0, 0, 0)"
    expect(page.locator("#verdict")).to_contain_text("1")
    shot(page, f"{place}-{scheme}-{locale}-5-corrected")
    assert overflow(page) <= 0
    page.clock.run_for(9_000)
    expect(gone).to_be_hidden()
    button = page.locator("#changes")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(gone).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.locator("#copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("won")
    assert "one" not in copied.split()
    button.click()
    expect(gone).to_be_hidden()


def test_a_final_without_corrections_offers_none_to_look_at(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    finish(page)
    expect(page.locator("#changes")).to_be_hidden()


def test_the_language_that_is_heard_is_named_as_soon_as_it_is_known(
    new_page: Callable[..., Page], correcting: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(correcting))
    speak(page)
    expect(page.locator("#heard")).to_have_text("English, detected")
    finish(page)
    page.locator("#language").select_option("tr")
    speak(page)
    expect(page.locator("#heard")).to_have_text("Turkish")
    page.locator("#switch").click()
    expect(page.locator("#heard")).to_have_text("Türkçe")
    finish(page)


def test_the_way_to_the_final_is_seen(new_page: Callable[..., Page], tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.may_finish.clear()
    with scripted_server(tmp_path, engine=engine, token=TOKEN) as slow:
        page = new_page(locale="tr")
        page.goto(link(slow))
        speak(page)
        page.locator("#main").click()
        state(page, "finishing")
        bar = page.get_by_role("progressbar", name="Son metin yazılıyor…")
        engine.progress = 0.25
        expect(bar).to_be_visible()
        expect(bar).to_have_js_property("value", 0.25)
        page.wait_for_timeout(2_500)  # a guess needs something to go by
        engine.progress = 0.5
        expect(bar).to_have_js_property("value", 0.5)
        expect(page.locator("#left")).to_contain_text("kaldı")
        shot(page, "phone-light-tr-3-progress")
        assert overflow(page) <= 0
        engine.may_finish.set()
        state(page, "final")


def test_what_has_been_deleted_cannot_be_downloaded_and_the_page_says_why(
    new_page: Callable[..., Page], tmp_path: Path
) -> None:
    with scripted_server(tmp_path, token=TOKEN, keep_seconds=0.0) as forgetful:
        page = new_page()
        page.goto(link(forgetful))
        expect(page.locator("#kept")).to_contain_text("as soon as you are done")
        speak(page)
        finish(page)
        while forgetful.sessions.list():
            page.wait_for_timeout(50)
        page.locator("[data-format=txt]").click()
        expect(page.locator("#notice")).to_contain_text("has been deleted")
