"""The final text before anybody asks for it: in a pause, as if the speaker stopped there.

A speaker who has finished falls silent first and reaches for the button then. A device that has nothing else to do goes
on with the final pass in such a pause, on a copy of it. If the speaker does stop there, the text is ready at once; if
not, the copy is thrown away. Either way the result is the one of a pass that waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmic.speech.final.walk import FinalPass


class Speculation:
    """A copy of a final pass for which the recording is over.

    Args:
        fork: the copy.
        end: seconds at which speech has ended.
    """

    def __init__(self, fork: FinalPass, end: float) -> None:
        self.fork = fork
        self.begin = fork.state.seek
        self.end = end
        self.done = False
        self._steps = fork.walk()

    def step(self) -> None:
        """Do a small step of what is left."""
        self.done = next(self._steps, None) is None
