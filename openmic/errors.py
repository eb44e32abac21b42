"""One kind of error for everything that a person can do something about.

Each room keeps a table of its problems (``audio/problems.py``, ``server/problems.py``, ...). A row says what
happened, why, and what to do; the code raises it, the wire carries it, the docs print it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Ends = Literal["connection", "server"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a problem table; each part is a ``str.format`` template.

    Attributes:
        what: what happened, as a sentence.
        why: the likely cause, as a sentence.
        hint: what to do now, as a sentence.
        ends: what cannot go on: the client's ``connection`` (it does not speak the protocol), or the ``server``'s work
            (another server may go on with the session); None: neither, or only what was asked for.
    """

    what: str
    why: str
    hint: str
    ends: Ends | None = None


class OpenmicError(Exception):
    """A problem met at run time, with its three parts filled in.

    Attributes:
        code: the row's key, stable for programs (``snake_case``).
        what, why, hint: sentences for a person. They never contain a secret.
        ends: as the row's.
    """

    def __init__(self, code: str, what: str, why: str, hint: str, ends: Ends | None = None) -> None:
        super().__init__(f"{what} {why} {hint}")
        self.code = code
        self.what = what
        self.why = why
        self.hint = hint
        self.ends = ends

    @property
    def message(self) -> str:
        """What happened and why, in one breath (the wire's ``message``)."""
        return f"{self.what} {self.why}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook in place of a traceback."""
        return [self.what, f"Why: {self.why}", f"What to do: {self.hint}"]


class ProblemTable(Mapping[str, Problem]):
    """The problems of one room, by code."""

    def __init__(self, rows: Mapping[str, Problem]) -> None:
        self._rows = dict(rows)

    def error(self, code: str, **details: object) -> OpenmicError:
        """Build the error for ``code`` with ``details`` put into its sentences.

        Raises:
            KeyError: the table has no such code, or a sentence names a detail that is not given.
        """
        row = self._rows[code]
        what, why, hint = (sentence.format(**details) for sentence in (row.what, row.why, row.hint))
        return OpenmicError(code, what, why, hint, row.ends)

    def __getitem__(self, code: str) -> Problem:
        return self._rows[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
