"""Errors as they come over the wire."""

from __future__ import annotations

from openmic.client.problems import PROBLEMS, from_wire


def test_a_services_error_keeps_its_three_parts() -> None:
    told = PROBLEMS.error("bad_token", host="h")
    error = from_wire({"type": "error", "code": told.code, "message": told.message, "hint": told.hint, "fatal": True})
    assert (error.code, error.what, error.why, error.hint) == (told.code, told.what, told.why, told.hint)
    assert from_wire({"type": "error"}).what == "The service reported an error."
