"""What the notebook shows: card, dashboard, live view and progress, as HTML and as widgets of both ages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import segno

from openmic.notebook.card import Card
from openmic.notebook.charts import BLUE, Line, chart
from openmic.notebook.dashboard import WIDGET_VIEW, Dashboard
from openmic.notebook.output import Area, in_colab
from openmic.notebook.picture import status_html, status_text
from openmic.notebook.progress import NotebookProgress
from openmic.notebook.sample import LiveView
from openmic.notebook.status import Moment, SessionStatus, Status
from openmic.notebook.view import NotebookView
from openmic.tunnels import terms

EVIL = '<img src=x onerror="alert(1)">&\'"'
SESSION = SessionStatus("0123456789abcdef", "receiving", True, 63.25, 0.4, "And so my", "fellow Americans", None, "")
HISTORY = tuple(Moment(300.0 - 2 * n, n % 3, 3, 0.5, 2**31, n / 100, n / 50) for n in range(150))
STATUS = Status(
    "running", "http://127.0.0.1:1/#token=t", "", "base", "cpu", 0.5, 2**31, (SESSION,), places=3, history=HISTORY
)
STOPPED = replace(STATUS, state="stopped", link="")
CARD = Card("https://name.example/#token=t", "base", "cpu", "While it runs.")


class Tags(HTMLParser):
    """Reads HTML strictly: what is opened is closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_card_has_link_code_and_notes() -> None:
    card = replace(CARD, tunnel="ngrok", colab=True)
    page = Tags(card._repr_html_())
    assert page.links == ["https://name.example/#token=t"]
    assert "svg" in page.seen
    for note in ("While it runs.", terms.NGROK_FREE_PLAN, terms.COLAB, terms.NGROK_WARNING_PAGE):
        assert note in page.text
        assert note in str(card)
    assert "scan the code" in page.text
    assert "base on cpu. " in str(CARD)
    carries = replace(CARD, speakers="about 4 speakers at once")
    assert "base on cpu: about 4 speakers at once. " in str(carries)
    assert "base on cpu: about 4 speakers at once. " in Tags(carries._repr_html_()).text


def test_a_local_card_has_no_code_that_a_phone_could_not_open() -> None:
    local = replace(CARD, link="http://127.0.0.1:8765/#token=t", public_hint="Set a token.")
    page = Tags(local._repr_html_())
    assert page.links == [local.link]
    assert "svg" not in page.seen
    assert terms.COLAB not in page.text
    for part in ("Set a token.", "on this machine"):
        assert part in page.text
        assert part in str(local)


def test_in_colab_a_local_card_has_ways_in_place_of_a_link() -> None:
    card = replace(CARD, link="http://127.0.0.1:8765/#token=t", public_hint="Set a token.", colab=True)
    page = Tags(card._repr_html_())
    assert page.links == []
    assert "svg" not in page.seen
    assert "token=t" not in page.text + str(card)
    ways = ("Speak here", "NGROK_AUTHTOKEN", "-L 8765:127.0.0.1:8765")
    places = [page.text.index(way) for way in ways]
    assert places == sorted(places)
    assert [way in str(card) for way in ways] == [True] * 3


def test_the_card_has_what_programs_need() -> None:
    lines = CARD.for_programs
    assert lines["WebSocket"] == "wss://name.example/v1/stream"
    assert lines["Command line"] == f"python -m openmic stream '{CARD.link}' recording.wav"
    assert "-H 'Authorization: Bearer t'" in lines["curl"]
    assert lines["curl"].endswith(" https://name.example/v1/audio/transcriptions")
    text = Tags(CARD._repr_html_()).text
    assert [line in text for line in lines.values()] == [True] * 3


def test_the_code_has_the_quiet_zone_of_the_standard() -> None:
    size = re.search(r'<svg [^>]*width="(\d+)"', CARD._repr_html_())
    assert size is not None
    assert int(size[1]) == 4 * (segno.make(CARD.link, error="l", micro=False).symbol_size(border=0)[0] + 2 * 4)


def test_the_picture_says_what_is_going_on() -> None:
    page = Tags(status_html(STATUS))
    parts = (
        "openmic is on", "base on cpu", "1 person speaks",
        "50%of the time", "2.0 GiBin use", "no public link", "1room for 3",
        "01234567", "1:03 of sound", "text 0.4 s behind", "1.5 s9 in 10: 3.0 s", "5 min ago",
    )  # fmt: skip
    for part in parts:
        assert part in page.text, part
    assert page.links == [STATUS.link]
    busy = replace(STATUS, speakers="about 1 speaker at once", late=True, finals_waiting=2, finals_seconds=8.2)
    for part in ("about 1 speaker at once", "nobody more is let in", "2 people wait for the final text (about 8 s)"):
        assert part in Tags(status_html(busy)).text
        assert part in status_text(busy)
        assert part not in Tags(status_html(STATUS)).text
    assert "Memory" not in Tags(status_html(replace(STATUS, memory_bytes=None))).text
    slow = replace(STATUS, finals_held=True, slowness=2.25)
    for part in ("takes 2.2 times as long as measured", "final texts wait for live ones"):
        assert part in Tags(status_html(slow)).text
        assert part not in Tags(status_html(STATUS)).text
    lost = replace(STATUS, sessions=(replace(SESSION, attached=False),))
    assert "connection lost" in Tags(status_html(lost)).text
    assert "open the link" in Tags(status_html(replace(STATUS, sessions=()))).text
    assert "earlier start" not in page.text
    assert "2 recordings are still kept from an earlier start" in Tags(status_html(replace(STATUS, earlier=2))).text


def test_the_picture_of_an_ended_service_has_no_link_and_no_charts() -> None:
    ended = replace(SESSION, state="ended", attached=False, final_text=" The end.", problem="The disk is full.")
    page = Tags(status_html(replace(STOPPED, sessions=(ended,)), words=True))
    assert "openmic has ended" in page.text
    assert "The end. The disk is full." in page.text
    for part in ("connection lost", "And so my", "GiB"):
        assert part not in page.text
    assert page.links == []
    assert "svg" not in page.seen
    assert "open the link" not in Tags(status_html(replace(STOPPED, sessions=()))).text


def test_what_people_say_is_shown_only_where_that_is_asked_for() -> None:
    ended = replace(SESSION, state="ended", final_text="The end.")
    status = replace(STATUS, sessions=(SESSION, ended))
    for hidden in (status_html(status), status_text(status)):
        assert not [word for word in ("And so", "fellow", "The end") if word in hidden]
        assert "What people say is not shown" in hidden
    for shown in (Tags(status_html(status, words=True)).text, status_text(status, words=True)):
        assert "And so my fellow Americans" in shown
        assert "The end." in shown


def test_a_picture_is_bounded() -> None:
    long = replace(SESSION, session_id="f" * 32, state="ended", final_text="secret words " * 5000)
    status = replace(STATUS, sessions=(SESSION, *[long] * 200))
    for words in (False, True):
        assert len(status_html(status, words)) < 50_000
        assert len(status_text(status, words)) < 50_000
    assert "And 189 more" in status_text(status)


def lines_of(html: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]
        for points in re.findall(r'<polyline points="([^"]+)"', html)
    ]


def test_a_chart_draws_its_points_and_breaks_where_there_are_none() -> None:
    points = [(400.0, 1.0), (300.0, 0.0), (298.0, 1.0), (296.0, None), (150.0, 2.0), (148.0, 4.0), (0.0, 1.0)]
    drawn = lines_of(chart("Title", "now", "", [Line(points, BLUE)], 300.0, 2.0))
    assert drawn == [[(0.0, 64.0), (1.5, 32.0)], [(110.0, 0.0), (111.5, 0.0)], [(220.0, 32.0), (221.0, 32.0)]]
    assert lines_of(chart("Title", "now", "", [Line([], BLUE)], 300.0, 2.0)) == []


def test_every_word_of_others_is_escaped() -> None:
    session = SessionStatus(EVIL, EVIL, False, 1.0, 0.0, EVIL, EVIL, None, EVIL)
    both = (session, replace(session, final_text=EVIL))
    status = Status(EVIL, EVIL, EVIL, EVIL, EVIL, 0.0, None, both, EVIL, problems=(EVIL,))
    page = Tags(status_html(status, words=True))
    assert "img" not in page.seen
    assert page.text.count(EVIL) >= 6
    for card in (Card(EVIL, EVIL, EVIL, EVIL, hint, EVIL, colab) for hint in ("", EVIL) for colab in (False, True)):
        assert "img" not in Tags(card._repr_html_()).seen
    view = LiveView(EVIL)
    view({"type": "ready", "model": EVIL, "device": EVIL})
    view({"type": "commit", "text": EVIL})
    view({"type": "live", "text": EVIL, "audio_seconds": 1.0, "lag": 0.1})
    assert "img" not in Tags(view.html()).seen


def test_the_device_being_busy_with_others_is_told() -> None:
    assert "2.5 times as long" in status_text(replace(STATUS, slowness=2.5, finals_held=True))
    assert "final texts wait" in status_html(replace(STATUS, finals_held=True))
    assert "times as long" not in status_text(replace(STATUS, slowness=1.2))


def test_what_stays_in_a_cell_is_bounded() -> None:
    long = replace(SESSION, session_id="f" * 32, state="ended", final_text="secret words " * 5000)
    status = replace(STATUS, sessions=(SESSION, *[long] * 200))
    for words in (False, True):
        for text in (status_html(status, words), status_text(status, words)):
            assert ("secret" in text) == words
            assert len(text) < 60_000


def test_a_long_text_shows_its_end() -> None:
    text = " ".join(f"word{n}" for n in range(1000))
    page = Tags(status_html(replace(STATUS, sessions=(replace(SESSION, committed_text=text),)), True))
    assert "word999" in page.text
    assert "word1 " not in page.text


class Shown:
    """What was displayed, and how it changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundles: list[dict[str, Any]] = []
        self.placed = 0
        monkeypatch.setattr("IPython.display.display", self.display)

    def display(self, bundle: dict[str, Any], **_: Any) -> Shown:
        self.placed += 1
        self.bundles.append(bundle)
        return self

    def update(self, bundle: dict[str, Any], **_: Any) -> None:
        self.bundles.append(bundle)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


@pytest.mark.parametrize("colab", [True, False])
def test_an_area_is_drawn_by_other_threads_but_not_in_colab(
    colab: bool, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    area = Area()
    area.update("<b>0</b>", "0")
    area.show("<b>1</b>", "1")
    thread = threading.Thread(target=area.update, args=("<b>2</b>", "2"))
    thread.start()
    thread.join()
    assert [bundle["text/plain"] for bundle in shown.bundles] == (["1"] if colab else ["1", "2"])
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert not in_colab(), "Kaggle's image has Colab's package"


def test_a_dashboard_moves_while_somebody_speaks_and_seldom_otherwise(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, clock = [replace(STATUS, busy=0.9)], [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    board = Dashboard(lambda: now[0], lambda: None)
    board.place()

    def draws(seconds: float) -> int:
        before = len(shown.bundles)
        for _ in range(round(seconds / 0.1)):
            clock[0] += 0.1
            board.move()
        return len(shown.bundles) - before

    assert 9 <= draws(10.5) <= 10
    now[0] = replace(STATUS, sessions=())
    assert 2 <= draws(30.0) <= 3
    now[0] = STOPPED
    assert draws(1.2) == 1
    assert "has ended" in shown.bundles[-1]["text/plain"]


def test_a_card_that_was_shown_turns_to_ended_and_one_that_was_not_stays_away(shown: Shown) -> None:
    now = [STATUS]
    view = NotebookView(lambda: now[0], lambda: None, lambda: 0)
    first, second, third = (view.card(replace(CARD, area=Area())) for _ in range(3))
    first._ipython_display_()
    second._ipython_display_()
    view.dashboard.place()
    placed, now[0] = shown.placed, STOPPED
    view.end()
    last = shown.bundles[-3:]
    assert ["openmic has ended" in bundle["text/html"] for bundle in last] == [True] * 3
    assert not [bundle for bundle in last if "token=t" in str(bundle)]
    assert shown.placed == placed
    assert not third.area.shown


def test_the_live_view_follows_a_stream(shown: Shown) -> None:
    view = LiveView("quickstart.wav")
    view({"type": "ready", "model": "base", "device": "cpu"})
    view({"type": "live", "text": " And so", "audio_seconds": 1.0, "lag": 0.1})
    view({"type": "connection", "state": "lost", "detail": "Gone."})
    view({"type": "connection", "state": "resumed", "detail": ""})
    view({"type": "warning", "message": "Long.", "hint": "Stop."})
    view({"type": "final", "text": " And so on.", "duration": 2.0, "language": "en"})
    view({"type": "done"})
    texts = [bundle["text/plain"] for bundle in shown.bundles]
    assert len(texts) == 6
    assert "1.0 s heard" in texts[1]
    assert "Gone. Trying again." in texts[2]
    assert texts[-1].startswith("And so on.\nFinal text of 2.0 s")


def test_progress_keeps_what_is_done(shown: Shown) -> None:
    progress = NotebookProgress()
    for percent in range(101):
        progress("Downloading <base>", percent / 100)
    progress("Warming up", None)
    progress.close()
    assert len(shown.bundles) < 50
    assert shown.bundles[0]["text/plain"] == "Downloading <base> 0%"
    assert shown.bundles[-1]["text/plain"] == "✓ Downloading <base>\nWarming up"
    assert Tags(shown.bundles[-1]["text/html"]).text == "✓ Downloading <base>Warming up"


WIDGETS = """
import sys, ipywidgets
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
from openmic.notebook.dashboard import Dashboard
from tests.notebook.test_dashboard import STATUS
now, stopped = [STATUS], []
def stop():
    stopped.append(True)
    now[0] = replace(STATUS, state="stopped", link="")
deleted = []
board = Dashboard(lambda: now[0], stop, lambda: deleted.append(True) or 2)
board.show_words(True)
assert board.buttons().children[0].description == "Hide what is said"
board.show_words(False)
words, refresh, delete, stop_button = board.buttons().children
assert board.buttons() is board.buttons()
for told, times in (("Really delete?", 0), ("2 deleted", 1), ("Really delete?", 1)):
    delete.click()
    assert (delete.description, len(deleted)) == (told, times)
assert len(Dashboard(lambda: now[0], stop).buttons().children) == 3
for told, shown in (("Hide what is said", True), ("Show what is said", False)):
    words.click()
    assert (words.description, "And so my" in board.html()) == (told, shown)
with board.moved_by_cell():
    stop_button.click()
    assert board.stop_asked and not stopped
stop_button.click()
assert stopped and stop_button.disabled
print(ipywidgets.__version__)
"""


def use_widgets(site: Path | None) -> str:
    env = {**os.environ, **({"PYTHONPATH": str(site)} if site is not None else {})}
    command = [sys.executable, "-c", WIDGETS, str(Path(__file__).parents[2])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_widgets_of_today() -> None:
    assert int(use_widgets(None).split(".")[0]) >= 7


def test_the_widgets_of_colab(tmp_path: Path) -> None:
    site = tmp_path / "site"
    wanted = ["ipywidgets==7.7.1", "ipython_genutils==0.2.0"]
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(site), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert use_widgets(site) == "7.7.1"


def test_the_picture_is_html_and_only_the_buttons_are_a_widget(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Dashboard(lambda: STATUS, lambda: None)
    board._ipython_display_()
    picture, buttons = shown.bundles
    assert "openmic is on" in picture["text/html"]
    assert set(picture) == {"text/html", "text/plain"}
    assert (buttons["text/plain"], set(buttons)) == ("", {"text/plain", WIDGET_VIEW})
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    Dashboard(lambda: STATUS, lambda: None)._ipython_display_()
    assert set(shown.bundles[-1]) == {"text/html", "text/plain"}
