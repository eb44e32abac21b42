"""When each word of a reference ends in its recording: a forced alignment with openai-whisper's own aligner.

The reference's tokens, not a transcription's, are fed to ``whisper.timing.find_alignment``, a clip at a time. What
comes out is kept in the cache folder under the recording's hash.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from whisper.audio import HOP_LENGTH, N_SAMPLES, log_mel_spectrogram
from whisper.timing import find_alignment
from whisper.tokenizer import get_tokenizer

from benchmarks.corpus.recordings import Clip
from benchmarks.corpus.words import SpokenWord, spans, words
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.load import load_whisper
from openmic.speech.weights.locate import locate

MODEL = "base"
LONGEST_SECONDS = 28.0  # of one piece; the aligner looks at 30 s
VERSION = 1  # of this file's method; part of the cache's key


def word_ends(clip: Clip) -> list[SpokenWord]:
    """The reference's words with their ends, in seconds from its beginning; from the cache after the first time."""
    method = f"{VERSION} {MODEL}" + ("" if clip.language == "en" else f" {clip.language}")
    key = hashlib.sha256(f"{method}\n{clip.text}\n".encode() + clip.samples.tobytes()).hexdigest()
    kept = Settings().cache_dir / "benchmarks" / "alignments" / f"{key}.json"
    if kept.is_file():
        return [SpokenWord(text, end) for text, end in json.loads(kept.read_text(encoding="utf-8"))]
    found = aligned(clip)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([[word.text, word.end] for word in found]), encoding="utf-8")
    return found


def aligned(clip: Clip) -> list[SpokenWord]:
    """What ``word_ends`` keeps, worked out again."""
    return [
        SpokenWord(word.text, round(float(word.end + offset), 3))
        for piece, offset in _pieces(clip)
        for word in _aligned_piece(piece)
    ]


@lru_cache(maxsize=1)
def _model() -> Any:
    return load_whisper(MODEL, locate(MODEL, Settings().cache_dir), "cpu")


def _aligned_piece(clip: Clip) -> list[SpokenWord]:
    """Align one clip that fits into the model's window."""
    model = _model()
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=clip.language)
    tokens = tokenizer.encode(" " + clip.text)
    mel = log_mel_spectrogram(clip.samples, model.dims.n_mels, padding=N_SAMPLES)[:, : N_SAMPLES // HOP_LENGTH]
    with torch.inference_mode():
        parts = find_alignment(model, tokenizer, tokens, mel, len(clip.samples) // HOP_LENGTH)
    stops = np.cumsum([len(part.word) for part in parts]) - 1  # the space before the text counts too
    return [SpokenWord(text, float(parts[bisect.bisect_right(stops, last)].end)) for text, last in spans(clip.text)]


def _pieces(clip: Clip) -> list[tuple[Clip, float]]:
    """A clip in pieces that fit, each with the second it begins at; cut where a transcription pauses and agrees."""
    if clip.seconds <= LONGEST_SECONDS:
        return [(clip, 0.0)]
    reference = spans(clip.text)
    heard = [
        (word["start"], word["end"], words(word["word"]))
        for segment in _model().transcribe(clip.samples, language=clip.language, fp16=False, word_timestamps=True)[
            "segments"
        ]
        for word in segment["words"]
    ]
    heard = [word for word in heard if len(word[2]) == 1]
    matcher = SequenceMatcher(None, [text for text, _ in reference], [word[2][0] for word in heard], autojunk=False)
    pairs = [(a + i, b + i) for a, b, size in matcher.get_matching_blocks() for i in range(size)]
    cuts = []  # (second, first reference word after it, silence there)
    for (a, b), (next_a, next_b) in pairwise(pairs):
        if next_a == a + 1 and next_b == b + 1:
            cuts.append(((heard[b][1] + heard[next_b][0]) / 2, next_a, heard[next_b][0] - heard[b][1]))
    pieces, begin, first = [], 0.0, 0
    while clip.seconds - begin > LONGEST_SECONDS:
        second, place, _ = max(
            (cut for cut in cuts if begin + LONGEST_SECONDS / 2 < cut[0] < begin + LONGEST_SECONDS),
            key=lambda cut: cut[2],
        )
        pieces.append((_part(clip, begin, second, reference, first, place), begin))
        begin, first = second, place
    return [*pieces, (_part(clip, begin, clip.seconds, reference, first, len(reference)), begin)]


def _part(clip: Clip, begin: float, end: float, reference: list[tuple[str, int]], first: int, stop: int) -> Clip:
    text_begin = reference[first - 1][1] + 1 if first else 0
    text_end = reference[stop - 1][1] + 1 if stop < len(reference) else len(clip.text)
    text = clip.text[text_begin:text_end].lstrip(" ,.;:!?\"'")
    samples = clip.samples[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
    return Clip(f"{clip.name}@{begin:.1f}", samples, text, clip.language)
