"""The tester's page where the microphone or the key is missing."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Dialog, Page, Playwright, expect

from tests.support.browser import browser
from tests.support.page_driver import TOKEN, finish, link, overflow, problem, shot, speak, state
from tests.support.scripted_engine import ScriptedServer

# --- the microphone


def test_a_refused_microphone_is_explained_and_trying_again_works(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page(microphone=False)
    page.goto(link(service))
    page.locator("#main").click()
    problem(page, "problem_denied")
    state(page, "idle")
    shot(page, "phone-light-en-5-refused")
    assert overflow(page) <= 0
    page.context.grant_permissions(["microphone"])
    page.locator("#try-again").click()
    state(page, "recording")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#transcript")).to_contain_text("one")
    finish(page)


def test_no_media_recorder(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.add_init_script("delete window.MediaRecorder")
    page.goto(link(service))
    page.locator("#main").click()
    problem(page, "problem_no_recorder")
    expect(page.locator("#try-again")).to_be_hidden()
    expect(page.locator("#open")).to_be_visible()


def test_a_microphone_that_goes_away_ends_the_recording_with_its_text(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.add_init_script(
        "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (wanted) => (window.media = await ask(wanted));"
    )
    page.goto(link(service))
    speak(page)
    # What the browser does when it is unplugged: the track ends and says so.
    page.evaluate("window.media.getTracks().forEach((t) => { t.stop(); t.dispatchEvent(new Event('ended')); })")
    state(page, "final")
    expect(page.locator("#notice")).to_contain_text("switched off")
    expect(page.locator("#transcript")).to_contain_text("one")


def test_leaving_while_recording_is_asked_about(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    asked: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.close(run_before_unload=True)
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    finish(page)


# --- other machines


def test_a_machine_without_a_microphone(playwright: Playwright, service: ScriptedServer) -> None:
    with browser(playwright, microphone=None) as bare:
        context = bare.new_context(permissions=["microphone"], locale="en-GB")
        page = context.new_page()
        page.goto(link(service))
        page.locator("#main").click()
        problem(page, "problem_no_microphone")
        state(page, "idle")
        context.close()


def test_an_address_that_is_not_secure(playwright: Playwright, service: ScriptedServer) -> None:
    with browser(playwright, extra_flags=("--host-resolver-rules=MAP phone.local 127.0.0.1",)) as plain:
        context = plain.new_context(locale="en-GB")
        page = context.new_page()
        page.goto(link(service).replace("127.0.0.1", "phone.local"))
        page.locator("#main").click()
        problem(page, "problem_insecure")
        context.close()


# --- the key


def test_without_a_key_the_page_asks_for_it(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(service.url)
    problem(page, "token")
    expect(page.locator("#token")).to_be_focused()
    expect(page.locator("body")).to_have_attribute("data-link", "locked")
    shot(page, "phone-light-en-6-key")
    page.locator("#token").fill(link(service))  # the whole link is as good as the key in it
    page.locator("#token-form button").click()
    expect(page.locator("#problem")).to_be_hidden()
    speak(page)
    finish(page)


def test_a_wrong_key_is_told_and_the_right_one_takes_its_place(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(f"{service.url}/#token=stale")
    page.locator("#main").click()
    problem(page, "token_wrong")
    state(page, "idle")
    page.locator("#token").fill(f" {TOKEN} ")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == f"#token={TOKEN}"
    page.reload()
    speak(page)
    finish(page)


def test_a_key_that_was_taken_back_is_told_apart_from_a_wrong_one(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    key, secret = service.keys.make("tester")
    page = new_page(locale="tr")
    page.goto(f"{service.url}/#token={secret}")
    speak(page)
    finish(page)
    service.keys.revoke(key.id)
    page.locator("#main").click()
    problem(page, "token_over")
    expect(page.locator("#token")).to_be_focused()


def test_a_reload_without_the_fragment_still_knows_the_key(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(service))
    page.goto("about:blank")
    page.goto(service.url)
    expect(page.locator("#problem")).to_be_hidden()
    speak(page)
    finish(page)
