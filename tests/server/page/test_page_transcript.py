"""The page's transcript by itself, in Chromium: paragraphs, the unstable tail, and what the final changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.page_driver import link
from tests.support.scripted_engine import ScriptedServer

Run = Callable[..., Any]


@pytest.fixture
def run(new_page: Callable[..., Page], service: ScriptedServer) -> Run:
    """Run JavaScript over a fresh transcript named ``it``; gives back its value and the texts that are shown."""
    page = new_page()
    page.goto(link(service))

    def run(script: str) -> Any:
        return page.evaluate(
            f"""import("./transcript.js").then(({{ Transcript, clock }}) => {{
                const root = document.createElement("div");
                const it = new Transcript(root);
                const value = (() => {{ {script} }})();
                const text = (found) => [...root.querySelectorAll(found)].map((element) => element.textContent);
                return {{ value, rows: text(".said"), times: text(".time"), tail: text(".tail") }};
            }})"""
        )

    return run


def test_commits_join_into_paragraphs_until_a_pause(run: Run) -> None:
    shown = run("""
        it.commit({ text: " Good morning", start: 0.5, end: 2 });
        it.commit({ text: " to all.", start: 2.1, end: 3 });
        it.commit({ text: " Now the news.", start: 65.2, end: 67 });
        return it.text;
    """)
    assert shown["rows"] == ["Good morning to all.", "Now the news."]
    assert shown["times"] == ["0:00", "1:05"]
    assert shown["value"] == "Good morning to all.\nNow the news."


def test_a_long_paragraph_ends_with_its_sentence(run: Run) -> None:
    sentence = " This sentence is of middling length, and there are many of it."
    shown = run(f"""
        for (let i = 0; i < 8; i += 1) it.commit({{ text: "{sentence}", start: i, end: i + 1 }});
    """)
    assert len(shown["rows"]) == 2
    assert all(row.endswith("of it.") for row in shown["rows"])


def test_the_tail_is_replaced_and_goes_when_its_words_are_settled(run: Run) -> None:
    shown = run("""
        it.commit({ text: " One", start: 0, end: 1 });
        it.live({ text: " too free", start: 1, end: 2 });
        it.live({ text: " two three", start: 1, end: 2 });
    """)
    assert (shown["rows"], shown["tail"]) == (["One"], [" two three"])
    shown = run("""
        it.live({ text: " One", start: 0, end: 1 });
        it.commit({ text: " One", start: 0, end: 1 });
        it.live({ text: "", start: 1, end: 1 });
    """)
    assert (shown["rows"], shown["tail"]) == (["One"], [])


def test_a_tail_after_a_pause_that_comes_to_nothing_leaves_no_empty_paragraph(run: Run) -> None:
    shown = run("""
        it.commit({ text: " One", start: 0, end: 1 });
        it.live({ text: " hm", start: 9, end: 9.5 });
        it.live({ text: "", start: 9.5, end: 9.5 });
    """)
    assert (shown["rows"], shown["times"]) == (["One"], ["0:00"])


def test_a_tail_that_no_one_will_settle_becomes_text(run: Run) -> None:
    shown = run("""
        it.commit({ text: " One", start: 0, end: 1 });
        it.live({ text: " two", start: 1, end: 2 });
        it.settle();
        return it.text;
    """)
    assert (shown["value"], shown["tail"]) == ("One two", [])


def test_the_final_takes_the_place_of_everything(run: Run) -> None:
    shown = run("""
        it.commit({ text: " The keepers left letters behind, and", start: 0, end: 3 });
        it.live({ text: " wrote every day", start: 3, end: 4 });
        return it.final({
            text: " The keepers left ledgers behind. They wrote.",
            segments: [
                { text: " The keepers left ledgers behind.", start: 0, end: 2 },
                { text: " They wrote.", start: 5, end: 6 },
            ],
            revised: [],
        });
    """)
    assert shown["value"] == 0
    assert shown["rows"] == ["The keepers left ledgers behind.", "They wrote."]
    assert shown["times"] == ["0:00", "0:05"]
    assert shown["tail"] == []


def test_times_are_written_as_on_a_clock(run: Run) -> None:
    assert run("return [0, 9.9, 65, 3700].map(clock)")["value"] == ["0:00", "0:09", "1:05", "1:01:40"]
