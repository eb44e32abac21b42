"""How many sessions a GPU carries, and how the time of a live step is spent.

    python -m benchmarks.gpu [--device cuda] [--sessions 1,4,16,64,128,256] [--seconds 20] [--shapes turbo]

Runs so many sessions of ``base`` at one step a second in virtual real time (``crowd.py``) and prints what they got;
then the same sessions as if the model had the shapes of ``turbo``: the parts of a step that depend on the model
(``pieces.py``) are timed for random weights and put in the place of ``base``'s. Live text only, no final passes. On a
machine without a GPU it says so and runs a small version on the processor, through the same batched decoder.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Sequence

import numba
import numpy as np
import psutil
import torch
import whisper
from whisper.model import Whisper

from benchmarks.corpus.reading import Reading, load_reading
from benchmarks.simulated import crowd
from benchmarks.simulated.crowd import Crowd, LiveStep
from benchmarks.simulated.pieces import SHAPES, Pieces, measure_pieces, random_model
from openmic.settings import Settings
from openmic.speech.device import choose_device
from openmic.speech.final.walk import FinalModel
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.select import decoder_for, give_slots, warm_up
from openmic.speech.gpu.select_encoder import encoder_for
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.load import load_whisper
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.linear import encoder_precision
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.weights.locate import locate

GPU_SESSIONS, CPU_SESSIONS = "1,4,16,64,128,256", "4"
GPU_SECONDS, CPU_SECONDS = 20.0, 4.0

HEAD = (
    "| model | sessions | steps, sessions in one | step ms median / p90 | busy | first seen median / p90 / max "
    "| stable median / p90 / max | last display WER % | memory MB |\n" + "| --- " * 9 + "|"
)
PIECES_HEAD = "| model | rows | encode ms | check ms | choose ms | its floor ms |\n" + "| --- " * 6 + "|"


class Parts:
    """One model's live parts on a device, with the batched decoder wherever that is."""

    def __init__(self, name: str, model: Whisper, sessions: int) -> None:
        model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
        cuda = model.device.type == "cuda"
        self.decoder: Decoder = (
            decoder_for(model, "float16") if cuda else BatchedDecoder(model, "float32", (sessions, 0))
        )
        self.encoder = encoder_for(model, self.decoder, encoder_precision(model.device) if cuda else "float32")
        if cuda:
            give_slots(self.decoder, self.encoder)
        warm_up(self.decoder, record_seconds=60.0)
        vocabulary = Vocabulary(model)
        self.live = LiveStepDecoder(self.encoder, self.decoder, vocabulary)
        self.final = FinalModel(
            name,
            model,
            FullEncoder(model, "float16", self.encoder.layers) if cuda else FullEncoder(model, "float32"),
            self.decoder,
            vocabulary,
        )

    def told(self) -> str:
        """What the decoder does, in one line."""
        decoder = self.decoder
        if not isinstance(decoder, BatchedDecoder) or not decoder.pools:
            return "rows are decoded one by one"
        recorded = len(decoder.graphs.keys) if decoder.graphs.enabled else "no"
        encoded = "together" if isinstance(self.encoder, BatchedWindowEncoder) else "one by one"
        slots = decoder.pools[0].free
        return f"{slots} slots for live windows, {recorded} steps recorded as CUDA graphs, windows encoded {encoded}"


def peak_bytes(device: torch.device) -> int:
    """Memory used: on a GPU the most since the last ``forget_peak``, else this process's."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def forget_peak(device: torch.device) -> None:
    """Count the peak from here on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def row(name: str, found: Crowd, memory: int | None) -> str:
    """One line of the table."""
    times = [1000 * step.seconds for step in found.steps]
    together = sum(step.sessions for step in found.steps) / len(found.steps)
    m = found.measured
    return (
        f"| {name} | {found.sessions} | {len(found.steps)}, {together:.1f} "
        f"| {np.median(times):.0f} / {np.percentile(times, 90):.0f} | {found.busy:.2f} | {m.first_seen or '-'} "
        f"| {m.stable or '-'} | {100 * m.live_wer:.1f} | {'-' if memory is None else round(memory / 1e6)} |"
    )


def piece_rows(name: str, pieces: Pieces) -> list[str]:
    """The table of parts."""
    columns = zip(pieces.rows, pieces.encode, pieces.check, pieces.choose, pieces.floor, strict=True)
    return [
        f"| {name} | {rows} | {1000 * encode:.1f} | {1000 * check:.1f} | {1000 * choose:.2f} | {1000 * floor:.2f} |"
        for rows, encode, check, choose, floor in columns
    ]


def compare(device: torch.device, numbers: Sequence[int], reading: Reading, shapes: str) -> None:
    """Run and print everything."""
    settings = Settings(live_step_seconds=1.0)
    model = load_whisper("base", locate("base", settings.cache_dir), device)
    base = Parts("base", model, max(numbers))
    print(f"base: {base.told()}\n{HEAD}")
    crowd.run(base.live, base.final, reading, min(4, max(numbers)), settings)  # warms up what is compiled on demand
    for number in numbers:
        forget_peak(device)
        found = crowd.run(base.live, base.final, reading, number, settings)
        print(row("base", found, peak_bytes(device)), flush=True)
    ours = measure_pieces(base.encoder, base.decoder, numbers)
    other = Parts(shapes, random_model(shapes, device), max(numbers))
    forget_peak(device)
    theirs = measure_pieces(other.encoder, other.decoder, numbers)
    memory = peak_bytes(device)
    print(f"\n{shapes}, random weights: {other.told()}; memory of both models {memory / 1e6:.0f} MB\n{PIECES_HEAD}")
    print("\n".join([*piece_rows("base", ours), *piece_rows(shapes, theirs)]))
    del other

    def cost(step: LiveStep) -> float:
        return max(0.0, step.seconds - ours.seconds(step)) + theirs.seconds(step)

    print(f"\nbase's words at {shapes}'s pace\n{HEAD}")
    for number in numbers:
        print(row(shapes, crowd.run(base.live, base.final, reading, number, settings, cost), None), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, cpu")
    parser.add_argument("--sessions", help=f"how many; default {GPU_SESSIONS}, without a GPU {CPU_SESSIONS}")
    parser.add_argument("--seconds", type=float, help=f"default {GPU_SECONDS}, without a GPU {CPU_SECONDS}")
    parser.add_argument("--shapes", choices=sorted(SHAPES), help="default turbo, without a GPU tiny")
    given = parser.parse_args(arguments)
    device = torch.device(choose_device(given.device))
    cuda = device.type == "cuda"
    if cuda:
        print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    else:
        print("No GPU is used: a small version on the processor shows that it runs, and says nothing of a GPU.")
        numba.set_num_threads(1)  # for the alignment, else it changes torch's number
        torch.set_num_threads(1)
    numbers = [int(part) for part in (given.sessions or (GPU_SESSIONS if cuda else CPU_SESSIONS)).split(",")]
    seconds = given.seconds or (GPU_SECONDS if cuda else CPU_SECONDS)
    reading = load_reading(seconds)
    print(f"{reading.seconds:.0f} s of {reading.name}, one step a second, live text only")
    with torch.inference_mode():
        compare(device, sorted(numbers), reading, given.shapes or ("turbo" if cuda else "tiny"))


if __name__ == "__main__":
    main()
