"""The tester's page: files in, text and files out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page_driver import DESKTOP, finish, link, problem, shot, speak, state, tone
from tests.support.scripted_engine import ScriptedServer

# --- taking the text along


def test_copy_and_downloads(new_page: Callable[..., Page], service: ScriptedServer, tmp_path: Path) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    finish(page)
    page.locator("#copy").click()
    expect(page.locator("#notice")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("one")
    page.locator("button.time").first.click()
    assert copied.startswith(page.evaluate("navigator.clipboard.readText()"))

    files = {}
    for ending in ("txt", "srt", "vtt", "json", "wav", "flac"):
        with page.expect_download() as download:
            page.locator(f"[data-format={ending}]").click()
        assert re.fullmatch(rf"openmic-[\d-]+\.{ending}", download.value.suggested_filename)
        download.value.save_as(tmp_path / ending)
        files[ending] = (tmp_path / ending).read_bytes()
    assert b"one" in files["txt"]
    assert b"00:00:00,000 --> 00:00:0" in files["srt"]
    assert files["vtt"].startswith(b"WEBVTT")
    assert json.loads(files["json"])["segments"][0]["text"] == " one"
    assert files["wav"][:4] == b"RIFF"
    assert files["flac"][:4] == b"fLaC"

    page.route("**/v1/sessions/**", lambda route: route.fulfill(status=502))
    page.locator("[data-format=txt]").click()
    expect(page.locator("#notice")).to_contain_text("could not be downloaded")


def test_who_spoke_deletes_it(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    finish(page)
    session_id = service.sessions.list()[-1].id
    page.locator("#delete").click()
    expect(page.locator("#delete")).to_contain_text("Press again")
    assert service.sessions.list()[-1].id == session_id
    page.locator("#delete").click()
    expect(page.locator("#notice")).to_contain_text("are deleted from the service")
    expect(page.locator("#formats")).to_be_hidden()
    expect(page.locator("#delete")).to_be_hidden()
    assert session_id not in [session.id for session in service.sessions.list()]
    expect(page.locator("#transcript")).to_contain_text("one")
    speak(page)  # the next text can be kept or deleted like the first
    finish(page)
    expect(page.locator("#formats")).to_be_visible()
    expect(page.locator("#delete")).to_have_text("Delete from the service")


def test_a_refusal_for_the_moment_ends_no_stream_that_resumes(
    new_page: Callable[..., Page], service: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    session = service.sessions.get(service.sessions.list()[-1].id)
    connections = service.thread._app.state.connections
    monkeypatch.setattr(connections, "_most", 0)
    (connection,) = [one for one in connections._tasks if one._session is session]
    connections._tasks[connection].cancel()
    expect(page.locator("body")).to_have_attribute("data-link", "lost")
    page.wait_for_timeout(1500)  # some tries are refused
    state(page, "recording")
    monkeypatch.undo()
    expect(page.locator("body")).to_have_attribute("data-link", "open")
    finish(page)
    assert session.snapshot().final is not None


# --- files


def test_a_file_is_sent_whole_with_progress(
    new_page: Callable[..., Page], service: ScriptedServer, tmp_path: Path
) -> None:
    path = tone(tmp_path / "a talk.wav", 150, sample_rate=48_000)  # 14 MB: more than the page keeps unacknowledged
    page = new_page(viewport=DESKTOP)
    page.goto(link(service))
    page.evaluate(
        "window.seen = []; new MutationObserver(() => window.seen.push(document.getElementById('sending-percent')"
        ".textContent)).observe(document.getElementById('sending-percent'), { childList: true })"
    )
    service.engine.may_finish.clear()
    page.locator("#file").set_input_files(path)
    expect(page.locator("#sending-name")).to_have_text("Sending a talk.wav")
    state(page, "finishing")
    seen = [int(text.split()[0]) for text in page.evaluate("window.seen")]
    assert len(set(seen)) > 3
    assert seen == sorted(seen)
    service.engine.may_finish.set()
    state(page, "final")
    assert service.sessions.list()[-1].received_bytes == path.stat().st_size
    expect(page.locator("#verdict")).to_contain_text("2:30")


def test_a_dropped_file_is_sent_too(new_page: Callable[..., Page], service: ScriptedServer, tmp_path: Path) -> None:
    content = list(tone(tmp_path / "tone.wav", 2).read_bytes())
    page = new_page(viewport=DESKTOP)
    page.goto(link(service))
    transfer = page.evaluate_handle(
        "(bytes) => { const transfer = new DataTransfer();"
        "transfer.items.add(new File([new Uint8Array(bytes)], 'tone.wav')); return transfer; }",
        content,
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    shot(page, "desktop-light-en-11-drop")
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()
    state(page, "final")
    expect(page.locator("#transcript")).to_contain_text("one two")


def test_files_that_are_no_audio_or_empty(
    new_page: Callable[..., Page], service: ScriptedServer, tmp_path: Path
) -> None:
    page = new_page()
    page.goto(link(service))
    (tmp_path / "empty.mp3").touch()
    page.locator("#file").set_input_files(tmp_path / "empty.mp3")
    problem(page, "problem_empty_file")
    expect(page.locator("#problem-body")).to_contain_text("empty.mp3")
    (tmp_path / "letter.mp3").write_text("Dear Sir or Madam, " * 5000)
    page.locator("#file").set_input_files(tmp_path / "letter.mp3")
    problem(page, "problem_audio")
    shot(page, "phone-light-en-10-no-audio")
