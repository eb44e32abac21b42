"""The dashboard: what the service does right now, as a picture that moves, with buttons beneath it.

The picture is a display of the notebook, so that it stays in the saved file and in what nbconvert makes of it; only the
buttons are widgets. It is drawn by:

- a cell that stays (``mic.serve()``), everywhere;
- a thread, where the front end draws what threads send: everywhere but in Colab;
- a button, at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openmic.notebook.output import Area, in_colab, in_notebook
from openmic.notebook.picture import status_html, status_text
from openmic.notebook.status import Status

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MOVE_SECONDS = 1.0  # between two pictures while somebody speaks,
IDLE_SECONDS = 10.0  # and while nobody does
DELETE, SURE = "Delete ended", "Really delete?"
SHOW, HIDE = "Show what is said", "Hide what is said"


class Dashboard:
    """Displays itself as the last line of a cell, again and again the same one.

    Args:
        read: gives the status now.
        stop: stops the service.
        delete: deletes all recordings of ended sessions and says how many; None: no button for that.

    Attributes:
        words: whether what people say is shown. Outputs are saved with the notebook, so it is not unless asked for.
        stop_asked: whether Stop was pressed while a cell stays; that cell stops the service then.
    """

    def __init__(
        self, read: Callable[[], Status], stop: Callable[[], None], delete: Callable[[], int] | None = None
    ) -> None:
        self._read = read
        self._stop = stop
        self._delete = delete
        self._area = Area()
        self._buttons: Any = None
        self._sure = False  # the button to delete was clicked once
        self._drawn_at = 0.0
        self._staying = False
        self._thread: threading.Thread | None = None
        self.words = False
        self.stop_asked = False

    def html(self) -> str:
        """The picture now, as HTML."""
        return status_html(self._read(), self.words)

    def refresh(self) -> None:
        """Draw the picture again, wherever it is shown."""
        if self._area.shown:
            self._draw(self._read())

    def move(self) -> None:
        """Draw the picture again if it is time for that; for a loop."""
        waited = time.monotonic() - self._drawn_at
        if waited >= MOVE_SECONDS:
            status = self._read()
            if waited >= IDLE_SECONDS or status.speaking or status.state != "running":
                self._draw(status)

    def place(self) -> None:
        """Show it in the running cell."""
        import IPython.display

        status = self._read()
        self._area.place(status_html(status, self.words), status_text(status, self.words))
        self._drawn_at = time.monotonic()
        display: Any = IPython.display.display
        buttons = self.buttons()
        if buttons is not None and status.state == "running":
            view = {"version_major": 2, "version_minor": 0, "model_id": buttons.model_id}
            display({WIDGET_VIEW: view, "text/plain": ""}, raw=True)
        if self._thread is None and not in_colab() and in_notebook():
            self._thread = threading.Thread(target=self._follow, name="openmic-dashboard", daemon=True)
            self._thread.start()

    @contextmanager
    def moved_by_cell(self) -> Iterator[None]:
        """A cell stays in this block and calls ``move``: nobody else draws, and Stop is that cell's to carry out."""
        self._staying = True
        try:
            yield
        finally:
            self._staying = self.stop_asked = False

    def buttons(self) -> Any:
        """The ipywidgets box (7.7 or 8) of buttons, the same one each time; None where ipywidgets is not installed."""
        if self._buttons is None:
            try:
                import ipywidgets
            except ImportError:
                return None
            told, icon = (HIDE, "eye-slash") if self.words else (SHOW, "eye")
            words = ipywidgets.Button(description=told, icon=icon, tooltip="What people say is saved with the notebook")
            refresh = ipywidgets.Button(description="Refresh", icon="refresh", tooltip="Draw it again")
            stop = ipywidgets.Button(
                description="Stop", icon="stop", button_style="danger", tooltip="Finish what was said, and stop"
            )
            words.on_click(self._words_clicked)
            refresh.on_click(lambda _: self.refresh())
            stop.on_click(self._stop_clicked)
            buttons = [words, refresh, stop]
            if self._delete is not None:
                delete = ipywidgets.Button(
                    description=DELETE, icon="trash", tooltip="Delete sound and text of all ended sessions, now"
                )
                delete.on_click(self._delete_clicked)
                buttons.insert(2, delete)
            self._buttons = ipywidgets.HBox(buttons)
        return self._buttons

    def _draw(self, status: Status) -> None:
        self._drawn_at = time.monotonic()
        self._area.update(status_html(status, self.words), status_text(status, self.words))

    def _follow(self) -> None:
        """Keep the picture moving while no cell does, until the service has stopped."""
        running = True
        while running:
            time.sleep(MOVE_SECONDS)
            running = self._read().state == "running"
            if not self._staying:
                self.move()
        self._thread = None

    def show_words(self, words: bool) -> None:
        """Show what people say, or hide it."""
        self.words = words
        if self._buttons is not None:
            button = self._buttons.children[0]
            button.description, button.icon = (HIDE, "eye-slash") if words else (SHOW, "eye")
        self.refresh()

    def _words_clicked(self, _: Any) -> None:
        self.show_words(not self.words)

    def _stop_clicked(self, button: Any) -> None:
        button.disabled = True
        if self._staying:
            self.stop_asked = True
            return
        self._stop()
        self.refresh()

    def _delete_clicked(self, button: Any) -> None:
        if self._sure and self._delete is not None:
            count = self._delete()
            button.description = f"{count} deleted"
        else:
            button.description = SURE
        self._sure = not self._sure
        self.refresh()

    def _ipython_display_(self) -> None:
        self.place()
