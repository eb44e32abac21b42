"""Origins as people write them are origins as browsers send them."""

from __future__ import annotations

import pytest

from openmic.errors import OpenmicError
from openmic.origins import parse_origins
from openmic.service.arguments import make_settings


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example https://b.example:8443",
        "https://a.example,https://b.example:8443",
        "https://a.example, https://b.example:8443 ",
        "https://a.example;https://b.example:8443/",
        "HTTPS://A.example:443/ https://b.example:8443",
    ],
)
def test_lists(text: str) -> None:
    assert parse_origins(text) == {"https://a.example", "https://b.example:8443"}


@pytest.mark.parametrize(
    "text",
    [
        "a.example",
        "https://*.example",
        "https://a.example/app",
        '"https://a.example"',
        '["https://a.example"]',
        "ftp://a.example",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(OpenmicError) as refused:
        make_settings(allowed_origins=text)
    assert refused.value.code == "bad_setting"
    assert "https://example.org" in str(refused.value) or "is no origin" in str(refused.value)


def test_all_and_none() -> None:
    assert parse_origins("*") == {"*"}
    assert parse_origins("") == frozenset()
