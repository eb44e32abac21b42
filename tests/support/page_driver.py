"""What tests of the tester's page do with it: press, wait, look; and a line to the server that can be cut."""

from __future__ import annotations

import socket
import threading
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, ViewportSize, expect

from tests.support.scripted_engine import ScriptedServer

TOKEN = "key-for-tests"
PATIENCE_MS = 120_000  # a generous end to every wait
SHOTS = Path(__file__).resolve().parents[2] / "artifacts" / "page"
PHONE = ViewportSize(width=360, height=720)
DESKTOP = {"width": 1280, "height": 800}

expect.set_options(timeout=PATIENCE_MS)


def link(server: ScriptedServer) -> str:
    """What a tester is given."""
    return f"{server.url}/#token={TOKEN}"


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


def covered(page: Page) -> list[str]:
    """Controls that lie over another one of the same part of the page, in pairs; what scrolls goes under the dock."""
    found: list[str] = page.evaluate(
        """() => ["header", "main", "footer"].flatMap((part) => {
          const all = [...document.querySelector(part).querySelectorAll("button, select, input, a")];
          const seen = all.filter((one) => one.checkVisibility({ visibilityProperty: true }));
          const boxes = seen.map((one) => [one.id || one.textContent, one.getBoundingClientRect()]);
          const cross = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
          return boxes.flatMap(([name, box], place) =>
            boxes.slice(place + 1).filter(([, other]) => cross(box, other)).map(([other]) => `${name} and ${other}`));
        })"""
    )
    return found


def overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def problem(page: Page, title: str) -> None:
    """The card must show the string of that name."""
    strings = "document.querySelector('script[type=module]').src.replace('app.js', 'strings.js')"  # in its language
    expected = page.evaluate(f"import({strings}).then((m) => m.t('{title}_title'))")
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
