"""Takes the README's pictures: the tester's page in a real Chromium, real speech, the real service.

``python -m docs.pictures.make`` from the project's folder; needs Chromium and the weights of ``base``. Chromium's
microphone plays ``sample_audio/quickstart.wav``.
"""

from __future__ import annotations

import tempfile
import wave
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

import openmic
from openmic.client.sample import sample_path
from tests.support.browser import browser

HERE = Path(__file__).resolve().parent
PHONE: ViewportSize = {"width": 360, "height": 640}
DESKTOP: ViewportSize = {"width": 960, "height": 700}
MOST_BYTES = 200_000
PATIENCE_MS = 120_000
SPEAKING_MS = 9_500  # into the sample: its second sentence is on the way


def microphone_file(folder: Path) -> tuple[Path, float]:
    """The sample with a second of quiet around it (the file begins to play before the recorder listens)."""
    with wave.open(str(sample_path())) as file:
        rate, speech = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
    quiet = np.zeros(rate, np.int16)
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(np.concatenate([quiet, speech, quiet]).tobytes())
    return path, len(speech) / rate


def take(chromium: Browser, link: str, seconds: float, kind: str, scheme: str, size: ViewportSize) -> bytes:
    """Speak the sample; a picture while unstable words stand there ("live"), or of the final text ("final")."""
    context = chromium.new_context(
        viewport=size, locale="en-GB", color_scheme=scheme, permissions=["microphone"], device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(link)
    page.locator("#main").click()
    expect(page.locator("body")).to_have_attribute("data-state", "recording", timeout=PATIENCE_MS)
    if kind == "live":
        page.wait_for_timeout(SPEAKING_MS)
        expect(page.locator("#transcript .tail")).not_to_be_empty(timeout=PATIENCE_MS)
    else:
        page.wait_for_timeout(seconds * 1000 + 2500)
        page.locator("#main").click()
        expect(page.locator("body")).to_have_attribute("data-state", "final", timeout=PATIENCE_MS)
    picture = page.screenshot(type="png")
    context.close()
    return picture


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        microphone, seconds = microphone_file(folder)
        with (
            openmic.launch(model="base", tunnel="none", data_dir=folder / "recordings") as mic,
            sync_playwright() as pw,
        ):
            for place, kind, scheme, size in (("phone", "live", "light", PHONE), ("desktop", "final", "dark", DESKTOP)):
                with browser(pw, microphone) as chromium:  # a new one each time: its microphone plays once
                    picture = take(chromium, mic.link, seconds, kind, scheme, size)
                if len(picture) > MOST_BYTES:
                    raise SystemExit(f"{place}-{kind} has {len(picture)} bytes, more than {MOST_BYTES}.")
                (HERE / f"{place}-{kind}.png").write_bytes(picture)
                print(f"{place}-{kind}.png: {len(picture) // 1000} kB")


if __name__ == "__main__":
    main()
