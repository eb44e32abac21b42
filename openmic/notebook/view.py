"""What a notebook shows of one service: its cards, its dashboard, and the cell that keeps it on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from openmic.notebook.card import Card
from openmic.notebook.dashboard import Dashboard
from openmic.notebook.output import in_notebook
from openmic.notebook.serving import interruptions, somebody_is_there, stay
from openmic.notebook.status import Status

ALONE_SECONDS = 10.0  # how long a cell keeps the service on where nobody could end it
STOPPED = "Stopped. The link no longer works."
FINISHING = "Stopping: what was said gets its final text first."
GOES_ON = "Stopping goes on behind this cell; mic.stop() waits for its end."
HOW_TO_END = "The service is on. To end it press Stop, or interrupt this cell."
NOBODY_THERE = "Nobody can press anything here, so this cell ends; the service goes on until mic.stop()."


class NotebookView:
    """Shows one service and follows it: what it has shown turns to "ended" with the service.

    Args:
        read: gives the status now; from any thread.
        stop: stops the service.
        delete: deletes all recordings of ended sessions and says how many.
    """

    def __init__(self, read: Callable[[], Status], stop: Callable[[], object], delete: Callable[[], int]) -> None:
        self._read = read
        self._stop = stop
        self._cards: list[Card] = []
        self.dashboard = Dashboard(read, self._stop_now, delete)

    def card(self, card: Card) -> Card:
        """The same card, which is ended with the service if it is displayed."""
        return replace(card, on_shown=self._cards.append)

    def end(self) -> None:
        """The service has ended: no link stays in what was shown."""
        for card in self._cards:
            card.end()
        self.dashboard.refresh()

    def _stop_now(self) -> None:
        self._stop()
        self.end()

    async def serve(self, seconds: float | None) -> None:
        """See ``OpenMic.serve``."""
        alone = seconds is None and not somebody_is_there()
        if in_notebook():
            self.dashboard.place()
        with interruptions() as came, self.dashboard.moved_by_cell():
            print(NOBODY_THERE if alone else HOW_TO_END, flush=True)
            ended = await stay(self._turn, ALONE_SECONDS if alone else seconds, came)
            if ended == "over":
                return
            await self._finish(came)

    def _turn(self) -> bool:
        self.dashboard.move()
        return self._read().state == "running" and not self.dashboard.stop_asked

    async def _finish(self, came: list[int]) -> None:
        """Stop the service beside the cell, which goes on answering: a microphone in it waits for its final text."""
        print(FINISHING, flush=True)
        stopping = threading.Thread(target=self._stop, name="openmic-stop")
        stopping.start()

        def turn() -> bool:
            self.dashboard.move()
            return stopping.is_alive()

        ended = await stay(turn, came=came)
        self.end()
        print(STOPPED if ended == "done" else GOES_ON, flush=True)
