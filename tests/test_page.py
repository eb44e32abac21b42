"""The tester's page in a real Chromium, against the real server: over a scripted engine, and once over real Whisper.

Screenshots are kept in artifacts/page, to be looked at.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from openmic.server.app import create_app
from openmic.server.page_files import PAGE_DIR
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from tests.browser import browser
from tests.scripted_engine import ScriptedEngine

TOKEN = "key-for-tests"
PATIENCE_MS = 30_000  # a generous end to every wait
SHOTS = Path(__file__).resolve().parents[1] / "artifacts" / "page"
PHONE = {"width": 360, "height": 720}
DESKTOP = {"width": 1280, "height": 800}

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Service:
    """The real server over a scripted engine."""

    url: str
    sessions: Sessions
    engine: ScriptedEngine

    @property
    def link(self) -> str:
        return f"{self.url}/#token={TOKEN}"


@contextmanager
def serving(folder: Path, filler: str = "", **settings: Any) -> Iterator[Service]:
    chosen = Settings(data_dir=folder / "recordings", **settings)
    engine = ScriptedEngine(filler)
    sessions = Sessions(chosen, engine)
    server = ServerThread(create_app(chosen, sessions, TOKEN), "127.0.0.1", 0)
    server.start()
    try:
        yield Service(server.url, sessions, engine)
    finally:
        engine.may_finish.set()
        server.stop()
        engine.close()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def chrome(playwright: Playwright) -> Iterator[Browser]:
    with browser(playwright) as launched:
        yield launched


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("page"), max_sessions=50) as running:
        yield running


@pytest.fixture
def new_page(chrome: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages of their own context, allowed to use the microphone; none may log an error."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(microphone: bool = True, **options: Any) -> Page:
        permissions = ["clipboard-read", "clipboard-write", *(["microphone"] if microphone else [])]
        context = chrome.new_context(**{"locale": "en-GB", "viewport": PHONE, "permissions": permissions} | options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def state(page: Page, name: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", name)


def speak(page: Page) -> None:
    """Press the button, and wait until settled words are there."""
    page.locator("#main").click()
    state(page, "recording")
    expect(page.locator("#transcript")).to_contain_text("one")


def finish(page: Page) -> None:
    page.locator("#main").click()
    state(page, "final")


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


def overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def problem(page: Page, title: str) -> None:
    """The card must show the string of that name."""
    expected = page.evaluate(f"import('./strings.js').then((m) => m.t('{title}_title'))")
    expect(page.locator("#problem-title")).to_have_text(expected)
    expect(page.get_by_role("alert")).to_contain_text(expected)


def tone(path: Path, seconds: float, sample_rate: int = 16_000) -> Path:
    """A WAV file of a 440 Hz tone."""
    samples = 0.2 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * sample_rate)) / sample_rate)
    return write_wav(path, (samples * 32767).astype(np.int16), sample_rate)


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


class Line:
    """A telephone line between page and server, which can be cut and mended."""

    def __init__(self, url: str) -> None:
        self._target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._cut = threading.Event()
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Break all connections, with a reset and no goodbye, and refuse new ones."""
        self._cut.set()
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._cut.clear()

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._cut.is_set():
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._carry, args=(source, sink), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(service: Service) -> Iterator[Line]:
    made = Line(service.url)
    yield made
    made.close()


# --- the files


def test_page_names_no_address_outside_its_origin_and_has_nothing_inline() -> None:
    html = (PAGE_DIR / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html) == []
    for path in PAGE_DIR.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?|wss?)://\S+|url\(|innerHTML|outerHTML|insertAdjacentHTML", text) == [], path.name
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert (PAGE_DIR / address).is_file(), address


def test_every_string_is_there_in_both_languages_and_used(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
    strings = page.evaluate("import('./strings.js').then((module) => module.STRINGS)")
    assert set(strings) == {"en", "tr"}
    assert list(strings["en"]) == list(strings["tr"])
    for key, english in strings["en"].items():
        turkish = strings["tr"][key]
        assert english.strip(), key
        assert turkish.strip(), key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", turkish)), key
    html = (PAGE_DIR / "index.html").read_text()
    code = "".join(path.read_text() for path in PAGE_DIR.glob("*.js") if path.name != "strings.js")
    named = set(re.findall(r'data-(?:text|label)="(\w+)"', html)) | {"page_title"}
    assert named <= set(strings["en"])
    for name in re.findall(r'\bt\("(\w+)"', code):
        assert name in strings["en"]
    stems = {re.sub(r"^problem_|_(title|body)$", "", key) for key in strings["en"]}
    for stem in stems:
        used = {stem, f"problem_{stem}", stem.removeprefix("link_"), f"{stem}_title"} & (
            named | set(re.findall(r"[\"`](?:problem_)?(\w+)[\"`]", code)) | set(re.findall(r"\b(\w+): \"", code))
        )
        assert used, stem


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
    new_page: Callable[..., Page], service: Service, place: str, scheme: str, locale: str
) -> None:
    page = new_page(viewport=PHONE if place == "phone" else DESKTOP, color_scheme=scheme, locale=locale)
    name = f"{place}-{scheme}-{locale}"
    page.goto(service.link)
    state(page, "idle")
    expect(page.locator("html")).to_have_attribute("lang", locale)
    expect(page.locator("#kept")).not_to_be_empty()
    shot(page, f"{name}-1-idle")
    widths = [overflow(page)]

    speak(page)
    expect(page.locator("body")).to_have_attribute("data-link", "open")
    expect(page.locator("#transcript")).to_contain_text("one two three")
    expect(page.locator("#transcript .tail")).to_contain_text("listening for")
    shot(page, f"{name}-2-recording")
    widths.append(overflow(page))
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
    assert max(widths) <= 0, widths


def test_the_unstable_tail_differs_by_more_than_its_colour_and_moves_nothing(
    new_page: Callable[..., Page], service: Service
) -> None:
    page = new_page()
    page.goto(service.link)
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


def test_what_a_screen_reader_hears(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
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
    for name in ("Copy text", "Download as TXT", "Download as WAV", "Speak again", "Open file"):
        expect(page.get_by_role("button", name=name, exact=False).first).to_be_visible()


def test_the_keyboard_is_enough_and_focus_is_seen(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
    seen = []
    for _ in range(5):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", seen
    assert seen == ["switch", "language", "task", "main", "open"]
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
def test_contrast_is_enough(new_page: Callable[..., Page], service: Service, scheme: str) -> None:
    """WCAG 2.2, AA: 4.5 for text, 3 for the borders of what can be pressed."""
    page = new_page(color_scheme=scheme)
    page.goto(service.link)
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


def test_nothing_moves_for_those_who_asked_for_that(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page(reduced_motion="reduce")
    page.goto(service.link)
    speak(page)
    running = page.evaluate("document.getAnimations().length")
    assert running == 0
    finish(page)


def test_the_page_speaks_both_languages_and_remembers_which(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page(locale="de-DE")
    page.goto(service.link)
    expect(page.locator("#main-text")).to_have_text("Start speaking")
    page.locator("#language").select_option("tr")
    page.locator("#switch").click()
    expect(page.locator("html")).to_have_attribute("lang", "tr")
    expect(page.locator("#main-text")).to_have_text("Konuşmaya başla")
    expect(page.locator("#language option:checked")).to_have_text("Türkçe")
    page.reload()
    expect(page.locator("#main-text")).to_have_text("Konuşmaya başla")


def test_start_carries_language_task_and_words_and_the_token_is_in_no_address(
    new_page: Callable[..., Page], service: Service
) -> None:
    page = new_page()
    addresses: list[str] = []
    sent: list[Any] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda ws: (addresses.append(ws.url), ws.on("framesent", lambda frame: sent.append(frame))))
    page.goto(service.link)
    page.locator("#language").select_option("de")
    page.locator("#task").select_option("translate")
    speak(page)
    finish(page)
    assert json.loads(sent[0]) == {"type": "start", "language": "de", "task": "translate", "words": True}
    assert json.loads(sent[-1]) == {"type": "stop"}
    assert all(isinstance(frame, bytes) or "ping" in frame for frame in sent[1:-1])
    assert any(address.startswith("ws:") for address in addresses)
    assert not [address for address in addresses if TOKEN in address.partition("#")[0]]
    expect(page.locator("#verdict")).to_contain_text("German")


def test_words_from_strangers_are_only_text(new_page: Callable[..., Page], tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    with serving(tmp_path, filler=hostile) as strange:
        page = new_page()
        page.goto(strange.link)
        speak(page)
        expect(page.locator("#transcript")).to_contain_text("<img src=x")
        finish(page)
        expect(page.locator("#transcript")).to_contain_text("<script>")
        assert page.locator("#transcript img, #transcript script").count() == 0
        expect(page).not_to_have_title("broken")


# --- the microphone


def test_a_refused_microphone_is_explained_and_trying_again_works(
    new_page: Callable[..., Page], service: Service
) -> None:
    page = new_page(microphone=False)
    page.goto(service.link)
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


def test_no_media_recorder(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.add_init_script("delete window.MediaRecorder")
    page.goto(service.link)
    page.locator("#main").click()
    problem(page, "problem_no_recorder")
    expect(page.locator("#try-again")).to_be_hidden()
    expect(page.locator("#open")).to_be_visible()


def test_a_microphone_that_goes_away_ends_the_recording_with_its_text(
    new_page: Callable[..., Page], service: Service
) -> None:
    page = new_page()
    page.add_init_script(
        "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (wanted) => (window.media = await ask(wanted));"
    )
    page.goto(service.link)
    speak(page)
    # What the browser does when it is unplugged: the track ends and says so.
    page.evaluate("window.media.getTracks().forEach((t) => { t.stop(); t.dispatchEvent(new Event('ended')); })")
    state(page, "final")
    expect(page.locator("#notice")).to_contain_text("switched off")
    expect(page.locator("#transcript")).to_contain_text("one")


def test_leaving_while_recording_is_asked_about(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
    speak(page)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    finish(page)


# --- the key


def test_without_a_key_the_page_asks_for_it(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.url)
    problem(page, "token")
    expect(page.locator("#token")).to_be_focused()
    expect(page.locator("body")).to_have_attribute("data-link", "locked")
    shot(page, "phone-light-en-6-key")
    page.locator("#token").fill(service.link)  # the whole link is as good as the key in it
    page.locator("#token-form button").click()
    expect(page.locator("#problem")).to_be_hidden()
    speak(page)
    finish(page)


def test_a_wrong_key_is_told_and_the_right_one_takes_its_place(new_page: Callable[..., Page], service: Service) -> None:
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


def test_a_reload_without_the_fragment_still_knows_the_key(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
    page.goto("about:blank")
    page.goto(service.url)
    expect(page.locator("#problem")).to_be_hidden()
    speak(page)
    finish(page)


# --- the service and the line to it


def test_a_full_server_says_when_to_try_again(new_page: Callable[..., Page], tmp_path: Path) -> None:
    with serving(tmp_path, max_sessions=1) as small:
        first, second = new_page(), new_page(color_scheme="dark")
        first.goto(small.link)
        speak(first)
        second.goto(small.link)
        second.locator("#main").click()
        problem(second, "problem_server_full")
        state(second, "idle")
        expect(second.locator("#try-again")).to_have_text(re.compile(r"Try again in \d+ s"))
        expect(second.locator("#try-again")).to_be_disabled()
        shot(second, "phone-dark-en-7-full")
        finish(first)
        expect(second.locator("#try-again")).to_be_enabled()
        second.locator("#try-again").click()
        expect(second.locator("#transcript")).to_contain_text("one")
        finish(second)


def test_a_dropped_connection_is_resumed_and_no_byte_is_lost(
    new_page: Callable[..., Page], service: Service, line: Line
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
    new_page: Callable[..., Page], service: Service, line: Line
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
    with serving(tmp_path, resume_seconds=0.5) as impatient:
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
    with serving(tmp_path) as closing:
        page.goto(closing.link)
        speak(page)
    state(page, "final")
    expect(page.locator("#notice")).to_contain_text("closing")
    expect(page.locator("#transcript")).to_contain_text("one")


def test_the_longest_recording_ends_by_itself(new_page: Callable[..., Page], tmp_path: Path) -> None:
    with serving(tmp_path, max_seconds=3) as short:
        page = new_page()
        page.goto(short.link)
        page.locator("#main").click()
        state(page, "final")
        expect(page.locator("#notice")).to_contain_text("longest time")
        expect(page.locator("#transcript")).to_contain_text("one two three")


def test_a_language_that_the_model_does_not_know(new_page: Callable[..., Page], service: Service) -> None:
    page = new_page()
    page.goto(service.link)
    page.locator("#language").select_option("ja")
    page.locator("#main").click()
    problem(page, "problem_language")
    state(page, "idle")


# --- taking the text along


def test_copy_and_downloads(new_page: Callable[..., Page], service: Service, tmp_path: Path) -> None:
    page = new_page()
    page.goto(service.link)
    speak(page)
    finish(page)
    page.locator("#copy").click()
    expect(page.locator("#notice")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("one")
    page.locator("button.time").first.click()
    assert copied.startswith(page.evaluate("navigator.clipboard.readText()"))

    files = {}
    for ending in ("txt", "srt", "vtt", "json", "wav"):
        with page.expect_download() as download:
            page.locator(f"[data-format={ending}]").click()
        assert re.fullmatch(rf"openmic-[\d-]+\.{ending}", download.value.suggested_filename)
        download.value.save_as(tmp_path / ending)
        files[ending] = (tmp_path / ending).read_bytes()
    assert b"one" in files["txt"]
    assert b"00:00:00,000 --> 00:00:01,000" in files["srt"]
    assert files["vtt"].startswith(b"WEBVTT")
    assert json.loads(files["json"])["final"]["segments"][0]["text"] == " one"
    assert files["wav"][:4] == b"RIFF"

    page.route("**/v1/sessions/**", lambda route: route.fulfill(status=404))
    page.locator("[data-format=txt]").click()
    expect(page.locator("#notice")).to_contain_text("could not be downloaded")


# --- files


def test_a_file_is_sent_whole_with_progress(new_page: Callable[..., Page], service: Service, tmp_path: Path) -> None:
    path = tone(tmp_path / "a talk.wav", 150, sample_rate=48_000)  # 14 MB: more than the page keeps unacknowledged
    page = new_page(viewport=DESKTOP)
    page.goto(service.link)
    page.evaluate(
        "window.seen = []; new MutationObserver(() => window.seen.push(document.getElementById('sending-percent')"
        ".textContent)).observe(document.getElementById('sending-percent'), { childList: true })"
    )
    service.engine.may_finish.clear()
    page.locator("#file").set_input_files(path)
    state(page, "finishing")
    seen = [int(text.split()[0]) for text in page.evaluate("window.seen")]
    assert len(set(seen)) > 3
    assert seen == sorted(seen)
    service.engine.may_finish.set()
    state(page, "final")
    assert service.sessions.list()[-1].received_bytes == path.stat().st_size
    expect(page.locator("#verdict")).to_contain_text("2:30")


def test_a_dropped_file_is_sent_too(new_page: Callable[..., Page], service: Service, tmp_path: Path) -> None:
    content = list(tone(tmp_path / "tone.wav", 2).read_bytes())
    page = new_page(viewport=DESKTOP)
    page.goto(service.link)
    transfer = page.evaluate_handle(
        "(bytes) => { const transfer = new DataTransfer();"
        "transfer.items.add(new File([new Uint8Array(bytes)], 'tone.wav')); return transfer; }",
        content,
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()
    state(page, "final")
    expect(page.locator("#transcript")).to_contain_text("one two")


def test_files_that_are_no_audio_or_empty(new_page: Callable[..., Page], service: Service, tmp_path: Path) -> None:
    page = new_page()
    page.goto(service.link)
    (tmp_path / "empty.mp3").touch()
    page.locator("#file").set_input_files(tmp_path / "empty.mp3")
    problem(page, "problem_empty_file")
    expect(page.locator("#problem-body")).to_contain_text("empty.mp3")
    (tmp_path / "letter.mp3").write_text("Dear Sir or Madam, " * 5000)
    page.locator("#file").set_input_files(tmp_path / "letter.mp3")
    problem(page, "problem_audio")
    shot(page, "phone-light-en-10-no-audio")


# --- other machines


def test_a_machine_without_a_microphone(playwright: Playwright, service: Service) -> None:
    with browser(playwright, microphone=None) as bare:
        context = bare.new_context(permissions=["microphone"], locale="en-GB")
        page = context.new_page()
        page.goto(service.link)
        page.locator("#main").click()
        problem(page, "problem_no_microphone")
        state(page, "idle")
        context.close()


def test_an_address_that_is_not_secure(playwright: Playwright, service: Service) -> None:
    with browser(playwright, extra_flags=("--host-resolver-rules=MAP phone.test 127.0.0.1",)) as plain:
        context = plain.new_context(locale="en-GB")
        page = context.new_page()
        page.goto(service.link.replace("127.0.0.1", "phone.test"))
        page.locator("#main").click()
        problem(page, "problem_insecure")
        context.close()


# --- real speech


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
