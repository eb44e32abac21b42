"""The dashboard: what the service does right now, with a button to refresh and one to stop it.

It changes only from the main thread (a button's callback, a running cell): updates from other threads do not render
in Colab after the cell has ended. What stays in a cell is saved with the notebook, and shown to everybody whom that is
shared with, long after the recording was deleted: so it holds nobody's words, unless the owner wants it to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from openmic.notebook.output import Area
from openmic.notebook.picture import status_html, status_text
from openmic.notebook.status import Status

DELETE = "Delete ended"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Dashboard:
    """Displays itself as the last line of a cell; ``watch`` keeps it moving while a cell runs.

    Args:
        read: gives the status now.
        stop: stops the service.
        delete: deletes all recordings of ended sessions and says how many; None: no button for that.
        words: whether what stays in the cell may hold what people said; ``watch`` shows it while it runs in any case.
    """

    def __init__(
        self,
        read: Callable[[], Status],
        stop: Callable[[], None],
        delete: Callable[[], int] | None = None,
        *,
        words: bool = False,
    ) -> None:
        self._words = words
        self._read = read
        self._stop = stop
        self._delete = delete
        self._sure = False  # the button to delete was clicked once
        self._panel: Any = None
        self._box: Any = None

    def html(self) -> str:
        """The status now, as HTML: the form for front ends without widgets."""
        return status_html(self._read(), words=self._words)

    def refresh(self) -> None:
        """Read the status again and show it."""
        if self._panel is not None:
            self._panel.value = self.html()

    def watch(self, seconds: float = 60.0, every_seconds: float = 0.5) -> None:
        """Show the status in this cell, moving, for ``seconds``, until the service stops, or until interrupted."""
        area, deadline = Area(), time.monotonic() + seconds
        status: Status | None = None
        try:
            while True:
                status = self._read()
                self.refresh()
                left = deadline - time.monotonic()
                if left <= 0 or status.state != "running":
                    break
                area.show(status_html(status), status_text(status))
                time.sleep(min(left, every_seconds))
        except KeyboardInterrupt:
            pass
        if status is not None:  # this is what stays
            area.show(status_html(status, words=self._words), status_text(status, words=self._words))

    def widget(self) -> Any:
        """The same as an ipywidgets box (7.7 or 8) with its buttons.

        Raises:
            ImportError: ipywidgets is not installed.
        """
        if self._box is None:
            import ipywidgets

            self._panel = ipywidgets.HTML(self.html())
            refresh = ipywidgets.Button(description="Refresh", icon="refresh", tooltip="Read the status again")
            stop = ipywidgets.Button(
                description="Stop", icon="stop", button_style="danger", tooltip="Finish all sessions and stop"
            )
            refresh.on_click(lambda _: self.refresh())
            stop.on_click(self._stop_clicked)
            buttons = [refresh, stop]
            if self._delete is not None:
                delete = ipywidgets.Button(
                    description=DELETE, icon="trash", tooltip="Delete sound and text of all ended sessions, now"
                )
                delete.on_click(self._delete_clicked)
                buttons.insert(1, delete)
            self._box = ipywidgets.VBox([self._panel, ipywidgets.HBox(buttons)])
        return self._box

    def _stop_clicked(self, button: Any) -> None:
        button.disabled = True
        self._stop()
        self.refresh()

    def _delete_clicked(self, button: Any) -> None:
        if self._sure and self._delete is not None:
            count = self._delete()
            button.description = f"{count} deleted"
        else:
            button.description = "Really delete?"
        self._sure = not self._sure
        self.refresh()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        status = self._read()
        bundle: dict[str, Any] = {
            "text/html": status_html(status, words=self._words),
            "text/plain": status_text(status, words=self._words),
        }
        try:
            model_id = self.widget().model_id
        except ImportError:
            return bundle
        self.refresh()
        return {**bundle, WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": model_id}}
