"""What a listener shows."""

from __future__ import annotations

from openmic.client.caption import Caption


def test_a_caption_follows_the_messages() -> None:
    caption = Caption()
    assert caption.update({"type": "live", "text": " hello wor"})
    assert caption.update({"type": "commit", "text": " hello"})
    assert caption.update({"type": "live", "text": " world"})
    assert not caption.update({"type": "live", "text": " world"})
    assert not caption.update({"type": "speech", "state": "ended", "at": 1.0})
    assert (caption.committed, caption.live, caption.text) == (" hello", " world", "hello world")
    assert caption.update({"type": "final", "text": "Hello, world."})
    assert (caption.text, caption.live) == ("Hello, world.", "")
