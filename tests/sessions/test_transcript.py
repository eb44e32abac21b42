from __future__ import annotations

from openmic.sessions.events import Committed, Ended, Finalised
from openmic.sessions.transcript import Transcript
from openmic.speech.types import CommittedText, FinalText, LiveText


def live(text: str) -> LiveText:
    return LiveText(text, 0.0, 1.0, audio_seconds=1.0, lag=0.0)


def test_counted_events_are_numbered_without_gaps_and_told_again() -> None:
    transcript = Transcript()
    assert transcript.show(live(" a")).seq == 0
    assert transcript.commit(CommittedText(" one", 0, 1, ())).seq == 1
    assert transcript.show(live(" b")).seq == 1
    assert transcript.commit(CommittedText(" two", 1, 2, ())).seq == 2
    final = transcript.finalise(FinalText(" One two.", "en", 2.0, (), "base"))
    assert (final.seq, final.live_text) == (3, "one two")
    assert [(one.kind, one.old, one.new) for one in final.revised] == [("form", "one", "One"), ("form", "", ".")]
    assert transcript.revised == final.revised
    assert transcript.end("stopped", 2.0) == Ended(4, "stopped", 2.0)
    assert [event.seq for event in transcript.after(0)] == [1, 2, 3, 4]
    assert [type(event) for event in transcript.after(1)] == [Committed, Finalised, Ended]
    assert transcript.after(4) == []
    assert transcript.after(99) == []
    assert len(transcript.after(-5)) == 4


def test_a_commit_takes_its_words_off_the_tail() -> None:
    transcript = Transcript()
    transcript.show(live(" one two"))
    transcript.commit(CommittedText(" one", 0, 1, ()))
    assert transcript.live is None
    assert transcript.committed_text == "one"
    transcript.show(live(" two"))
    transcript.finalise(FinalText("One two.", "en", 2.0, (), "base"))
    assert transcript.live is None
    assert transcript.final is not None
