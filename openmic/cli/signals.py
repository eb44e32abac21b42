"""Ctrl-C and SIGTERM: the first asks for an end, the second ends at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """A second Ctrl-C or SIGTERM: end at once."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_status = 128 + signal_number


class EndSignals:
    """Ctrl-C and SIGTERM while this is entered: the first sets ``asked``, the second raises ``Interrupted``."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> EndSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            raise Interrupted(number)
        self.asked.set()
