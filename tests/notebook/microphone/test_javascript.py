"""The card's code as one text, and its sentences."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from openmic.notebook.microphone.javascript import joined, read

CARD = files("openmic").joinpath("notebook/microphone/card")


def keys(text: str) -> list[str]:
    return re.findall(r"^  (\w+):", text, re.MULTILINE)


@pytest.mark.parametrize("entry", ["widget.js", "colab.js"])
def test_all_that_is_imported_is_in_the_text_before_it_is_used(entry: str) -> None:
    text = joined(entry)
    begun = re.findall(r'^modules\["(\w+\.js)"\] = ', text, re.MULTILINE)
    assert begun[-1] == entry
    assert {"stream.js", "microphone.js", "kernel_socket.js"} < set(begun)
    assert len(begun) == len(set(begun))
    for used in re.finditer(r' = modules\["(\w+\.js)"\];', text):
        assert text.index(f'modules["{used[1]}"] = ') < used.start()
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    assert "</script" not in text, "it stands in HTML"


def test_every_sentence_is_there_in_both_languages_and_used() -> None:
    _, english, turkish = re.split(r"^const (?:ENGLISH|TURKISH) = ", read("words.js"), flags=re.MULTILINE)
    own = keys(english)
    assert own == keys(turkish.partition("};")[0])
    code = "".join(one.read_text(encoding="utf-8") for one in CARD.iterdir() if one.name.endswith(".js"))
    used = set(re.findall(r'\bt\("(\w+)"', code)) | set(re.findall(r'"(card_\w+|final_empty)"', code))
    ways = {f"card_way_{way}" for way in ("direct", "proxy", "notebook")}
    page = keys(read("english.js"))
    assert {key for key in own if key.startswith("card_")} - used - ways == {"card_milliseconds", "card_seconds"} - used
    assert used <= {*own, *page}
    assert {key for key in own if key.startswith("problem_")} <= {*page, *(k for k in own if "_token_" in k)}
