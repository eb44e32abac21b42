"""The tester's page where the service is full, stops, is gone, or the line to it breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.page_driver import TOKEN, Line, finish, link, problem, shot, speak, state
from tests.support.scripted_engine import ScriptedServer, scripted_server


def test_a_full_server_says_when_to_try_again(new_page: Callable[..., Page], tmp_path: Path) -> None:
    with scripted_server(tmp_path, token=TOKEN, max_sessions=1) as small:
        first, second = new_page(), new_page(color_scheme="dark")
        first.goto(link(small))
        speak(first)
        second.clock.install()  # so that nobody need wait as long as the page says
        second.goto(link(small))
        second.locator("#main").click()
        problem(second, "problem_server_full")
        state(second, "idle")
        expect(second.locator("#try-again")).to_have_text(re.compile(r"Try again in \d+ s"))
        expect(second.locator("#try-again")).to_be_disabled()
        shot(second, "phone-dark-en-7-full")
        finish(first)
        (seconds,) = re.findall(r"\d+", second.locator("#try-again").inner_text())
        second.clock.run_for(1000 * (int(seconds) + 1))
        expect(second.locator("#try-again")).to_be_enabled()
        second.locator("#try-again").click()
        expect(second.locator("#transcript")).to_contain_text("one")
        finish(second)


def test_a_dropped_connection_is_resumed_and_no_byte_is_lost(
    new_page: Callable[..., Page], service: ScriptedServer, line: Line
) -> None:
    page = new_page()
    page.add_init_script(
        "window.recorded = 0; const Real = MediaRecorder;"
        "window.MediaRecorder = class extends Real { constructor(...all) { super(...all);"
        "this.addEventListener('dataavailable', ({ data }) => { window.recorded += data.size; }); } };"
    )
    page.goto(f"{line.url}/#token={TOKEN}")
    speak(page)
    session = service.sessions.list()[-1]
    line.cut()
    expect(page.locator("#notice")).to_contain_text("Keep speaking")
    expect(page.locator("body")).to_have_attribute("data-link", "lost")
    state(page, "recording")
    shot(page, "phone-light-en-8-reconnecting")
    at_cut = page.evaluate("window.recorded")
    while page.evaluate("window.recorded") < at_cut + 4000:  # it goes on recording
        page.wait_for_timeout(100)
    line.mend()
    expect(page.locator("#notice")).to_contain_text("Nothing was lost")
    expect(page.locator("body")).to_have_attribute("data-link", "open")
    finish(page)
    told = {snapshot.id: snapshot for snapshot in service.sessions.list()}[session.id]
    assert told.received_bytes == page.evaluate("window.recorded")
    assert told.final is not None
    shown = page.locator("#transcript .said").all_inner_texts()
    assert " ".join(shown).split() == [word for segment in told.final.segments for word in segment.text.split()]


def test_stopping_while_the_line_is_down_still_gives_the_final(
    new_page: Callable[..., Page], service: ScriptedServer, line: Line
) -> None:
    page = new_page()
    page.goto(f"{line.url}/#token={TOKEN}")
    speak(page)
    line.cut()
    expect(page.locator("body")).to_have_attribute("data-link", "lost")
    page.locator("#main").click()
    state(page, "finishing")
    line.mend()
    state(page, "final")
    expect(page.locator("#verdict")).to_contain_text("Final text.")


def test_a_recording_that_ended_while_the_line_was_down_shows_what_had_arrived(
    new_page: Callable[..., Page], tmp_path: Path
) -> None:
    with scripted_server(tmp_path, token=TOKEN, resume_seconds=0.5) as impatient:
        broken = Line(impatient.url)
        page = new_page()
        page.goto(f"{broken.url}/#token={TOKEN}")
        speak(page)
        broken.cut()
        page.wait_for_timeout(2000)
        broken.mend()
        state(page, "final")
        expect(page.locator("#notice")).to_contain_text("away too long")
        expect(page.locator("#transcript")).to_contain_text("one")
        broken.close()


def test_a_service_that_is_gone(new_page: Callable[..., Page], line: Line) -> None:
    page = new_page(color_scheme="dark", locale="tr")
    page.goto(f"{line.url}/#token={TOKEN}")
    line.cut()
    page.locator("#main").click()
    problem(page, "problem_unreachable")
    state(page, "idle")
    expect(page.locator("body")).to_have_attribute("data-link", "failed")
    shot(page, "phone-dark-tr-9-gone")


def test_a_service_that_stops_gives_its_final_first(new_page: Callable[..., Page], tmp_path: Path) -> None:
    page = new_page()
    with scripted_server(tmp_path, token=TOKEN) as closing:
        page.goto(link(closing))
        speak(page)
    state(page, "final")
    expect(page.locator("#notice")).to_contain_text("closing")
    expect(page.locator("#transcript")).to_contain_text("one")


def test_the_longest_recording_ends_by_itself(new_page: Callable[..., Page], tmp_path: Path) -> None:
    with scripted_server(tmp_path, token=TOKEN, max_seconds=3) as short:
        page = new_page()
        page.goto(link(short))
        page.locator("#main").click()
        state(page, "final")
        expect(page.locator("#notice")).to_contain_text("longest time")
        expect(page.locator("#transcript")).to_contain_text("one two three")


def test_late_live_text_is_told_until_it_is_in_time_again(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    service.engine.late = True
    expect(page.locator("#notice")).to_contain_text("Live text is late")
    service.engine.late = False
    expect(page.locator("#notice")).to_be_hidden()
    finish(page)


def test_a_language_that_the_model_does_not_know(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(link(service))
    page.locator("#language").select_option("ja")
    page.locator("#main").click()
    problem(page, "problem_language")
    state(page, "idle")
