"""One live step: what was said in each stream's window, as words with times.

Greedy decoding, for many streams in one batch. A stream's committed words are fed as a prefix, and its previous
hypothesis as a draft: one parallel pass checks them all, and only from the first token at which the model has changed
its mind are tokens generated one by one. The result is what plain greedy decoding gives, at the cost of the new words
(the check is that of speculative decoding, Leviathan et al. 2023, with the previous hypothesis as the draft model).
Word times come from the cross-attention of the alignment heads, kept during the same pass (no second one), by dynamic
time warping as in openai-whisper's ``timing.py``.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.live.hypothesis import Hypothesis, StepInput, TimedWord
from openmic.speech.live.language import LanguageEvidence
from openmic.speech.live.repetition import trim_repetition
from openmic.speech.model.alignment import first_states
from openmic.speech.model.decoder import MOST_SCORES, Decoder, Row, TokenSpan
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.units import STATE_SECONDS
from openmic.speech.model.upload import on_device
from openmic.speech.model.window_encoder import Window, WindowEncoder

MAX_SPOKEN_TOKENS_PER_SECOND = 10  # nobody speaks faster; a longer hypothesis is a loop
LANGUAGE_SECONDS = 3.0  # of a window: longer ones are asked for their language no more


STAGES = ("encode", "rows", "draft", "choose", "times")
"""Of a step: windows encoded, rows made of them, drafts checked, the next token of each row, words and their times."""

Observe = Callable[[str, int], AbstractContextManager[None]]
"""Entered around a piece of work with its name and its number of rows; a benchmark's clock."""


def _unobserved(stage: str, rows: int) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(slots=True)
class _RowState:
    """One row on its way: control tokens, sampled tokens, and their log-probabilities."""

    row: Row
    control: list[int]
    start_token: int
    limit: int
    seconds: float
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    no_speech_prob: float = 0.0
    done: bool = False


class LiveStepDecoder:
    """Runs live steps on one model.

    Args:
        encoder: of windows.
        decoder: of their text.
        vocabulary: of the model.
    """

    def __init__(self, encoder: WindowEncoder, decoder: Decoder, vocabulary: Vocabulary) -> None:
        self._observe: Observe = _unobserved
        self._encoder = encoder
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._never = torch.tensor(
            [*vocabulary.never, *range(vocabulary.any.timestamp_begin, vocabulary.any.timestamp_begin + 1501)],
            device=decoder.device,
        )
        self._blank = torch.tensor(vocabulary.blank, device=decoder.device)

    def observed(self, observe: Observe) -> LiveStepDecoder:
        """The same decoder, whose work is watched: ``observe(stage, rows)`` is entered around each piece of it.

        Stages are those of ``STAGES``.
        """
        watched = copy.copy(self)
        watched._observe = observe
        return watched

    @torch.inference_mode()
    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        """Decode all windows together; the answers are in the order of ``requests``."""
        with self._observe("encode", len(requests)):
            windows = self._encoder.windows(
                [request.samples for request in requests],
                [request.memory.settled if request.memory else None for request in requests],
            )
        with self._observe("rows", len(requests)):
            feeds = [len(request.context) + len(request.prefix) + len(request.draft) for request in requests]
            rows = self._decoder.rows([window.cross for window in windows], feeds)
        languages = self._languages(rows, requests)
        states = [self._begin(*item) for item in zip(rows, requests, languages, strict=True)]
        with self._observe("draft", len(requests)):
            self._check_drafts(states, requests)
        while active := [state for state in states if not state.done]:
            last = [s.tokens[-1] for s in active]
            with self._observe("choose", len(active)):
                choices, logprobs = self._decoder.choose([s.row for s in active], last, self._never)
            for state, token, logprob in zip(active, choices, logprobs, strict=True):
                self._take(state, token, logprob)
        with self._observe("times", len(requests)):
            return self._hypotheses(states, requests, windows, languages)

    def _languages(self, rows: Sequence[Row], requests: Sequence[StepInput]) -> list[str]:
        """Each window's language, told or detected; leaves the rows empty."""
        codes = self._vocabulary.language_codes
        evidence = [request.languages or LanguageEvidence() for request in requests]
        asked = [place for place, request in enumerate(requests) if request.language is None and not _is_known(request)]
        if asked and self._vocabulary.multilingual:
            hidden = self._decoder.forward([rows[place] for place in asked], [[self._vocabulary.any.sot]] * len(asked))
            scores = self._decoder.logits(torch.cat(hidden))[:, self._vocabulary.language_tokens]
            logprobs = scores.float().log_softmax(dim=-1).cpu().numpy()
            for place, of_window in zip(asked, logprobs, strict=True):
                request, seconds = requests[place], len(requests[place].samples) / SAMPLE_RATE
                evidence[place].take(of_window, seconds)
                rows[place].length = 0
                if request.memory is not None and seconds >= LANGUAGE_SECONDS:
                    request.memory.language_known = True
        detected = ["en" if one.place is None else codes[one.place] for one in evidence]
        return [request.language or found for request, found in zip(requests, detected, strict=True)]

    def _begin(self, row: Row, request: StepInput, language: str) -> _RowState:
        tokenizer = self._vocabulary.tokenizer(language, request.task)
        fits = request.context and request.context_language in (None, language)
        context = [tokenizer.sot_prev, *request.context] if fits else []
        control = [*context, *tokenizer.sot_sequence_including_notimestamps]
        room = self._decoder.context - len(control)
        spoken = int(MAX_SPOKEN_TOKENS_PER_SECOND * (1 + len(request.samples) / SAMPLE_RATE))
        limit = min(room, spoken + len(request.prefix))
        return _RowState(row, control, len(context), limit, len(request.samples) / SAMPLE_RATE)

    def _check_drafts(self, states: Sequence[_RowState], requests: Sequence[StepInput]) -> None:
        """Feed control, prefix and draft tokens in one pass; accept the draft as far as the model agrees."""
        drafts = [list(r.draft[: s.limit - len(r.prefix)]) for s, r in zip(states, requests, strict=True)]
        feeds = [[*s.control, *r.prefix, *d] for s, r, d in zip(states, requests, drafts, strict=True)]
        hidden = torch.cat(self._decoder.forward([state.row for state in states], feeds))
        starts: list[int] = []  # of each row, the place of its start-of-transcript token among all rows' states
        firsts: list[int] = []  # of each row, the number of its first choice
        places: list[int] = []  # of the states whose next token is chosen
        begun: list[int] = []  # numbers of the choices of a window's first token
        offset = 0
        for state, request, feed, draft in zip(states, requests, feeds, drafts, strict=True):
            starts.append(offset + state.start_token)
            firsts.append(len(places))
            offset += len(feed)
            if not request.prefix:
                begun.append(len(places))
            places += range(offset - len(draft) - 1, offset)
        choices, logprobs, silences = self._choices(hidden, starts, places, begun)
        for state, request, draft, first, silence in zip(states, requests, drafts, firsts, silences, strict=True):
            state.no_speech_prob = silence
            state.tokens = list(request.prefix)
            for place in range(len(draft) + 1):
                token = choices[first + place]
                state.row.length = len(state.control) + len(state.tokens)
                self._take(state, token, logprobs[first + place])
                if state.done or draft[place : place + 1] != [token]:
                    break

    def _choices(
        self, hidden: Tensor, starts: Sequence[int], places: Sequence[int], begun: Sequence[int]
    ) -> tuple[list[int], list[float], list[float]]:
        """What comes next at ``places``, with log-probabilities, and how likely each row is silence.

        ``MOST_SCORES`` states are scored at a time, which bounds the memory; the numbers come in one copy to the host.
        """
        rows = len(starts)
        blank = [rows + number for number in begun]
        numbers = on_device([*starts, *places, *blank], hidden.device)
        wanted, firsts = numbers[: rows + len(places)], numbers[rows + len(places) :]
        tokens, logprobs, silences = [], [], []
        for first in range(0, len(wanted), MOST_SCORES):
            part = wanted[first : first + MOST_SCORES]
            scores = self._decoder.logits(hidden[part])
            asked = min(max(rows - first, 0), len(part))
            silences.append(scores[:asked].softmax(dim=-1)[:, self._vocabulary.any.no_speech])
            begin, end = bisect_left(blank, first), bisect_left(blank, first + MOST_SCORES)
            if end > begin:
                scores[firsts[begin:end, None] - first, self._blank] = -torch.inf
            scores[:, self._never] = -torch.inf
            best, likeliest = scores[asked:].max(dim=-1)
            tokens.append(likeliest.float())  # exact to 2**24
            logprobs.append(best - scores[asked:].logsumexp(dim=-1))
        found = torch.cat([*tokens, *logprobs, *silences]).tolist()
        count = len(places)
        return [int(token) for token in found[:count]], found[count : 2 * count], found[2 * count :]

    def _take(self, state: _RowState, token: int, logprob: float) -> None:
        state.logprobs.append(logprob)
        if token == self._vocabulary.any.eot:
            state.done = True
            return
        state.tokens.append(token)
        looped = trim_repetition(state.tokens, state.seconds) is not None
        state.done = looped or len(state.tokens) >= state.limit

    def _hypotheses(
        self,
        states: Sequence[_RowState],
        requests: Sequence[StepInput],
        windows: Sequence[Window],
        languages: Sequence[str],
    ) -> list[Hypothesis]:
        found = [_found(state, request) for state, request in zip(states, requests, strict=True)]
        spans = {
            place: TokenSpan(
                state.row, state.start_token, len(state.control) - state.start_token + len(tokens), w.states
            )
            for place, (state, request, (tokens, _), w) in enumerate(zip(states, requests, found, windows, strict=True))
            if len(tokens) > len(request.prefix)
        }
        matrices = dict(zip(spans, self._decoder.token_attention(list(spans.values())), strict=True))
        hypotheses = []
        for place, (state, request, language) in enumerate(zip(states, requests, languages, strict=True)):
            tokens, looped = found[place]
            words: tuple[TimedWord, ...] = ()
            if place in matrices:
                words = self._timed(state, request, tokens, matrices[place], language)
            logprob = float(np.mean(state.logprobs)) if state.logprobs else 0.0
            hypotheses.append(Hypothesis(words, language, state.no_speech_prob, logprob, looped))
        return hypotheses

    def _timed(
        self, state: _RowState, request: StepInput, tokens: list[int], matrix: NDArray[np.float64], language: str
    ) -> tuple[TimedWord, ...]:
        """Words after the prefix, aligned by where the tokens in the window were heard."""
        control, known = len(state.control), len(request.prefix)
        matrix = matrix[control - state.start_token - 1 :]  # row i: where token i was heard; the last: the end
        times = first_states(matrix) * STATE_SECONDS + request.start
        words, place = [], known
        for stem, stem_tokens, mark, mark_tokens in self._vocabulary.words(tokens[known:], language):
            last = place + len(stem_tokens) + len(mark_tokens)
            words.append(
                TimedWord(
                    text=stem + mark,
                    tokens=(*stem_tokens, *mark_tokens),
                    start=float(times[place]),
                    end=float(times[last]),
                    probability=float(np.exp(state.logprobs[place - known : last - known]).mean()),
                    mark=mark,
                    mark_tokens=len(mark_tokens),
                )
            )
            place = last
        return tuple(words)


def _found(state: _RowState, request: StepInput) -> tuple[list[int], bool]:
    """The tokens that count, and whether the decoder repeated itself."""
    kept = trim_repetition(state.tokens, state.seconds)
    tokens = state.tokens if kept is None else state.tokens[: max(kept, len(request.prefix))]
    fed = state.row.length - len(state.control)
    return tokens[:fed], kept is not None or len(state.tokens) >= state.limit


def _is_known(request: StepInput) -> bool:
    """Whether enough of the window was heard to know its language."""
    return request.memory is not None and request.languages is not None and request.memory.language_known
