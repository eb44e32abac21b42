"""One stream inside the engine: what its session told it, and what it wants done next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from whisper.audio import HOP_LENGTH

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.errors import OpenmicError
from openmic.speech.engine.utterances import Utterances
from openmic.speech.final.walk import FinalModel, FinalPass, Walk
from openmic.speech.final.walk_state import WalkState
from openmic.speech.glossary import LIVE_TERM_TOKENS, Glossary
from openmic.speech.live.hypothesis import Hypothesis, StepCache, StepInput, TimedWord
from openmic.speech.live.language import LanguageEvidence
from openmic.speech.live.policy import CommitPolicy, PolicyUpdate
from openmic.speech.types import (
    CommittedText,
    FinalProgress,
    FinalWindow,
    LiveText,
    OnEvent,
    Recording,
    SpeechEvent,
    SpeechFailed,
    SpeechOptions,
    Word,
)

SKIP_BACKLOG_SECONDS = 30.0  # live text this far behind is given up once the client has stopped: the final is next
PROGRESS_SECONDS = 1.0  # between two words about how far the final pass is
FAR_BEHIND_SECONDS = 60.0  # a final pass this far behind says so while audio still comes


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A live step that a stream wants.

    Attributes:
        start_sample, end_sample: its window, on the stream's clock.
        endpoint: the window ends where speech ended.
        behind: more audio waits than one window holds.
    """

    start_sample: int
    end_sample: int
    endpoint: bool
    behind: bool


@dataclass(slots=True, eq=False)
class EngineStream:
    """Implements ``openmic.speech.types.SpeechStream``. Everything but its four methods belongs to the engine's thread.

    Attributes:
        recording: the samples so far.
        options: what the client asked for.
        final: the final pass, and ``walk`` its generator.
        on_event: where events go.
        finished: the client has stopped; ``live_over``: and all live steps are done.
        abandoned: the session has gone; ``over``: the last event was sent.
        utterances: where they begin and end.
        wake: called after every change that may mean work.
        step_samples: new audio after which a live step is due.
        window_samples: longest window of a live step.
    """

    recording: Recording
    options: SpeechOptions
    final: FinalPass
    walk: Walk
    on_event: OnEvent
    wake: Callable[[], None]
    step_samples: int
    window_samples: int
    policy: CommitPolicy = field(default_factory=CommitPolicy)
    memory: StepCache = field(default_factory=StepCache)
    languages: LanguageEvidence = field(default_factory=LanguageEvidence)
    _glossary: Glossary | None = None
    _memory_from: int = 0
    _heard_language: str | None = None
    finished: bool = False
    abandoned: bool = False
    over: bool = False
    live_over: bool = False
    utterances: Utterances = field(init=False)
    _inbox: deque[SpeechBoundary] = field(default_factory=deque)
    _changes: deque[SpeechOptions] = field(default_factory=deque)
    _committed_until_seconds: float = 0.0
    _stepped_to: int = 0
    _showing: bool = False
    _progress_sent_at: float | None = None
    _windows_told: int = 0
    _segments_told: int = 0

    def __post_init__(self) -> None:
        self.utterances = Utterances(self.send)

    @classmethod
    def of(
        cls,
        model: FinalModel,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        live_step_every_seconds: float,
        max_live_window_seconds: float,
        wake: Callable[[], None] = lambda: None,
        policy: CommitPolicy | None = None,
    ) -> EngineStream:
        """A stream of which nothing has been decoded yet.

        Args:
            model: what its final pass works with.
            recording: its samples so far.
            options: what the client asked for.
            on_event: where events go.
            live_step_every_seconds: new audio after which a live step is due.
            max_live_window_seconds: longest window of a live step.
            wake: called after every change that may mean work.
            policy: which words are committed when.
        """
        final = FinalPass(model, recording, options)
        return cls(
            recording=recording,
            options=options,
            final=final,
            walk=final.walk(),
            on_event=on_event,
            wake=wake,
            step_samples=round(live_step_every_seconds * SAMPLE_RATE),
            window_samples=round(max_live_window_seconds * SAMPLE_RATE),
            policy=policy or CommitPolicy(),
        )

    def add_boundaries(self, boundaries: Sequence[SpeechBoundary]) -> None:
        """See ``SpeechStream.add_boundaries``."""
        self._inbox.extend(boundaries)
        self.final.timeline.add_boundaries(boundaries, len(self.recording) / SAMPLE_RATE)
        self.wake()

    def flush(self) -> None:
        """See ``SpeechStream.flush``."""
        self.utterances.flush(len(self.recording))
        self.wake()

    def change(self, options: SpeechOptions) -> None:
        """See ``SpeechStream.change``."""
        self._changes.append(options)
        self.wake()

    def finish(self) -> None:
        """See ``SpeechStream.finish``."""
        self.finished = True
        self.wake()

    def abandon(self) -> None:
        """See ``SpeechStream.abandon``."""
        self.abandoned = True
        self.wake()

    def go_on(self, words: Sequence[TimedWord]) -> None:
        """Begin behind ``words``, which were committed before this stream was opened; call it first."""
        self.final.live_tokens.extend((word.start, word.tokens) for word in words)
        self.policy.go_on(words)
        self._committed_until_seconds = words[-1].end

    def go_on_final(self, walked: Sequence[FinalWindow]) -> None:
        """Have the final pass go on behind what was walked before this stream was opened; call it first."""
        self.final.state = WalkState.after(walked, self.final.parts.name)
        self._segments_told = len(self.final.state.segments)

    def due_step(self) -> StepPlan | None:
        """The live step this stream wants now, if any; endpoints that need no decoding are carried out on the way."""
        while plan := self.plan():
            if self.needs_decoding(plan):
                return plan
            self.close_utterance(plan)
        return None

    def plan(self) -> StepPlan | None:
        """The live step or the endpoint that comes next, if any; takes in what its session has told it."""
        finished = self.finished  # read first: after it, the recording does not grow
        length = len(self.recording)
        while self._changes:
            changed = self._changes.popleft()
            self.options = replace(self.options, prompt=changed.prompt, vocabulary=changed.vocabulary)
            self._glossary = None
            self.final.change(self.options)
        while self._inbox:
            self._take_in(self._inbox.popleft())
        utterances, behind_samples = self.utterances, length - self.policy.window_start
        if finished and behind_samples > SKIP_BACKLOG_SECONDS * SAMPLE_RATE and utterances.speaking:
            self.memory.clear()
            self._show((), length)
            utterances.give_up()
        if not utterances.speaking:
            begin = utterances.next_begin()
            if begin is None:
                utterances.answer_flushes(length)
                self.live_over = finished
                return None
            self.policy.skip_to(begin)
            self._stepped_to = self.policy.window_start
            utterances.speaking = True
        endpoint = utterances.endpoint(length, finished)
        start = self.policy.window_start
        known = length if endpoint is None else max(endpoint, start)
        end = min(known, start + self.window_samples)
        behind = end < known
        if endpoint is not None and not behind:
            return StepPlan(start, end, True, False)
        if behind or end - self._stepped_to >= self.step_samples:
            return StepPlan(start, end, False, behind)
        return None

    def step_input(self, plan: StepPlan) -> StepInput:
        """What the decoder needs for ``plan``."""
        policy = self.policy
        if plan.start_sample != self._memory_from:
            self._memory_from = plan.start_sample
            self.memory.clear()
            self.languages.begin_window()
        return StepInput(
            samples=self.recording.read(plan.start_sample, plan.end_sample),
            start=plan.start_sample / SAMPLE_RATE,
            language=self.options.language,
            task=self.options.task,
            context=(*self._pinned(), *policy.context),
            context_language=policy.language if self.options.language is None else None,
            prefix=policy.prefix_tokens(),
            draft=policy.draft_tokens(),
            memory=self.memory,
            languages=self.languages if self.options.language is None else None,
        )

    def needs_decoding(self, plan: StepPlan) -> bool:
        """False where the last step has seen all of the utterance already, so that its words can be committed."""
        return not (plan.endpoint and self._stepped_to >= plan.end_sample) and plan.end_sample > plan.start_sample

    def close_utterance(self, plan: StepPlan) -> None:
        """Carry out an endpoint that needs no decoding."""
        self._after(plan, self.policy.commit_all(plan.end_sample))

    def apply_step(self, plan: StepPlan, hypothesis: Hypothesis) -> None:
        """Carry out a step with what was decoded."""
        if self.options.language is None:
            self._note_language(hypothesis.language, plan.endpoint)
        self._after(plan, self.policy.update(hypothesis, plan.end_sample, plan.endpoint, plan.behind))

    def _note_language(self, language: str, endpoint: bool) -> None:
        """Take another language for the one that is spoken if two steps in a row say so: one may be mistaken."""
        before, self._heard_language = self._heard_language, language
        if language != self.policy.language and (self.policy.language is None or language == before or endpoint):
            self.policy.change_language(language)

    def fail(self, error: OpenmicError) -> None:
        """End the stream with an error."""
        self.over = True
        self.send(SpeechFailed(error))

    def release(self) -> None:
        """Let go of all that is large, the model too: a session keeps its stream for as long as it can be downloaded.

        Only the stream's four methods may be called from then on.
        """
        self.memory.clear()
        self.walk.close()
        self.final.release()

    def send(self, event: SpeechEvent) -> None:
        """Pass an event on, unless the session has gone."""
        if not self.abandoned:
            self.on_event(event)

    def send_progress(self, now: float) -> None:
        """Say how far the final pass is, once it is waited for or far behind; ``now`` is monotonic, in seconds."""
        total = len(self.recording) / SAMPLE_RATE
        walked = min(total, self.final.state.seek * HOP_LENGTH / SAMPLE_RATE)
        wanted = self.finished or total - walked > FAR_BEHIND_SECONDS
        if not wanted or self._progress_sent_at is None:  # what is over within a second needs no word
            self._progress_sent_at = now
        elif now - self._progress_sent_at >= PROGRESS_SECONDS:
            self._progress_sent_at = now
            self.send(FinalProgress(walked, total, self.final.text()))

    def send_windows(self) -> None:
        """Tell what the final pass has walked since the last call, if anything: it can be gone on from there."""
        state = self.final.state
        if state.windows != self._windows_told:
            window = state.since(self._segments_told, self.final.parts.name)
            self._windows_told, self._segments_told = state.windows, len(state.segments)
            self.send(window)

    def waiting_seconds(self) -> float:
        """Speech that no live step has seen yet."""
        return max(0, len(self.recording) - self._stepped_to) / SAMPLE_RATE if self.utterances.speaking else 0.0

    def _pinned(self) -> tuple[int, ...]:
        """Names and terms in front of the window's prompt; none where the last hypothesis was a copy of them."""
        if self.policy.copied or not (self.options.vocabulary or self.options.prompt):
            return ()
        if self._glossary is None:
            self._glossary = Glossary(self.final.parts.vocabulary, self.options, LIVE_TERM_TOKENS)
        return self._glossary.pinned("".join(word.text for word in (*self.policy.prefix, *self.policy.previous)))

    @property
    def _language(self) -> str | None:
        return self.options.language or self.policy.language

    def _take_in(self, boundary: SpeechBoundary) -> None:
        if boundary.state == "ended" and boundary.at <= self._committed_until_seconds:  # all of it was committed before
            self.utterances.pass_over(boundary)
            return
        if 0.0 < self._committed_until_seconds < boundary.at and self.utterances.silent:
            self.policy.commit_all(round(boundary.at * SAMPLE_RATE))  # they are no part of what is said now
            self._committed_until_seconds = 0.0
        self.utterances.add(boundary)

    def _after(self, plan: StepPlan, update: PolicyUpdate) -> None:
        if update.again:
            return
        self._stepped_to = max(self._stepped_to, plan.end_sample)
        if update.committed:
            self.final.live_tokens.extend((word.start, word.tokens) for word in update.committed)
            words = _words(update.committed)
            text = "".join(word.word for word in words)
            self.send(CommittedText(text, words[0].start, words[-1].end, words, self._language))
        self._show(update.live, plan.end_sample)
        if plan.endpoint and self.utterances.end(plan.end_sample, self.finished):
            self.memory.clear()  # it is large, and the next utterance begins elsewhere

    def _show(self, words: Sequence[TimedWord], end: int) -> None:
        if not words and not self._showing:
            return
        self._showing = bool(words)
        seconds = end / SAMPLE_RATE
        shown = _words(words)
        self.send(
            LiveText(
                text="".join(word.word for word in shown),
                start=shown[0].start if shown else seconds,
                end=shown[-1].end if shown else seconds,
                audio_seconds=seconds,
                lag=max(0.0, len(self.recording) / SAMPLE_RATE - seconds),
                language=self._language,
                words=shown,
            )
        )


def _words(words: Sequence[TimedWord]) -> tuple[Word, ...]:
    return tuple(Word(word.text, word.start, word.end, word.probability) for word in words)
