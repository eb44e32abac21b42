"""From a link to an address."""

from __future__ import annotations

import pytest

from openmic.client import parse_link
from openmic.client.link import link_token
from openmic.errors import OpenmicError


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://name.ngrok-free.app/#token=abc", "wss://name.ngrok-free.app/v1/stream"),
        ("http://127.0.0.1:8000#token=abc", "ws://127.0.0.1:8000/v1/stream"),
        ("127.0.0.1:8000/#token=abc", "ws://127.0.0.1:8000/v1/stream"),
        ("name.example/#token=abc", "wss://name.example/v1/stream"),
        ("wss://name.example/v1/stream#token=abc", "wss://name.example/v1/stream"),
        ("https://name.example/below/?x=1#lang=tr&token=abc", "wss://name.example/below/v1/stream"),
        (" http://[::1]:9/#token=abc ", "ws://[::1]:9/v1/stream"),
    ],
)
def test_links_become_addresses(link: str, url: str) -> None:
    address = parse_link(link)
    assert (address.url, address.token) == (url, "abc")
    assert "abc" not in repr(address)


@pytest.mark.parametrize("link", ["ftp://host/#token=a", "https:///#token=a", "", "http://host:x/#token=a"])
def test_bad_links_are_refused_without_showing_the_token(link: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        parse_link(link)
    assert caught.value.code == "bad_url"
    assert "token=" not in str(caught.value)


def test_a_token_must_be_there_and_a_given_one_wins() -> None:
    with pytest.raises(OpenmicError, match="No token") as caught:
        parse_link("https://host/")
    assert caught.value.code == "no_token"
    assert parse_link("https://host/#token=old", "new").token == "new"


def test_a_link_has_a_token_or_none() -> None:
    assert link_token("https://friend/#lang=tr&token=abc") == "abc"
    assert link_token("https://friend/") is None
    assert link_token("https://friend/#token=") is None


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("https://a.example", "https://b.example", True),
        ("https://a.example", "http://b.example", False),
        ("https://a.example", "http://127.0.0.1:8000", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000", True),
        ("http://127.0.0.1:8000", "https://b.example", True),
    ],
)
def test_a_stream_never_moves_from_an_encrypted_address_to_one_that_is_not(here: str, there: str, may: bool) -> None:
    assert parse_link(here, "token").may_lead_to(parse_link(there, "token")) == may
