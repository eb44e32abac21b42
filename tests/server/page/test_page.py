"""The tester's page in a real Chromium: its files, its looks, and the way from the button to the final text.

Screenshots are kept in artifacts/page, to be looked at.
"""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, WebSocket, expect

from openmic.server.api.page import PAGE_DIR
from tests.support.browser import browser
from tests.support.page_driver import (
    DESKTOP,
    PHONE,
    TOKEN,
    covered,
    finish,
    link,
    overflow,
    shot,
    speak,
    state,
    write_wav,
)
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server

# --- the files


def test_page_names_no_address_outside_its_origin_and_has_nothing_inline() -> None:
    html = (PAGE_DIR / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html) == []
    for path in PAGE_DIR.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?|wss?)://\S+|url\(|innerHTML|outerHTML|insertAdjacentHTML", text) == [], path.name
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert (PAGE_DIR / address).is_file(), address


def test_every_string_is_there_in_both_languages_and_used(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(service))
    strings = page.evaluate("import('./strings.js').then((module) => module.STRINGS)")
    assert set(strings) == {"en", "tr"}
    assert list(strings["en"]) == list(strings["tr"])
    for key, english in strings["en"].items():
        turkish = strings["tr"][key]
        assert english.strip(), key
        assert turkish.strip(), key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", turkish)), key
    html = (PAGE_DIR / "index.html").read_text()
    scripts = {path.name: path.read_text() for path in PAGE_DIR.glob("*.js")}
    for language in ("english.js", "turkish.js"):
        del scripts[language]
    code = "".join(scripts.values())
    named = {*re.findall(r'data-(?:text|label)="(\w+)"', html)}
    named |= {*re.findall(r'\b(?:t|notice|verdict|say)\((?:\([^()]*\) \? )?"(\w+)"', code)}
    assert named <= set(strings["en"])
    quoted = {*re.findall(r'["`](\w+)["`]', code + html)}
    for key in strings["en"]:
        stem = re.sub(r"^(problem|link)_|_(title|body)$", "", key)
        assert {key, stem, f"problem_{stem}"} & quoted, key


# --- from the first look to the final text


@pytest.mark.parametrize(
    ("place", "scheme", "locale"),
    [
        ("phone", "light", "en"),
        ("phone", "dark", "tr"),
        ("phone", "light", "tr"),
        ("desktop", "light", "tr"),
        ("desktop", "dark", "en"),
    ],
)
def test_speaking_gives_live_text_and_then_the_final_one(
    new_page: Callable[..., Page], service: ScriptedServer, place: str, scheme: str, locale: str
) -> None:
    page = new_page(viewport=PHONE if place == "phone" else DESKTOP, color_scheme=scheme, locale=locale)
    name = f"{place}-{scheme}-{locale}"
    page.goto(link(service))
    state(page, "idle")
    expect(page.locator("html")).to_have_attribute("lang", locale)
    expect(page.locator("#kept")).not_to_be_empty()
    shot(page, f"{name}-1-idle")
    widths, overlaps = [overflow(page)], covered(page)

    speak(page)
    expect(page.locator("body")).to_have_attribute("data-link", "open")
    expect(page.locator("#transcript")).to_contain_text("one two three")
    expect(page.locator("#transcript .tail")).to_contain_text("listening for")
    shot(page, f"{name}-2-recording")
    widths.append(overflow(page))
    overlaps += covered(page)
    service.engine.may_finish.clear()
    page.locator("#main").click()
    state(page, "finishing")
    expect(page.locator("#main")).to_be_disabled()
    shot(page, f"{name}-3-finishing")

    service.engine.may_finish.set()
    state(page, "final")
    expect(page.locator("#transcript")).to_contain_text("one two three")
    expect(page.locator("#transcript .tail")).to_have_count(0)
    expect(page.locator("#verdict")).to_contain_text("scripted")
    expect(page.locator("#main")).to_be_enabled()
    shot(page, f"{name}-4-final")
    widths.append(overflow(page))
    overlaps += covered(page)
    assert max(widths) <= 0, widths
    assert overlaps == []


def test_the_unstable_tail_differs_by_more_than_its_colour_and_moves_nothing(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    page.goto(link(service))
    speak(page)
    expect(page.locator("#transcript .tail")).to_contain_text("listening for")
    style = """(element) => {
        const style = getComputedStyle(element);
        const line = style.textDecorationLine + style.textDecorationStyle;
        return { line, color: style.color, shape: style.fontSize + style.fontStyle + style.fontWeight };
    }"""
    said = page.locator("#transcript .said").first.evaluate(style)
    tail = page.locator("#transcript .tail").evaluate(style)
    assert tail["line"] == "underlinedotted"
    assert said["line"].startswith("none")
    assert tail["color"] != said["color"]
    assert tail["shape"] == said["shape"]
    finish(page)


def test_what_a_screen_reader_hears(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(link(service))
    assert page.locator("#main").get_attribute("aria-describedby") == "notice"
    expect(page.get_by_role("combobox", name="I speak")).to_be_visible()
    expect(page.get_by_role("button", name="Start speaking")).to_be_visible()
    speak(page)
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#say")).to_have_text("Recording. Speak now.")
    # What wavers is not read out; what is settled is: the log's accessible text has the one and not the other.
    expect(page.locator("#transcript .tail")).to_contain_text("listening")
    heard = page.get_by_role("log").aria_snapshot()
    assert "one" in heard
    assert "listening" not in heard
    finish(page)
    expect(page.locator("#say")).to_have_text("Final text.")
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
    for name in ("Copy text", "Download as TXT", "Download as FLAC", "Speak again", "Open file"):
        expect(page.get_by_role("button", name=name, exact=False).first).to_be_visible()


def test_the_keyboard_is_enough_and_focus_is_seen(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page()
    page.goto(link(service))
    seen = []
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", seen
    assert seen == ["switch", "language", "task", "vocabulary", "main", "open"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    state(page, "recording")
    expect(page.locator("#transcript")).to_contain_text("one")
    page.keyboard.press("Space")
    state(page, "final")


def luminance(color: str) -> float:
    channels = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(new_page: Callable[..., Page], service: ScriptedServer, scheme: str) -> None:
    """WCAG 2.2, AA: 4.5 for text, 3 for the borders of what can be pressed."""
    page = new_page(color_scheme=scheme)
    page.goto(link(service))
    for front, back, least in (
        ("ink", "paper", 4.5),
        ("ink", "raised", 4.5),
        ("ink", "wash", 4.5),
        ("soft", "paper", 4.5),
        ("soft", "raised", 4.5),
        ("accent", "paper", 4.5),
        ("on-accent", "accent", 4.5),
        ("edge", "paper", 3),
        ("edge", "raised", 3),
    ):
        colors = [
            page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')").strip()
            for name in (front, back)
        ]
        light, dark = sorted((luminance(color) for color in colors), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, (front, back, colors)


def test_nothing_moves_for_those_who_asked_for_that(new_page: Callable[..., Page], service: ScriptedServer) -> None:
    page = new_page(reduced_motion="reduce")
    page.goto(link(service))
    speak(page)
    running = page.evaluate("document.getAnimations().length")
    assert running == 0
    finish(page)


def test_the_page_speaks_both_languages_and_remembers_which(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page(locale="de-DE")
    page.goto(link(service))
    expect(page.locator("#main-text")).to_have_text("Start speaking")
    page.locator("#language").select_option("tr")
    page.locator("#switch").click()
    expect(page.locator("html")).to_have_attribute("lang", "tr")
    expect(page.locator("#main-text")).to_have_text("Konuşmaya başla")
    expect(page.locator("#language option:checked")).to_have_text("Türkçe")
    page.reload()
    expect(page.locator("#main-text")).to_have_text("Konuşmaya başla")


@pytest.mark.parametrize(
    ("languages", "translates", "offered"),
    [(("en", "tr", "gsw"), True, ["", "en", "tr"]), (("en",), False, ["en"]), (("de", "en"), False, ["", "en", "de"])],
)
def test_the_page_offers_what_the_model_can_do(
    new_page: Callable[..., Page], service: ScriptedServer, monkeypatch: pytest.MonkeyPatch, languages: tuple[str, ...],
    translates: bool, offered: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(service.engine, "languages", languages)
    monkeypatch.setattr(service.engine, "translates", translates)
    page = new_page()
    page.goto(link(service))
    options = page.locator("#language option")
    expect(options).to_have_count(len(offered))
    assert sorted(option.get_attribute("value") or "" for option in options.all()) == sorted(offered)
    assert page.locator("#task option[value=translate]").is_enabled() is translates
    page.locator("#switch").click()  # and in the other language, too
    expect(options).to_have_count(len(offered))


def test_start_carries_language_task_names_and_words_and_the_token_is_in_no_address(
    new_page: Callable[..., Page], service: ScriptedServer
) -> None:
    page = new_page()
    addresses: list[str] = []
    sent: list[Any] = []
    page.on("request", lambda request: addresses.append(request.url))

    def watch(socket: WebSocket) -> None:
        addresses.append(socket.url)
        socket.on("framesent", lambda frame: sent.append(frame))

    page.on("websocket", watch)
    page.goto(link(service))
    page.locator("#language").select_option("de")
    page.locator("#task").select_option("translate")
    page.get_by_label("Names and terms").fill(" Zoë, Wrocław ;; pgvector")
    speak(page)
    finish(page)
    said = [frame for frame in sent if isinstance(frame, bytes) or "ping" not in frame]
    assert json.loads(said[0]) == {
        "type": "start",
        "language": "de",
        "task": "translate",
        "words": True,
        "vocabulary": ["Zoë", "Wrocław", "pgvector"],
    }
    assert json.loads(said[-1]) == {"type": "stop"}
    assert all(isinstance(frame, bytes) for frame in said[1:-1])
    assert any(address.startswith("ws:") for address in addresses)
    assert not [address for address in addresses if TOKEN in address.partition("#")[0]]
    expect(page.locator("#verdict")).to_contain_text("German")


def test_words_from_strangers_are_only_text(new_page: Callable[..., Page], tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    with scripted_server(tmp_path, engine=ScriptedEngine(hostile), token=TOKEN) as strange:
        page = new_page()
        page.goto(link(strange))
        speak(page)
        expect(page.locator("#transcript")).to_contain_text("<img src=x")
        finish(page)
        expect(page.locator("#transcript")).to_contain_text("<script>")
        assert page.locator("#transcript img, #transcript script").count() == 0
        expect(page).not_to_have_title("broken")


# --- real speech


@pytest.mark.weights
@pytest.mark.slow
def test_real_speech_through_the_microphone(
    playwright: Playwright, sample_audio: Path, tmp_path: Path, word_error_rate: Callable[[str, str], float]
) -> None:
    """What a person says, from Chromium's microphone through MediaRecorder and Whisper base back to the page."""
    import openmic

    with wave.open(str(sample_audio / "quickstart.wav")) as file:
        sample_rate, seconds = file.getframerate(), file.getnframes() / file.getframerate()
        speech = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())[:, 0]
    quiet = np.zeros(sample_rate, np.int16)  # the file begins to play before the recorder does
    microphone = write_wav(tmp_path / "microphone.wav", np.concatenate([quiet, speech, quiet]), sample_rate)
    reference = (sample_audio / "quickstart.txt").read_text()

    with (
        openmic.launch(model="base", tunnel="none", data_dir=tmp_path / "recordings") as mic,
        browser(playwright, microphone) as chromium,
    ):
        context = chromium.new_context(viewport=PHONE, locale="en-GB", permissions=["microphone"])
        page = context.new_page()
        page.goto(mic.link)
        page.locator("#main").click()
        state(page, "recording")
        page.wait_for_timeout(seconds * 500)
        shot(page, "real-speech-1-recording")
        page.wait_for_timeout(seconds * 500 + 2500)
        live = page.locator("#transcript").inner_text()
        page.locator("#main").click()
        expect(page.locator("body")).to_have_attribute("data-state", "final", timeout=180_000)
        said = " ".join(page.locator("#transcript .said").all_inner_texts())
        shot(page, "real-speech-2-final")
        context.close()
    assert live.strip()
    assert word_error_rate(reference, said) < 0.10, said
