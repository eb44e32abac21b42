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
from typing import Any

import pytest

from openmic.notebook.card import Card
from openmic.notebook.dashboard import Dashboard
from openmic.notebook.output import Area
from openmic.notebook.picture import status_html, status_text
from openmic.notebook.progress import NotebookProgress
from openmic.notebook.sample import LiveView
from openmic.notebook.status import SessionStatus, Status
from openmic.tunnels import terms

EVIL = '<img src=x onerror="alert(1)">&\'"'
SESSION = SessionStatus("0123456789abcdef", "receiving", True, 3.25, 0.4, "And so my", "fellow Americans", None, "")
STATUS = Status("running", "http://127.0.0.1:1/#token=t", "", "base", "cpu", 0.5, 0.12, 0.4, 2**31, (SESSION,))
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
    for note in ("While it runs.", terms.NGROK_FREE_PLAN, terms.COLAB):
        assert note in page.text
        assert note in str(card)
    assert "scan the code" in page.text
    assert "base on cpu. " in str(CARD)
    carries = replace(CARD, speakers="about 4 speakers at once")
    assert "base on cpu: about 4 speakers at once. " in str(carries)
    assert "base on cpu: about 4 speakers at once. " in Tags(carries._repr_html_()).text
    local = replace(CARD, public_hint="Set a token.")
    assert terms.COLAB not in local._repr_html_()
    assert "Set a token." in Tags(local._repr_html_()).text
    assert "on this machine" in str(local)


def test_the_pictures_say_what_is_going_on() -> None:
    page = Tags(status_html(STATUS))
    for part in (
        "running",
        "base on cpu",
        "load 50%",
        "120 ms",
        "2.0 GiB",
        "no public link",
        "01234567",
        "3.2",
        "And so my",
    ):
        assert part in page.text
    assert page.links == [STATUS.link]
    assert "And so my fellow Americans" in status_text(STATUS)
    busy = replace(STATUS, speakers="about 1 speaker at once", late=True, finals_waiting=2, finals_seconds=8.2)
    for part in ("about 1 speaker at once", "nobody more is let in", "finals in work 2 (about 8 s)"):
        assert part in Tags(status_html(busy)).text
        assert part not in Tags(status_html(STATUS)).text
    held = replace(STATUS, finals_held=True, slowness=2.31)
    for part in ("2.3 times as long as measured", "finals wait for live text, and nobody more is let in"):
        assert part in status_text(held)
        assert part not in status_text(STATUS)
    lost = replace(STATUS, sessions=(replace(SESSION, attached=False),))
    assert "connection lost" in Tags(status_html(lost)).text
    ended = replace(SESSION, state="ended", attached=False, final_text=" The end.", problem="The disk is full.")
    text = Tags(status_html(replace(STATUS, state="stopped", link="", sessions=(ended,)))).text
    assert "The end. The disk is full." in text
    assert "connection lost" not in text
    assert "And so my" not in text
    assert "open the link" in Tags(status_html(replace(STATUS, sessions=()))).text
    assert "open the link" not in Tags(status_html(replace(STATUS, state="stopped", link="", sessions=()))).text


def test_every_word_of_others_is_escaped() -> None:
    session = SessionStatus(EVIL, EVIL, False, 1.0, 0.0, EVIL, EVIL, None, EVIL)
    status = Status(EVIL, EVIL, EVIL, EVIL, EVIL, 0.0, 0.0, 0.0, None, (session, replace(session, final_text=EVIL)))
    page = Tags(status_html(status))
    assert "img" not in page.seen
    assert page.text.count(EVIL) >= 6
    card = Tags(Card(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)._repr_html_())
    assert "img" not in card.seen
    view = LiveView(EVIL)
    view({"type": "ready", "model": EVIL, "device": EVIL})
    view({"type": "commit", "text": EVIL})
    view({"type": "live", "text": EVIL, "audio_seconds": 1.0, "lag": 0.1})
    assert "img" not in Tags(view.html()).seen


def test_what_stays_in_a_cell_holds_nobody_s_words_and_is_bounded(shown: Shown) -> None:
    long = replace(SESSION, session_id="f" * 32, state="ended", final_text="secret words " * 5000)
    status = replace(STATUS, sessions=(SESSION, *[long] * 200))
    for words in (False, True):
        dashboard = Dashboard(lambda: status, lambda: None, words=words)
        bundle = dashboard._repr_mimebundle_()
        kept = [bundle["text/html"], bundle["text/plain"], dashboard.html()]
        dashboard.watch(seconds=0.3, every_seconds=0.1)
        moving, last = shown.bundles[-2], shown.bundles[-1]
        assert "secret words" in moving["text/html"]
        assert "secret words" in moving["text/plain"]
        for text in (*kept, *last.values()):
            assert ("secret" in text) == ("fellow" in text) == words
            assert len(text) < 50_000
    assert "10000 words" in status_text(status, words=False)


def test_a_long_text_shows_its_end() -> None:
    text = " ".join(f"word{n}" for n in range(1000))
    page = Tags(status_html(replace(STATUS, sessions=(replace(SESSION, committed_text=text),))))
    assert "word999" in page.text
    assert "word1 " not in page.text


class Shown:
    """What was displayed, and how it changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundles: list[dict[str, str]] = []
        self.threads: set[threading.Thread] = set()
        monkeypatch.setattr("IPython.display.display", self._display)

    def _display(self, bundle: dict[str, str], **_: Any) -> Shown:
        self.update(bundle)
        return self

    def update(self, bundle: dict[str, str], **_: Any) -> None:
        self.bundles.append(bundle)
        self.threads.add(threading.current_thread())


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


def test_an_area_is_drawn_from_the_main_thread_only(shown: Shown) -> None:
    area = Area()
    thread = threading.Thread(target=area.show, args=("<b>no</b>", "no"))
    thread.start()
    thread.join()
    area.show("<b>yes</b>", "yes")
    assert shown.bundles == [{"text/html": "<b>yes</b>", "text/plain": "yes"}]
    assert shown.threads == {threading.main_thread()}


def test_watching_moves_until_the_service_stops(shown: Shown) -> None:
    states = iter([STATUS, replace(STATUS, busy=0.9), replace(STATUS, state="stopped", link="")])
    Dashboard(lambda: next(states), lambda: None).watch(seconds=60, every_seconds=0.01)
    assert ["load 90%" in bundle["text/html"] for bundle in shown.bundles] == [False, True, False]
    assert "stopped" in shown.bundles[-1]["text/plain"]


def test_watching_ends_in_time_and_when_interrupted(shown: Shown) -> None:
    Dashboard(lambda: STATUS, lambda: None).watch(seconds=0.5, every_seconds=0.02)
    assert len(shown.bundles) >= 2

    def interrupt() -> Status:
        raise KeyboardInterrupt

    Dashboard(interrupt, lambda: None).watch(seconds=60)


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
from openmic.notebook.dashboard import WIDGET_VIEW, Dashboard
from tests.notebook.test_dashboard import STATUS
now, stopped = [STATUS], []
def stop():
    stopped.append(True)
    now[0] = replace(STATUS, state="stopped", link="")
deleted = []
board = Dashboard(lambda: now[0], stop, lambda: deleted.append(True) or 2)
bundle = board._repr_mimebundle_()
panel, buttons = board.widget().children
assert bundle[WIDGET_VIEW]["model_id"] == board.widget().model_id
assert board._repr_mimebundle_()[WIDGET_VIEW] == bundle[WIDGET_VIEW]
refresh, delete, stop_button = buttons.children
for told, times in (("Really delete?", 0), ("2 deleted", 1), ("Really delete?", 1)):
    delete.click()
    assert (delete.description, len(deleted)) == (told, times)
assert len(Dashboard(lambda: now[0], stop).widget().children[1].children) == 2
now[0] = replace(STATUS, busy=0.9)
refresh.click()
assert "load 90%" in panel.value
stop_button.click()
assert stopped and stop_button.disabled and "stopped" in panel.value
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


def test_without_ipywidgets_the_picture_is_html(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bundle = Dashboard(lambda: STATUS, lambda: None)._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert re.search("5 words", bundle["text/html"])
