"""The parameters that a vendor's SDK puts into its handshake's query, and what of them cannot be done here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from starlette.datastructures import QueryParams

from openmic.server.dialects.vendor import to_terms
from openmic.server.problems import PROBLEMS
from openmic.sessions.types import Term

TRUE = ("true", "1", "yes", "on")
FALSE = ("", "false", "0", "no", "off", "none", "null", "[]", "{}")


class Query:
    """One query; booleans as any SDK writes them, lists repeated or as JSON.

    Args:
        parameters: of the request.
    """

    def __init__(self, parameters: QueryParams) -> None:
        self._parameters = parameters

    def text(self, name: str) -> str | None:
        """The parameter's text; None where it is left out or empty."""
        return self._parameters.get(name) or None

    def texts(self, *names: str) -> list[str]:
        """All values of these parameters; one that is a JSON list gives its items."""
        values: list[str] = []
        for name in names:
            for value in self._parameters.getlist(name):
                values += _items(value)
        return values

    def flag(self, name: str) -> bool:
        """A boolean; False where it is left out.

        Raises:
            OpenmicError: ``bad_request``.
        """
        value = self._parameters.get(name, "").lower()
        if value in TRUE:
            return True
        if value in FALSE:
            return False
        raise PROBLEMS.error("bad_request", detail=f"`{name}` is true or false, not {value[:40]!r}")

    def number(self, name: str) -> float | None:
        """A number; None where it is left out.

        Raises:
            OpenmicError: ``bad_request``.
        """
        value = self._parameters.get(name)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise PROBLEMS.error("bad_request", detail=f"`{name}` is a number, not {value[:40]!r}")
        return number

    def seconds(self, name: str) -> float | None:
        """A number of milliseconds, in seconds; None where it is left out.

        Raises:
            OpenmicError: ``bad_request``.
        """
        milliseconds = self.number(name)
        return None if milliseconds is None else milliseconds / 1000

    def integer(self, name: str) -> int | None:
        """A whole number; None where it is left out.

        Raises:
            OpenmicError: ``bad_request``.
        """
        number = self.number(name)
        if number is not None and number != int(number):
            raise PROBLEMS.error("bad_request", detail=f"`{name}` is a whole number")
        return None if number is None else int(number)

    def asks_for(self, name: str) -> bool:
        """Whether the parameter is there and not false or empty."""
        return any(value.lower() not in FALSE for value in self._parameters.getlist(name))

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """Refuse what is asked for and cannot be done.

        Args:
            reasons: by parameter, why.

        Raises:
            OpenmicError: ``not_offered``.
        """
        for name, reason in reasons.items():
            if self.asks_for(name):
                raise PROBLEMS.error("not_offered", name=f"`{name}`", detail=reason)

    def terms(self, *names: str) -> tuple[Term, ...]:
        """Names and terms to listen for; a weight behind a term's last colon is left out."""
        return to_terms(_without_weight(term) for term in self.texts(*names))


def _items(value: str) -> list[str]:
    if value.startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            return [value]
        return [item for item in items if isinstance(item, str)]
    return [value] if value else []


def _without_weight(term: str) -> str:
    name, colon, weight = term.rpartition(":")
    try:
        float(weight)
    except ValueError:
        return term.strip()
    return name.strip() if colon else term.strip()
