"""A speech engine that follows a script instead of listening: for tests of what stands around the real one.

It has a thread of its own, like the real engine, and keeps its promises about the order of events: after each second
of audio a commit ("one ", "two ", ...), with the part of a second since then as live text; once all seconds of
an utterance are committed, its end; at the end a final that says how much was heard. Nothing is recognised; silence
gives words as well, digital silence (all zeros) none.

``python -m tests.support.scripted_engine --port 8000 --token secret`` serves the real app over it.
"""

from __future__ import annotations

import argparse
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.errors import OpenmicError
from openmic.server.access.tokens import TokenStore
from openmic.server.app import DIALECTS, create_app
from openmic.server.dialects.dialect import Endpoints
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.languages import LANGUAGES as WHISPERS_LANGUAGES
from openmic.speech.problems import PROBLEMS
from openmic.speech.types import (
    CommittedText,
    EngineStats,
    FinalProgress,
    FinalText,
    FinalWindow,
    LiveText,
    ModelCapacity,
    ModelInfo,
    OnEvent,
    Recording,
    Segment,
    SpeechFailed,
    SpeechOptions,
    SpeechStream,
    UtteranceOver,
    Word,
)

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
KNOWN_SECONDS = 2  # of audio after which the language counts as detected
LANGUAGES = {"en", "tr", "de", "fr"}


def spoken(number: int) -> str:
    """The number digit by digit: 12 is "one-two"."""
    return "-".join(NUMBERS[int(digit)] for digit in str(number))


class ScriptedStream:
    """One stream of the scripted engine."""

    def __init__(
        self,
        engine: ScriptedEngine,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        said: Sequence[CommittedText],
    ) -> None:
        self._engine = engine
        self._recording = recording
        self.options = options
        self._on_event = on_event
        self._words: list[Word] = [word for committed in said for word in committed.words]
        self._seconds = len(self._words)  # commits made by whole seconds
        self._committed = round(said[-1].end * SAMPLE_RATE) if said else 0  # samples
        self.boundaries: list[SpeechBoundary] = []
        self._ends = 0  # of these that were looked at
        self.over = False

    def add_boundaries(self, boundaries: Sequence[SpeechBoundary]) -> None:
        self.boundaries += boundaries
        self._engine.later(partial(self._step, len(self._recording)))

    def flush(self) -> None:
        heard = len(self._recording)
        self._engine.later(partial(self._flush, heard))
        self._engine.later(partial(self._say_over, UtteranceOver(heard / SAMPLE_RATE, "flush")))

    def change(self, options: SpeechOptions) -> None:
        self.options = options

    def finish(self) -> None:
        self._engine.later(self._finish)

    def abandon(self) -> None:
        self.over = True
        self._engine.forget(self)

    def fail(self, error: OpenmicError) -> None:
        if not self.over:
            self.over = True
            self._on_event(SpeechFailed(error))

    @property
    def _language(self) -> str | None:
        return self.options.language or ("en" if self._committed >= KNOWN_SECONDS * SAMPLE_RATE else None)

    def _step(self, heard: int) -> None:
        if self.over or heard <= self._committed:
            return
        while heard - self._committed >= SAMPLE_RATE:
            self._commit(self._committed + SAMPLE_RATE)
        self._end_utterances()
        start, now = self._committed / SAMPLE_RATE, heard / SAMPLE_RATE
        waiting = (len(self._recording) - heard) / SAMPLE_RATE
        text = f" listening for {now - start:.1f} s" if heard > self._committed else ""
        words = (Word(text, start, now, 0.5),) if text else ()
        self._on_event(LiveText(text, start, now, now, waiting, self._language, words))

    def _flush(self, heard: int) -> None:
        self._step(heard)
        if not self.over and heard > self._committed:
            self._commit(heard)
            now = self._committed / SAMPLE_RATE
            self._on_event(LiveText("", now, now, audio_seconds=now, lag=0.0))
        self._end_utterances()

    def _end_utterances(self) -> None:
        """Say which have ended, once all their words are committed."""
        while self._ends < len(self.boundaries):
            boundary = self.boundaries[self._ends]
            if boundary.state == "ended":
                if round(boundary.at * SAMPLE_RATE) > self._committed:
                    return
                self._say_over(UtteranceOver(boundary.at, "stop" if boundary.cut else "silence"))
            self._ends += 1

    def _say_over(self, over: UtteranceOver) -> None:
        if not self.over:
            self._on_event(over)

    def _commit(self, stop: int) -> None:
        start, end = self._committed / SAMPLE_RATE, stop / SAMPLE_RATE
        silent = not np.any(self._recording.read(self._committed, stop))
        self._committed = stop
        self._seconds += 1
        if not silent:
            text = f" {spoken(self._seconds)}{self._engine.filler}"
            word = Word(text, start, end, 1.0)
            self._words.append(word)
            self._on_event(CommittedText(text, start, end, (word,), self._language))

    def _finish(self) -> None:
        self._flush(len(self._recording))
        if self.over:
            return
        duration = len(self._recording) / SAMPLE_RATE
        told = None
        while not self._engine.may_finish.wait(0.05):
            if self.over or self._engine.closed:
                return
            if self._engine.progress != told:
                told = self._engine.progress
                share = told or 0.0
                known = self._text(self._segments()[: int(share * len(self._words))], duration)
                self._on_event(FinalProgress(share * duration, duration, known if self._engine.corrections else ""))
        self.over = True
        self._engine.forget(self)
        segments = self._segments()
        language = self.options.language or "en"
        text = self._text(segments, duration)
        self._on_event(FinalText(text, language, duration, segments, self._engine.info.name))

    def _text(self, segments: Sequence[Segment], duration: float) -> str:
        if self._engine.corrections:
            return "".join(segment.text for segment in segments)
        return f" heard {duration:.1f} seconds" if self._words else ""

    def _segments(self) -> tuple[Segment, ...]:
        return tuple(
            Segment(
                id=index,
                seek=0,
                start=word.start,
                end=word.end,
                text=self._corrected(word).word,
                tokens=(index,),
                temperature=0.0,
                avg_logprob=-0.1,
                compression_ratio=1.0,
                no_speech_prob=0.01,
                words=(self._corrected(word),),
            )
            for index, word in enumerate(self._words)
        )

    def _corrected(self, word: Word) -> Word:
        return replace(word, word=self._engine.corrections.get(word.word, word.word))


class ScriptedEngine:
    """An ``openmic.speech.types.Engine`` that follows a script.

    Args:
        filler: put behind each committed word, for tests of large messages.
        corrections: what the final says instead of a committed word; its text is then that of its words.
        capacity: how many may speak at once; None: not measured.
    """

    def __init__(
        self, filler: str = "", corrections: Mapping[str, str] | None = None, capacity: int | None = None
    ) -> None:
        self.filler = filler
        self.capacity = capacity
        self.late = False  # set by a test that wants those inside to be late,
        self.finals_held = False  # or finals to give way to live text
        self.problems: tuple[str, ...] = ()  # and by one that wants its thread to be unwell
        self.finals_seconds = 0.0  # and by one that wants much work on finals to be left
        self.corrections = corrections or {}
        self.progress: float | None = None  # set by a test: how much of the final is done while it waits
        self.may_finish = threading.Event()  # cleared by a test that wants a final to wait
        self.may_finish.set()
        self.languages, self.translates = tuple(WHISPERS_LANGUAGES), True
        self.closed = False
        self.streams: list[ScriptedStream] = []
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="scripted-engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", "cpu", "float32", self.languages, self.translates)

    def capacities(self) -> Sequence[ModelCapacity]:
        """The scripted model alone, as it was told to be."""
        return [] if self.capacity is None else [ModelCapacity("scripted", self.capacity, measured=True, fits=True)]

    def unused(self, options: SpeechOptions) -> str:
        return "the end of it" if options.prompt and len(options.prompt) > 1000 else ""

    def open(
        self,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        said: Sequence[CommittedText] = (),
        walked: Sequence[FinalWindow] = (),
    ) -> SpeechStream:
        if self.closed:
            raise PROBLEMS.error("engine_closed")
        if options.language is not None and options.language not in LANGUAGES:
            raise PROBLEMS.error("unknown_language", language=options.language, known=", ".join(sorted(LANGUAGES)))
        stream = ScriptedStream(self, recording, options, on_event, said)
        self.streams.append(stream)
        return stream

    def stats(self) -> EngineStats:
        return EngineStats(
            streams=len(self.streams),
            busy=0.25,
            step_seconds=0.1,
            batch_size=1,
            lag_seconds=0.5,
            capacity=self.capacity,
            late=self.late,
            finals_held=self.finals_held,
            finals_waiting=1 if self.finals_seconds else 0,
            finals_seconds=self.finals_seconds,
            next_final_seconds=self.finals_seconds or None,
            problems=self.problems,
        )

    def close(self) -> None:
        self.closed = True
        for stream in list(self.streams):
            stream.fail(PROBLEMS.error("engine_closed"))
        self._work.put(None)
        self._thread.join(5)

    def later(self, work: Callable[[], None]) -> None:
        """Do ``work`` in the engine's thread."""
        self._work.put(work)

    def forget(self, stream: ScriptedStream) -> None:
        if stream in self.streams:
            self.streams.remove(stream)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


@dataclass(frozen=True)
class ScriptedServer:
    """The real app over the scripted engine, running."""

    thread: ServerThread
    sessions: Sessions
    engine: ScriptedEngine
    token: str
    keys: TokenStore

    @property
    def url(self) -> str:
        return self.thread.url

    @property
    def stream_url(self) -> str:
        return self.url.replace("http:", "ws:") + "/v1/stream"

    @property
    def link(self) -> str:
        """What a person is given."""
        return f"{self.url}/#token={self.token}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def scripted_server(
    folder: Path,
    *,
    engine: ScriptedEngine | None = None,
    port: int = 0,
    token: str = "secret",
    spoken: Mapping[str, Endpoints] = DIALECTS,
    **settings: Any,
) -> Iterator[ScriptedServer]:
    """Serve the real app over the scripted engine, with recordings under ``folder``; ``settings`` by their names."""
    chosen = Settings(**{"data_dir": folder / "recordings", "stop_seconds": 5.0, **settings})
    engine = engine or ScriptedEngine()
    sessions = Sessions(chosen, engine)
    keys = TokenStore()
    keys.make("owner", secret=token)
    thread = ServerThread(create_app(chosen, sessions, keys, spoken), "127.0.0.1", port)
    try:
        thread.start()
        yield ScriptedServer(thread, sessions, engine, token, keys)
    finally:
        thread.stop()
        sessions.close()
        engine.close()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve the real app over a scripted engine.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--token", default="secret")
    parser.add_argument("--folder", type=Path, help="where recordings are kept; left out: nowhere for long")
    parser.add_argument("--hold-finals", action="store_true", help="finals never come")
    arguments = parser.parse_args()
    engine = ScriptedEngine()
    if arguments.hold_finals:
        engine.may_finish.clear()
    with (
        tempfile.TemporaryDirectory() as folder,
        scripted_server(
            arguments.folder or Path(folder), engine=engine, port=arguments.port, token=arguments.token
        ) as server,
    ):
        print(f"{server.url}/#token={arguments.token}", flush=True)
        with suppress(KeyboardInterrupt):
            while server.thread.running:
                time.sleep(0.5)


if __name__ == "__main__":
    main()
