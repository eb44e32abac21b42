"""A kernel as Colab runs it: what processes write to their own stderr is not shown, and cells may be queued at once."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

START_SECONDS = 120.0
CELL_SECONDS = 240.0
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Cell:
    """A cell that was sent, and what a reader sees beneath it so far.

    Attributes:
        seen: its printed texts, displays and errors in order; a display that was replaced stands as it is now.
        status: ``ok``, ``error`` or ``aborted`` once it has ended, else "".
        ended_at: when it had ended (``time.monotonic``).
    """

    ident: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    status: str = ""
    ended_at: float = 0.0

    @property
    def text(self) -> str:
        """What was printed, and the errors as they are shown, without colours."""
        parts = [one.get("text") or "\n".join(one.get("traceback", ())) for one in self.seen]
        return ANSI.sub("", "".join(parts))

    @property
    def html(self) -> str:
        """All displays that have HTML."""
        return "".join(one.get("data", {}).get("text/html", "") for one in self.seen)


class Kernel:
    """A running kernel and a client of it."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client
        self._cells: dict[str, Cell] = {}
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self.comm_messages: list[tuple[float, dict[str, Any]]] = []
        self._widgets: dict[str, dict[str, Any]] = {}
        self.colab_requests: list[dict[str, Any]] = []

    def send(self, code: str, *, allow_stdin: bool = True) -> Cell:
        """Queue a cell, as pressing it does; waits for nothing."""
        ident = self._client.execute(code, allow_stdin=allow_stdin)
        self._cells[ident] = Cell(ident)
        return self._cells[ident]

    def run(self, code: str, *, allow_stdin: bool = True) -> Cell:
        """Run one cell to its end."""
        cell = self.send(code, allow_stdin=allow_stdin)
        self.wait([cell])
        return cell

    def send_comm(
        self, kind: str, content: Mapping[str, Any], buffers: Sequence[bytes] = (), subshell: str = ""
    ) -> str:
        """Send a comm message, to a subshell if one is named; returns its id, which answers name as their parent."""
        message = self._client.session.msg(kind, dict(content))
        if subshell:
            message["header"]["subshell_id"] = subshell
        self._client.session.send(self._client.shell_channel.socket, message, buffers=list(buffers))
        return str(message["header"]["msg_id"])

    def subshell(self) -> str:
        """Make a subshell, as JupyterLab does for comm messages; its id."""
        self._client.session.send(
            self._client.control_channel.socket, self._client.session.msg("create_subshell_request", {})
        )
        return str(self._client.control_channel.get_msg(timeout=START_SECONDS)["content"]["subshell_id"])

    def reply_to_colab(self, request: Mapping[str, Any], data: Any) -> None:
        """Answer what a cell asked Colab's page, the way that page does."""
        value = {"type": "colab_reply", "colab_msg_id": request["metadata"]["colab_msg_id"], "data": data}
        self._client.session.send(
            self._client.stdin_channel.socket, self._client.session.msg("input_reply", {"value": value})
        )

    def click(self, description: str) -> None:
        """Press the newest button that says this, once it is there."""
        self.wait_for(lambda: self._buttons(description))
        model_id = self._buttons(description)[-1]
        self.send_comm("comm_msg", {"comm_id": model_id, "data": {"method": "custom", "content": {"event": "click"}}})

    def _buttons(self, description: str) -> list[str]:
        return [ident for ident, state in self._widgets.items() if state.get("description") == description]

    def interrupt(self) -> None:
        """Press the button that interrupts the running cell."""
        self._manager.interrupt_kernel()

    def wait(self, cells: Sequence[Cell], seconds: float = CELL_SECONDS) -> None:
        """Read what comes until all these cells have ended."""
        self.wait_for(lambda: all(cell.status and cell.ended_at for cell in cells), seconds)

    def wait_for(self, condition: Callable[[], object], seconds: float = CELL_SECONDS) -> None:
        """Read what comes until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, [(cell.status, cell.text[-2000:]) for cell in self._cells.values()]
            self.read(0.1)

    def read(self, seconds: float) -> None:
        """Take in what comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._take_replies()
            try:
                self._take(self._client.get_iopub_msg(timeout=left))
            except Empty:
                continue
        self._take_replies()

    def _take_replies(self) -> None:
        while True:
            try:
                reply = self._client.get_shell_msg(timeout=0)
            except Empty:
                return
            cell = self._cells.get(reply["parent_header"].get("msg_id", ""))
            if cell is not None and reply["msg_type"] == "execute_reply":
                cell.status = reply["content"]["status"]
                cell.ended_at = cell.ended_at or (time.monotonic() if cell.status == "aborted" else 0.0)

    def _take(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_msg":
            self.comm_messages.append((time.monotonic(), message))
            self._widgets.get(content["comm_id"], {}).update(content["data"].get("state", {}))
        elif kind == "comm_open":
            self._widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "colab_request":
            self.colab_requests.append(message)
        shown_as = content.get("transient", {}).get("display_id", "") if kind.endswith("display_data") else ""
        if kind == "update_display_data":
            for one in self._displays.get(shown_as, []):
                one["data"] = content["data"]
            return
        cell = self._cells.get(message["parent_header"].get("msg_id", ""))
        if cell is None:
            return
        if kind in ("stream", "error", "display_data", "execute_result"):
            cell.seen.append(dict(content))
            if shown_as:
                self._displays.setdefault(shown_as, []).append(cell.seen[-1])
        elif kind == "status" and content["execution_state"] == "idle":
            cell.ended_at = time.monotonic()


@contextmanager
def running_kernel(
    folder: Path, environment: Mapping[str, str] | None = None, python: str = sys.executable
) -> Iterator[Kernel]:
    """A kernel in ``folder``; ended with the block, what runs in it gets the time to stop."""
    manager = KernelManager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[:] = [
        *(python, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "--IPKernelApp.capture_fd_output=False",  # as Colab sets it
    ]
    manager.start_kernel(cwd=str(folder), env={**os.environ, **(environment or {})})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=START_SECONDS)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        for context in (client.context, manager.context):  # left to the garbage collector they warn in some later test
            context.destroy(linger=0)
