"""What the parts of a final window cost with weights laid out for oneDNN, beside plain products and openai-whisper.

    python -m benchmarks.window [--model base] [--rounds 9]

The encoder over 30 s, a pass of the decoder over some tokens with the scores of all words, and the median filter of
word times. In each round every way runs once, one after another, so that a slow moment of the machine meets all of
them. Prints the median of each in milliseconds, and beside it how many times as long as ours it took.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.audio import N_FRAMES
from whisper.timing import median_filter

from benchmarks.metrics.report import machine
from benchmarks.tail import loaded
from openmic.speech.model import linear as precision
from openmic.speech.model.alignment import WIDTH, median_filtered
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.full_encoder import FullEncoder

TOKENS = (1, 9, 33, 200)  # one by one; a small and a large draft; a prompt
FED = 40  # tokens that are there before
WORDS = 90  # tokens of a window with much speech,
STATES = 1250  # and its states that hold audio

Work = Callable[[], object]


@contextmanager
def plain_products() -> Iterator[None]:
    """What is built inside multiplies as torch does it by itself."""

    def product(weight: Tensor, bias: Tensor | None) -> precision.LinearFunction:
        return lambda x: F.linear(x, weight, bias)

    with mock.patch.object(precision, "_product", product):
        yield


def encoded(encoder: FullEncoder, mel: Tensor) -> None:
    """Run the encoder to its end."""
    for _ in encoder.encode(mel):
        pass


def fed(decoder: Decoder, states: Tensor, tokens: int) -> Work:
    """A pass of so many tokens, with all scores."""
    row = decoder.row(decoder.cross_attention_kv(states))
    decoder.forward([row], [[100] * FED])

    def once() -> None:
        row.length = FED
        decoder.logits(decoder.forward([row], [[100] * tokens])[0])

    return once


def compared(name: str, ways: dict[str, Work], rounds: int) -> str:
    """A row of the table; the first way is ours."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    faults: dict[str, int] = {}
    for _ in range(rounds + 1):
        for way, work in ways.items():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            began = time.perf_counter()
            work()
            seconds[way].append(time.perf_counter() - began)
            faults[way] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    middle = {way: median(times[1:]) for way, times in seconds.items()}  # the first warms up
    ours = next(iter(middle.values()))
    cells = [f"{way} {1000 * s:.1f} ms ({s / ours:.1f}), {faults[way]} page faults" for way, s in middle.items()]
    return f"| {name} | {' | '.join(cells)} |"


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.window", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    model = loaded(arguments.model)
    encoder, decoder = FullEncoder(model, "float32"), Decoder(model, "float32")
    with plain_products():
        plain_encoder, plain_decoder = FullEncoder(model, "float32"), Decoder(model, "float32")
    print(f"{arguments.model}, float32; {machine()}")
    mel = torch.randn(model.dims.n_mels, N_FRAMES).clamp(-1.0, 1.5)
    ways: dict[str, Work] = {
        "ours": partial(encoded, encoder, mel),
        "plain products": partial(encoded, plain_encoder, mel),
        "openai-whisper": partial(model.encoder, mel[None]),
    }
    print(compared("encoder, 30 s", ways, arguments.rounds), flush=True)
    states = model.encoder(mel[None])[0]
    for tokens in TOKENS:
        ways = {"ours": fed(decoder, states, tokens), "plain products": fed(plain_decoder, states, tokens)}
        print(compared(f"decoder, {tokens} tokens", ways, arguments.rounds), flush=True)
    attention = torch.randn(int(model.alignment_heads.indices().shape[1]), WORDS, STATES)
    ways = {
        "ours": partial(median_filtered, attention),
        "openai-whisper": partial(median_filter, attention, WIDTH),
    }
    print(compared(f"median filter, {WORDS} tokens", ways, arguments.rounds))


if __name__ == "__main__":
    main()
