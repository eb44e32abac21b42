"""The picture of how many can speak with each model."""

from __future__ import annotations

import re

from openmic.notebook.capacity import ESTIMATED, CapacityPicture, ModelSpeakers
from tests.notebook.test_dashboard import EVIL, Tags

MODELS = (
    ModelSpeakers("tiny", 12, measured=False, fits=True),
    ModelSpeakers("base", 4, measured=True, fits=True),
    ModelSpeakers("medium", 0, measured=False, fits=True),
    ModelSpeakers("large-v3", 0, measured=False, fits=False),
)
TOLD = {
    "tiny": "about 12 (estimated)",
    "base": "about 4",
    "medium": "too slow for live text (estimated)",
    "large-v3": "too large for this device",
}


def test_it_says_what_was_measured_and_what_is_estimated() -> None:
    picture = CapacityPicture("Tesla T4", MODELS)
    for text in (Tags(picture._repr_html_()).text, str(picture)):
        assert "at once on Tesla T4" in text
        assert ESTIMATED in text
        assert "max_sessions" not in text
        for model, told in TOLD.items():
            assert re.search(rf"{model}\s*{re.escape(told)}", text), text
    assert "You let in 2" in str(CapacityPicture("cpu", MODELS, limit=2))


def test_the_bars_are_as_long_as_the_numbers() -> None:
    html = CapacityPicture("cpu", MODELS)._repr_html_()
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", html)]
    assert widths == [100.0, 33.3]


def test_without_a_measurement_it_says_so_and_names_are_escaped() -> None:
    assert "was not measured" in Tags(CapacityPicture("cpu", ())._repr_html_()).text
    page = Tags(CapacityPicture(EVIL, (ModelSpeakers(EVIL, 1, measured=True, fits=True),))._repr_html_())
    assert "img" not in page.seen
