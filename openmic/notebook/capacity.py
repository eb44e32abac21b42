"""How many people can speak at once with each model on this device, as a picture; to know before sharing a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from openmic.notebook.card import QUIET, STYLE
from openmic.notebook.charts import BLUE, GREEN

MEASURED = "Measured on this device, and again while nobody speaks."
ESTIMATED = (
    "Estimated from it by each model's size, and not tried here: take such a model with openmic.launch(model=...), and "
    "it is measured."
)


@dataclass(frozen=True, slots=True)
class ModelSpeakers:
    """One model: how many speak at once (0: it is too slow for one), whether that was measured, whether it fits."""

    model: str
    speakers: int
    measured: bool
    fits: bool

    @property
    def description(self) -> str:
        """In words."""
        if not self.fits:
            return "too large for this device"
        if not self.speakers:
            return "too slow for live text (estimated)"
        return f"about {self.speakers}{'' if self.measured else ' (estimated)'}"


@dataclass(frozen=True, slots=True)
class CapacityPicture:
    """Displays itself in a notebook; ``str()`` is a table.

    Attributes:
        device: as people call it.
        models: the smallest first; empty where nothing was measured.
        limit: how many the owner lets in (``max_sessions``); 0: as measured.
    """

    device: str
    models: Sequence[ModelSpeakers]
    limit: int = 0

    @property
    def _title(self) -> str:
        return f"How many can speak at once on {self.device}"

    @property
    def _notes(self) -> list[str]:
        if not self.models:
            return ["It was not measured here."]
        limit = [f"You let in {self.limit} (max_sessions), whatever is measured."] if self.limit else []
        return [MEASURED, ESTIMATED, *limit]

    def _repr_html_(self) -> str:
        top = max((one.speakers for one in self.models if one.fits), default=0) or 1
        rows = "".join(_row(one, top) for one in self.models)
        notes = "".join(f'<p style="{QUIET}">{escape(note)}</p>' for note in self._notes)
        return (
            f'<div style="{STYLE}"><strong>{escape(self._title)}</strong>'
            f'<div style="display:grid;grid-template-columns:max-content minmax(80px,1fr) max-content;gap:6px 12px;'
            f'align-items:center;margin:.7em 0">{rows}</div>{notes}</div>'
        )

    def __str__(self) -> str:
        rows = [f"  {one.model:10} {one.description}" for one in self.models]
        return "\n".join([self._title, *rows, *(f"  {note}" for note in self._notes)])


def _row(one: ModelSpeakers, top: int) -> str:
    """Name, bar, number; what is estimated is pale."""
    colour, opacity = (GREEN, 1.0) if one.measured else (BLUE, 0.5)
    style = f"width:{100 * one.speakers / top:.1f}%;min-width:3px;background:{colour};opacity:{opacity}"
    bar = f'<div style="{style}"></div>' if one.fits and one.speakers else ""
    name = f"<strong>{escape(one.model)}</strong>" if one.measured else escape(one.model)
    faint = "" if one.fits and one.speakers else "opacity:.6"
    return (
        f'<div style="{faint}">{name}</div><div style="display:flex;height:14px;border-radius:4px;overflow:hidden">'
        f'{bar}</div><div style="font-variant-numeric:tabular-nums;{faint}">{escape(one.description)}</div>'
    )
