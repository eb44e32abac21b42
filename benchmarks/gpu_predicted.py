"""How many can speak at once on cards that nobody has measured: arithmetic, and no measurement.

Run: ``python -m benchmarks.gpu_predicted``; it needs no GPU and no weights.

A live step is windows encoded, slots filled, drafts checked, about ``PASSES`` passes of one token per row, and word
times; with each ``Costs.load`` is computed as the engine does it. Bytes go at a part of the data sheet's bandwidth,
arithmetic at a usual part of the data sheet's speed, and each operation costs the host its time to start it. ``first``
is what openmic did at first: rows are copied out of their slots, words timed and drafts checked row by row, final
windows transcribed one by one. ``measured`` is what an H200 has run, with word times and drafts together; ``in place``
leaves rows in their slots and has finals side by side; ``settled`` is what it does now, with settled states kept where
the encoder decides and a window has a slot for them: one step of ``ANEW_EVERY`` follows a slide of its window, and
encodes all of it. Operations are those that ``tests/docs/test_live_operations.py`` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from openmic.speech.engine.costs import Costs
from openmic.speech.gpu.decoder import POOL_STATES
from openmic.speech.gpu.kv_slots import SlotShape, slots_that_fit
from openmic.speech.gpu.select import MOST_SLOTS, SHARE_WITH_SETTLED
from openmic.speech.gpu.settled_slots import SLOT_STATES as SETTLED_STATES
from openmic.speech.gpu.settled_slots import encoder_decides

PASSES = 7  # of one token per row in a live step
MEASURED = (1, 16, 64, 256)  # streams, as calibration would
WINDOW_STATES, TAIL_STATES, SLOT_STATES = 384, 200, 832  # of a live window of 7 s, the silence behind it, a slot
NEW_STATES, ANEW_STATES, ANEW_EVERY = 160, 288, 4  # of a window that grew by 1.5 s; of one that has slid, to 5 s
READ_STATES, PADDED_TOKENS, TOKENS = 832, 128, 100  # of a row in a pass: with padding, and what is there of tokens
FINAL_STATES, FINAL_PASSES, FINAL_TOKENS = 1500, 26, 33  # so many passes that an H100 takes about what an H200 took,
DRAFT_SECONDS = 0.0002  # with so much of the host's time in each for the draft, which no window shares
SIDE_BY_SIDE = 8
BANDWIDTH_PART = 0.75  # of the data sheet's, for reading; a gather has 0.6
TIME_WARP_SECONDS = 0.0002  # of a row's live tokens, on the host; of a final window's:
FINAL_WARP_SECONDS = 0.003  # twice, for its own times and for where whisper.transcribe would go on
VOCABULARY = 51_866

Way = Literal["first", "measured", "in place", "settled"]
WAYS: tuple[Way, ...] = ("first", "measured", "in place", "settled")
IN_PLACE = ("in place", "settled")


@dataclass(frozen=True, slots=True)
class Card:
    """A card by its data sheet, its memory that is free beside ``turbo``, and its host's time to start an operation."""

    name: str
    free_gigabytes: float
    gigabytes_per_second: float
    teraflops: float
    operation_seconds: float
    graph_node_seconds: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's width, its layers and its alignment heads."""

    name: str
    width: int
    encoder_layers: int
    decoder_layers: int
    aligned_heads: int

    @property
    def decoder_bytes(self) -> float:
        """Weights that a pass reads; keys and values of windows are not made in it."""
        return 2.0 * (self.decoder_layers * 14 * self.width**2 + VOCABULARY * self.width)

    @property
    def row_bytes(self) -> float:
        """Keys and values that a pass reads of a row."""
        return 2.0 * self.decoder_layers * 2 * self.width * (READ_STATES + PADDED_TOKENS)

    @property
    def settled_bytes(self) -> float:
        """A slot's for settled states."""
        return 2.0 * (2 * self.encoder_layers + 1) * (SETTLED_STATES + 1) * self.width

    @property
    def keeps_settled(self) -> bool:
        """Whether settled states are kept."""
        return encoder_decides(self.width, self.encoder_layers, self.decoder_layers)

    def encode_flop(self, states: int, attended: int | None = None) -> float:
        """To encode so many states, which attend to so many; by default to themselves."""
        return 2.0 * self.encoder_layers * states * (12 * self.width**2 + 2 * (attended or states) * self.width)


CARDS = (
    Card("T4", 12, 320, 25, 12e-6, 4e-6),
    Card("L4", 20, 300, 55, 10e-6, 3e-6),
    Card("A100", 36, 1555, 170, 8e-6, 2.5e-6),
    Card("H100", 75, 3350, 400, 6e-6, 2.2e-6),
)
SHAPES = (Shape("base", 512, 6, 6, 8), Shape("turbo", 1280, 32, 4, 6))
OPERATIONS_OF_A_LAYER = 29  # of the decoder in a pass, and some ten beside its layers
OPERATIONS_OF_AN_ENCODER_LAYER = 18  # over new states, copied out of their slots


def pass_seconds(card: Card, shape: Shape, rows: int, way: Way) -> float:
    """Time of one token for each of so many rows."""
    bandwidth = card.gigabytes_per_second * 1e9
    weights = shape.decoder_bytes / (BANDWIDTH_PART * bandwidth)
    read = rows * shape.row_bytes / (BANDWIDTH_PART * bandwidth)
    if way not in IN_PLACE:
        read += 2 * rows * shape.row_bytes / (0.6 * bandwidth)
    nodes = (OPERATIONS_OF_A_LAYER * shape.decoder_layers + 10) * card.graph_node_seconds
    return weights + read + nodes + 1e-4 + rows * 1.2e-6


def slots_with_settled(card: Card, shape: Shape) -> int:
    """Windows whose settled states have a slot."""
    if not shape.keeps_settled:
        return 0
    aligned = min(shape.aligned_heads, shape.decoder_layers)
    slots = [SlotShape(shape.decoder_layers, aligned, 1, shape.width, 448, states) for states in POOL_STATES]
    room = round(SHARE_WITH_SETTLED * card.free_gigabytes * 1e9)
    return slots_that_fit(slots, MOST_SLOTS, 2, room, round(shape.settled_bytes))[0]


def encode_seconds(card: Card, shape: Shape, rows: int, way: Way) -> float:
    """Time to encode a window of each of so many streams."""
    flops = card.teraflops * 1e12
    kept = min(rows, slots_with_settled(card, shape)) if way == "settled" else 0
    whole = (rows - kept) * shape.encode_flop(WINDOW_STATES) / flops
    if not kept:
        return whole
    new = shape.encode_flop(NEW_STATES, WINDOW_STATES), shape.encode_flop(ANEW_STATES)
    copied = 2.0 * shape.encoder_layers * 2 * shape.width * (3 * WINDOW_STATES + 4 * NEW_STATES)
    moved = copied / (0.6 * card.gigabytes_per_second * 1e9)
    started = OPERATIONS_OF_AN_ENCODER_LAYER * shape.encoder_layers * card.operation_seconds  # of one pass more
    return whole + started + kept * (((ANEW_EVERY - 1) * new[0] + new[1]) / ANEW_EVERY / flops + moved)


def step_seconds(card: Card, shape: Shape, rows: int, way: Way) -> float:
    """Time of a live step of so many streams."""
    bandwidth = BANDWIDTH_PART * card.gigabytes_per_second * 1e9
    encode = encode_seconds(card, shape, rows, way)
    numbers = 2.0 * rows * shape.decoder_layers * 2 * shape.width
    if way in IN_PLACE:
        slots = numbers * (5 * WINDOW_STATES + 2 * TAIL_STATES) / bandwidth
    else:
        slots = numbers * (6 * (WINDOW_STATES + TAIL_STATES) + SLOT_STATES + 449) / bandwidth
    if way == "first":
        drafts = rows * 25 * card.operation_seconds
        times = rows * (40 * shape.aligned_heads + 7) * card.operation_seconds * 0.7
    else:
        drafts = (OPERATIONS_OF_A_LAYER * shape.decoder_layers + 20) * card.operation_seconds
        times = 75 * card.operation_seconds + rows * TIME_WARP_SECONDS
    return encode + slots + drafts + times + PASSES * pass_seconds(card, shape, rows, way)


def final_seconds(card: Card, shape: Shape, way: Way) -> float:
    """Time of a final window with live text as its draft, where several sessions have one."""
    encode = shape.encode_flop(FINAL_STATES) / (card.teraflops * 1e12) + 15 * shape.encoder_layers * 1e-6
    operations = OPERATIONS_OF_A_LAYER * shape.decoder_layers + 40
    timed = 2 * FINAL_WARP_SECONDS + (operations + 150) * card.operation_seconds
    if way not in IN_PLACE:
        rules = FINAL_TOKENS * 9 * card.operation_seconds
        warped = 40 * shape.aligned_heads * 2 * card.operation_seconds
        return encode + FINAL_PASSES * (operations * card.operation_seconds + rules + DRAFT_SECONDS) + timed + warped
    return encode + FINAL_PASSES * (operations * card.operation_seconds / SIDE_BY_SIDE + DRAFT_SECONDS) + timed


def costs(card: Card, shape: Shape, way: Way) -> Costs:
    """What calibration would measure."""
    steps = tuple((rows, step_seconds(card, shape, rows, way)) for rows in MEASURED)
    return Costs(steps, final_seconds(card, shape, way))


def row(card: Card, shape: Shape, ways: Sequence[Way]) -> str:
    """A line of the table, for each way: speakers with finals, and the times they follow from, in ms."""
    cells = [f"| {card.name} | `{shape.name}` |"]
    for way in ways:
        found = costs(card, shape, way)
        step, window = 1000 * found.step_cost_seconds(64), 1000 * found.final_window_cost_seconds
        cells.append(f" {found.capacity()} | {step:.0f} | {window:.0f} |")
    return "".join(cells)


def main() -> None:
    """Print the table."""
    parts = "speakers | a step of 64, ms | a final window, ms |"
    print("| card | model | " + " ".join(f"{way}: {parts}" for way in WAYS))
    print("| --- " * (2 + 3 * len(WAYS)) + "|")
    for shape in SHAPES:
        for card in CARDS:
            print(row(card, shape, WAYS))


if __name__ == "__main__":
    main()
