"""What a listener shows at a moment: all that is promised, and behind it the unstable tail."""

from __future__ import annotations

from dataclasses import dataclass

from openmic.client.result import Message


@dataclass(slots=True)
class Caption:
    """Takes messages in order; ``committed`` only grows until a ``final`` replaces everything."""

    committed: str = ""
    live: str = ""

    def update(self, message: Message) -> bool:
        """Take a message; True if what is to be shown has changed."""
        before = (self.committed, self.live)
        match message["type"]:
            case "live":
                self.live = str(message["text"])
            case "commit":
                self.committed += str(message["text"])
                self.live = ""
            case "final":
                self.committed, self.live = str(message["text"]), ""
        return before != (self.committed, self.live)

    @property
    def text(self) -> str:
        """Everything, as one text."""
        return (self.committed + self.live).strip()
