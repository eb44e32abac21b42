"""What all tunnels share whose other end is a program of ours: it is ended once, at the latest with the interpreter."""

from __future__ import annotations

import atexit
import subprocess
import threading
from abc import ABC, abstractmethod
from typing import Any

from openmic.tunnels.agents import AgentFolder


class AgentTunnel(ABC):
    """A public URL and the program that serves it; see ``Tunnel``.

    Args:
        public_url: without a slash at its end.
        program: what runs.
        folder: its private folder, removed with it.
    """

    def __init__(self, public_url: str, program: subprocess.Popen[Any], folder: AgentFolder) -> None:
        self.public_url = public_url
        self._program = program
        self._folder = folder
        self._closing = threading.Lock()
        self._closed = False
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.public_url}>"

    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._program.poll() is None

    def close(self) -> None:
        """End the program and remove its folder; again: nothing, or what an interruption left."""
        with self._closing:
            if self._closed:
                return
            try:
                self._end()
            except BaseException:
                self._program.kill()  # an interruption waits for no sign-off, but the link must lead nowhere
                raise
            self._folder.remove()
            self._closed = True
            atexit.unregister(self.close)

    @abstractmethod
    def _end(self) -> None:
        """Take the program to its end; called again where that was interrupted."""
