"""Fixtures for tests of the tester's page: a browser, pages, the real server over a scripted engine, a line between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.page_driver import PATIENCE_MS, PHONE, TOKEN, Line
from tests.support.scripted_engine import ScriptedServer, scripted_server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    """The real server over the scripted engine."""
    with scripted_server(tmp_path_factory.mktemp("page"), token=TOKEN, max_sessions=50) as running:
        yield running
        running.engine.may_finish.set()


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


@pytest.fixture
def line(service: ScriptedServer) -> Iterator[Line]:
    made = Line(service.url)
    yield made
    made.close()
