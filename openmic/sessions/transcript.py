"""What a session has said so far: promised words, the unstable tail, the final text, all numbered for a replay."""

from __future__ import annotations

from collections.abc import Iterable

from openmic.sessions.events import Committed, CountedEvent, Ended, Finalised, Live, Reason
from openmic.sessions.text.revisions import Revision, revise
from openmic.speech.types import CommittedText, FinalText, LiveText


class Transcript:
    """One session's texts. Not locked: the session calls it with its own lock held."""

    def __init__(self) -> None:
        self.live: LiveText | None = None
        self.final: FinalText | None = None
        self.revised: tuple[Revision, ...] = ()  # what the final changed of the commits
        self._counted: list[CountedEvent] = []

    @property
    def seq(self) -> int:
        """The number of the last counted event; 0 before the first."""
        return len(self._counted)

    @property
    def commits(self) -> list[CommittedText]:
        """All promised stretches, in order."""
        return [event.committed for event in self._counted if isinstance(event, Committed)]

    @property
    def committed_text(self) -> str:
        """All promised words, as one text."""
        return "".join(commit.text for commit in self.commits).strip()

    def remember(self, counted: Iterable[Committed | Finalised]) -> None:
        """Take over what was told before, in order."""
        for event in counted:
            self._counted.append(event)
            if isinstance(event, Finalised):
                self.final, self.revised = event.final, event.revised

    def show(self, live: LiveText) -> Live:
        """Replace the unstable tail."""
        self.live = live
        return Live(self.seq, live)

    def commit(self, committed: CommittedText) -> Committed:
        """Append promised words; the tail they came from is no longer shown."""
        self.live = None
        event = Committed(self.seq + 1, committed)
        self._counted.append(event)
        return event

    def finalise(self, final: FinalText) -> Finalised:
        """Take the whole recording's text, and compare it with what was promised."""
        self.live = None
        self.final = final
        self.revised = revise(self.commits, final)
        event = Finalised(self.seq + 1, final, self.committed_text, self.revised)
        self._counted.append(event)
        return event

    def end(self, reason: Reason, audio_seconds: float) -> Ended:
        """Close the numbering."""
        event = Ended(self.seq + 1, reason, audio_seconds)
        self._counted.append(event)
        return event

    def after(self, seq: int) -> list[CountedEvent]:
        """The counted events with a number above ``seq``, in order."""
        return self._counted[max(0, seq) :]
