"""What a tunnel is to the rest of openmic."""

from __future__ import annotations

from typing import Protocol


class Tunnel(Protocol):
    """A public URL that leads to a local port, until it is closed."""

    @property
    def name(self) -> str:
        """The provider of the tunnel, as a person calls it ("ngrok")."""

    @property
    def public_url(self) -> str:
        """Where testers and clients find the service; no slash at its end."""

    @property
    def expires(self) -> str | None:
        """How long the URL is good for, as one sentence for the card; None where nothing is known."""

    def alive(self) -> bool:
        """Whether the program behind the tunnel still runs. Asks the operating system only; never blocks."""

    def close(self) -> None:
        """End the tunnel and its program, within some 15 seconds. Calling it again does nothing."""
