"""The card as a widget: its posts go to the kernel's side, and what that answers goes back."""

from __future__ import annotations

from typing import Any

import pytest

from openmic.notebook.microphone.display import make_widget


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ipywidgets 7, Colab's, and the ipykernel of its time
def test_a_post_is_answered_through_the_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []

    def answer(post: Any, buffers: Any) -> Any:
        asked.append((post, buffers))
        return {"kind": "hello"} if post["kind"] == "hello" else None

    widget = make_widget(answer)
    sent: list[Any] = []
    monkeypatch.setattr(type(widget), "send", lambda self, content: sent.append(content))
    for kind in ("hello", "bye"):
        widget._handle_custom_msg({"kind": kind}, [b"sound"])
    assert asked == [({"kind": "hello"}, [b"sound"]), ({"kind": "bye"}, [b"sound"])]
    assert sent == [{"kind": "hello"}]
    assert "export default" in widget._esm
    assert ".openmic-mic" in widget._css
