from __future__ import annotations

import pytest

from openmic.errors import OpenmicError
from openmic.server.access.tokens import TokenStore


def code_of(keys: TokenStore, shown: str | None) -> str:
    with pytest.raises(OpenmicError) as caught:
        keys.find(shown)
    return caught.value.code


def test_each_token_opens_what_it_was_made_for() -> None:
    keys = TokenStore()
    tester, for_testers = keys.make("tester")
    owner, for_the_owner = keys.make("owner", secret="my own")
    assert for_the_owner == "my own"
    assert keys.find(for_testers) == tester
    assert keys.find("my own") == owner
    assert (tester.use, owner.use) == ("tester", "owner")
    assert len(for_testers) >= 32
    assert keys.list() == (tester, owner)


def test_what_is_no_token_of_this_server() -> None:
    keys = TokenStore()
    keys.make("owner", secret="right")
    assert code_of(keys, None) == "token_missing"
    for wrong in ("", "Right", "right ", "wröng", "\ud800", "x" * 10_000):
        assert code_of(keys, wrong) == "token_wrong"


def test_a_life_ends() -> None:
    keys = TokenStore()
    key, secret = keys.make("tester", seconds=1e-6)
    assert keys.find(secret) == key
    assert key.expired
    with pytest.raises(OpenmicError) as caught:
        key.check_alive()
    assert caught.value.code == "token_expired"
    long, _ = keys.make("tester", seconds=3600)
    long.check_alive()


@pytest.mark.parametrize("by", ["id", "text"])
def test_a_token_that_is_taken_back_opens_nothing_and_its_watchers_are_told(by: str) -> None:
    keys = TokenStore()
    key, secret = keys.make("tester")
    other, _ = keys.make("tester")
    told: list[str] = []
    keys.watch("one", key, lambda: told.append("one"))
    keys.watch("two", key, lambda: told.append("two"))
    keys.watch("of another", other, lambda: told.append("of another"))
    keys.unwatch("two")
    keys.unwatch("nobody")
    assert keys.revoke(key.id if by == "id" else secret).revoked
    assert told == ["one"]
    assert code_of(keys, secret) == "token_revoked"
    with pytest.raises(OpenmicError) as caught:
        keys.watch("too late", key, lambda: None)
    assert caught.value.code == "token_revoked"
    assert [one.revoked for one in keys.list()] == [True, False]
    with pytest.raises(OpenmicError) as caught:
        keys.revoke("nothing of ours")
    assert caught.value.code == "no_such_token"


@pytest.mark.parametrize(
    "wrong", [{"use": "guest"}, {"use": "tester", "seconds": 0}, {"use": "tester", "seconds": float("nan")}]
)
def test_a_token_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(OpenmicError) as caught:
        TokenStore().make(**wrong)  # type: ignore[arg-type]
    assert caught.value.code == "bad_token_request"


def test_no_text_twice_and_none_shown() -> None:
    keys = TokenStore()
    key, secret = keys.make("tester")
    with pytest.raises(OpenmicError) as caught:
        keys.make("owner", secret=secret)
    assert caught.value.code == "bad_token_request"
    assert secret not in str(caught.value) + repr(key) + repr(keys.list()) + repr(vars(keys))
