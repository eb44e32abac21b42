"""Rows in slots say what rows of their own say: lengths, windows, prefixes and languages mixed in one batch."""

from __future__ import annotations

import copy
import gc
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.gpu import decoder as batched
from openmic.speech.gpu.cuda_graphs import Step
from openmic.speech.gpu.decoder import CACHE_BUCKETS, ROW_BUCKETS, STATE_BUCKETS, BatchedDecoder, StepShape
from openmic.speech.gpu.kv_slots import SlotRow
from openmic.speech.gpu.select import decoder_for, give_slots
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.model.decoder import CrossAttentionKV, Decoder, OwnRow, Row
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.window_encoder import WindowEncoder
from openmic.speech.types import SpeechOptions
from tests.support.clip import Clip
from tests.support.operations import Operations

SOT, EN, TR, DE, TRANSCRIBE, NO_TIMESTAMPS, EOT = 50258, 50259, 50268, 50261, 50359, 50363, 50257
PREFIXES = (
    [SOT, EN, TRANSCRIBE, NO_TIMESTAMPS],
    [SOT, TR, TRANSCRIBE, NO_TIMESTAMPS],
    [50361, *range(400, 460), SOT, EN, TRANSCRIBE, NO_TIMESTAMPS, 2205, 2446],
    [SOT, DE, TRANSCRIBE],
    [50361, 400, 500, SOT, EN, TRANSCRIBE, NO_TIMESTAMPS, 2205],
)


class Recorder:
    """In the place of CUDA graphs, which only a GPU records: the replay is the step, and each one is noted."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, step: Step) -> Step:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            step()

        return replay


@pytest.fixture(scope="module")
def decoder(base_model: Any) -> BatchedDecoder:
    return BatchedDecoder(base_model, "float32", (8, 2), Recorder())


@pytest.fixture(scope="module")
def windows(
    base_model: Any, decoder: Decoder, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> list[CrossAttentionKV]:
    """What rows attend to, for windows of 0.5 to 12 s."""
    samples = load_audio(sample_audio / "quickstart.wav")
    encoder = WindowEncoder(base_model, decoder, "float32")
    with torch.inference_mode():
        return [encoder.window(samples[: round(seconds * SAMPLE_RATE)]).cross for seconds in (3.0, 12.0, 0.5, 6.0, 9.5)]


@pytest.fixture
def never(base_model: Any) -> torch.Tensor:
    return torch.tensor(Vocabulary(base_model).never)


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def follow(decoder: Decoder, rows: Sequence[Row], never: torch.Tensor, most: int) -> list[list[int]]:
    """Greedy decoding as a live step does it: the prefix in one pass, then rows that leave the batch as they end."""
    feeds = [PREFIXES[i % len(PREFIXES)] for i in range(len(rows))]
    hidden = torch.cat([found[-1:] for found in decoder.forward(rows, feeds)])
    scores = decoder.logits(hidden)
    scores[:, never] = -torch.inf
    said = [[token] for token in scores.argmax(dim=-1).tolist()]
    for _ in range(most):
        active = [i for i, tokens in enumerate(said) if tokens[-1] != EOT]
        if not active:
            break
        tokens, _ = decoder.choose([rows[i] for i in active], [said[i][-1] for i in active], never)
        for i, token in zip(active, tokens, strict=True):
            said[i].append(token)
    return said


def own(decoder: Decoder, window: CrossAttentionKV) -> Row:
    """A row that the ragged decoder works out."""
    return decoder.row(window, decoder.context)


def test_scores_equal_the_ragged_decoders(decoder: BatchedDecoder, windows: list[CrossAttentionKV]) -> None:
    slotted, ragged = [decoder.row(w) for w in windows], [own(decoder, w) for w in windows]
    assert all(isinstance(row, SlotRow) for row in slotted)
    assert all(isinstance(row, OwnRow) for row in ragged)
    chance = random.Random(0)
    for _ in range(4):
        feeds = [[chance.randrange(50_000) for _ in range(chance.choice((1, 3, 9, 70)))] for _ in windows]
        ours, theirs = decoder.forward(slotted, feeds), decoder.forward(ragged, feeds)
        for row, one, other in zip(slotted, ours, theirs, strict=True):
            assert len(one) == len(other)
            assert torch.allclose(decoder.logits(one), decoder.logits(other), atol=2e-3)
            row.length -= len(one) // 3  # as a draft that is not accepted
        for row, other_row in zip(slotted, ragged, strict=True):
            other_row.length = row.length


def test_tokens_and_attention_equal_the_ragged_decoders(
    decoder: BatchedDecoder, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    slotted, ragged = [decoder.row(w) for w in windows], [own(decoder, w) for w in windows]
    said = follow(decoder, slotted, never, 40)
    assert said == follow(decoder, ragged, never, 40)
    assert max(len(tokens) for tokens in said) > 15
    for one, other, window in zip(slotted, ragged, windows, strict=True):
        states = window.states - 200
        difference = decoder.attention(one, 2, states) - decoder.attention(other, 2, states)
        assert float(difference.abs().max()) < 1e-3


def test_half_precision_scores_the_same_in_slots(
    base_model: Any, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    """What a GPU computes: float16 throughout.

    Both are fed the same tokens: where two are as likely, a rounding decides, and the texts part.
    """
    half = BatchedDecoder(base_model, "float16", (8, 0))
    cross = [CrossAttentionKV([k.half() for k in w.keys], [v.half() for v in w.values]) for w in windows]
    slotted, ragged = [half.row(c) for c in cross], [own(half, c) for c in cross]
    said = follow(half, [half.row(c) for c in cross], never, 12)
    shortest = min(len(tokens) for tokens in said)
    for feeds in (PREFIXES, *([[tokens[i]] for tokens in said] for i in range(shortest))):
        for ours, theirs in zip(half.forward(slotted, feeds), half.forward(ragged, feeds), strict=True):
            assert torch.allclose(half.logits(ours), half.logits(theirs), atol=0.5)


def test_a_slot_keeps_nothing_of_its_last_row(
    base_model: Any, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    """Not even what poisons every sum: one stream's NaN must not reach the next stream in its slot."""
    decoder = BatchedDecoder(base_model, "float32", (1, 0))
    expected = follow(decoder, [own(decoder, windows[0])], never, 8)
    poison = CrossAttentionKV([k * torch.nan for k in windows[1].keys], [v * torch.nan for v in windows[1].values])
    bad = decoder.row(poison)
    assert isinstance(bad, SlotRow)
    positions = decoder.positions
    decoder.positions = positions * torch.nan
    hidden = decoder.forward([bad], [PREFIXES[2]])[0]
    decoder.positions = positions
    assert bool(hidden.isnan().all())
    del bad
    row = decoder.row(windows[0])
    assert isinstance(row, SlotRow)
    assert follow(decoder, [row], never, 8) == expected


def test_slots_are_given_back_when_rows_are_forgotten(decoder: BatchedDecoder, windows: list[CrossAttentionKV]) -> None:
    gc.collect()
    before = [pool.free for pool in decoder.pools]
    rows = [decoder.row(w) for w in windows]
    assert decoder.pools[0].free == before[0] - len(windows)
    assert len({row.slot for row in rows if isinstance(row, SlotRow)}) == len(windows)
    del rows
    assert [pool.free for pool in decoder.pools] == before


def test_lanes_that_are_in_no_row_harm_nobody(
    decoder: BatchedDecoder, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    """Rows end in any order, and those between them are masked lanes of the next step."""
    rows, ragged = [decoder.row(w) for w in windows], [own(decoder, w) for w in windows]
    for some in (rows, ragged):
        decoder.forward(some, PREFIXES)
    for left in ((0, 1, 2, 3, 4), (0, 2, 4), (4,), (1,), (0, 3)):
        ours = decoder.choose([rows[i] for i in left], [440] * len(left), never)
        theirs = decoder.choose([ragged[i] for i in left], [440] * len(left), never)
        assert ours[0] == theirs[0]
        assert torch.allclose(torch.tensor(ours[1]), torch.tensor(theirs[1]), atol=1e-3)


def test_a_step_reads_slots_where_they_are(
    decoder: BatchedDecoder, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    """No cache is gathered: that would be three times its bytes for each token, most of a step from 16 rows on."""
    rows = [decoder.row(w) for w in windows]
    decoder.forward(rows, PREFIXES)
    decoder.choose(rows, [440] * len(rows), never)
    with Operations() as done:
        decoder.choose(rows, [440] * len(rows), never)
    assert done.done["index_select"] == 0
    assert done.done["gather"] == 0
    one_layers_keys = len(rows) * 832 * decoder.heads * decoder.head_width
    assert done.largest <= 8 * len(decoder.vocabulary(torch.zeros(1, 512))[0]) < one_layers_keys / 5  # the scores


def test_scores_have_an_aligned_width_and_none_is_chosen_beyond_the_vocabulary(decoder: BatchedDecoder) -> None:
    hidden = torch.randn(3, 512, generator=torch.Generator().manual_seed(0))
    assert decoder.vocabulary(hidden).shape == (3, 51_904)  # 811 times 64
    assert decoder.logits(hidden).shape == (3, 51_865)
    assert torch.allclose(decoder.logits(hidden), hidden @ decoder.embedding.T, atol=1e-3)


def test_rows_that_are_fed_alike_are_side_by_side(base_model: Any, decoder: BatchedDecoder) -> None:
    """So that a pass of many tokens has no lanes of others between its own."""
    encoder = BatchedWindowEncoder(base_model, decoder, "float32")
    speech = np.zeros(SAMPLE_RATE, np.float32)
    made = encoder.windows([speech, np.resize(speech, 3 * SAMPLE_RATE), speech, speech])
    rows = decoder.rows([window.cross for window in made], [70, 5, 6, 64])
    assert [row.slot for row in rows if isinstance(row, SlotRow)] == [3, 0, 1, 2]
    assert [len(places) for _, places in decoder._groups(rows, [70, 5, 6, 64])] == [1, 2, 1]


def test_a_full_pool_makes_ragged_rows_and_the_answer_stays(
    base_model: Any, decoder: BatchedDecoder, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    small = BatchedDecoder(base_model, "float32", (2, 1))
    rows = [small.row(w) for w in windows]
    assert [type(row) for row in rows] == [SlotRow, SlotRow, SlotRow, OwnRow, OwnRow]
    assert follow(small, rows, never, 10) == follow(decoder, [own(decoder, w) for w in windows], never, 10)


def test_a_final_window_takes_a_wide_slot(base_model: Any, decoder: BatchedDecoder, never: torch.Tensor) -> None:
    states = torch.randn(1500, base_model.dims.n_audio_state, generator=torch.Generator().manual_seed(1))
    window = decoder.cross_attention_kv(states)
    row = decoder.row(window)
    assert isinstance(row, SlotRow)
    assert row.pool is decoder.pools[1]
    assert follow(decoder, [row], never, 3) == follow(decoder, [own(decoder, window)], never, 3)


def test_a_final_pass_says_the_same_through_slots(
    base_model: Any, decoder: BatchedDecoder, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    """As on a GPU, where the one decoder serves live steps and final windows."""
    clip = Clip(load_audio(sample_audio / "quickstart.wav")[: 4 * SAMPLE_RATE])
    texts = []
    for which in (decoder, Decoder(base_model, "float32")):
        parts = FinalModel("base", base_model, FullEncoder(base_model, "float32"), which, Vocabulary(base_model))
        final = FinalPass(parts, clip, SpeechOptions("en"), True)
        for _ in final.walk():
            pass
        texts.append(final.result())
    assert texts[0].text == texts[1].text
    assert len(texts[0].text.split()) == 10
    assert [w.word for s in texts[0].segments for w in s.words] == [w.word for s in texts[1].segments for w in s.words]


def test_a_row_that_is_full_is_an_error(
    decoder: BatchedDecoder, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    row = decoder.row(windows[0])
    row.length = decoder.context - 1
    with pytest.raises(ValueError, match="do not fit"):
        decoder.forward([row], [[1, 2]])
    decoder.choose([row], [1], never)
    with pytest.raises(ValueError, match="do not fit"):
        decoder.choose([row], [1], never)


def test_steps_are_replayed_in_the_recorded_shape_that_holds_them(
    base_model: Any, windows: list[CrossAttentionKV], never: torch.Tensor
) -> None:
    recorder = Recorder()
    decoder = BatchedDecoder(base_model, "float32", (8, 0), recorder)
    decoder.record(StepShape(0, 4, 128, 832))
    assert (recorder.recorded, recorder.replayed) == (1, 1)  # each recording is replayed once, to be compared
    rows, ragged = ([make(windows[i]) for i in (0, 1, 0)] for make in (decoder.row, lambda w: own(decoder, w)))
    for some in (rows, ragged):
        decoder.forward(some, [[1] * 10, [2] * 62, [3] * 10])
    chosen = decoder.choose(rows, [5, 6, 7], never)
    decoder.choose(rows[:2], [5, 6], never)
    assert (recorder.recorded, recorder.replayed) == (1, 3)
    assert chosen[0] == decoder.choose(ragged, [5, 6, 7], never)[0]
    decoder.forward(rows, [[1] * 70, [2], [3]])
    decoder.choose(rows, [5, 6, 7], never)  # 128 places do not hold it
    assert (recorder.recorded, recorder.replayed) == (1, 4)
    assert decoder.graphs.keys == (StepShape(0, 4, 128, 832),)


def test_a_pass_is_bounded(
    decoder: BatchedDecoder, windows: list[CrossAttentionKV], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows with many tokens go through in several passes, and rows with few do not wait in their width."""
    feeds = [[5] * count for count in (60, 40, 34, 3, 7)]
    expected = decoder.forward([own(decoder, w) for w in windows], feeds)
    passes: list[tuple[int, ...]] = []
    one_pass = BatchedDecoder._pass

    def noted(self: BatchedDecoder, pool: Any, rows: Any, tokens: Any) -> list[torch.Tensor]:
        passes.append(tuple(len(row_tokens) for row_tokens in tokens))
        return one_pass(self, pool, rows, tokens)

    monkeypatch.setattr(BatchedDecoder, "_pass", noted)
    monkeypatch.setattr(batched, "MOST_TOKENS", 128)
    hidden = decoder.forward([decoder.row(w) for w in windows], feeds)
    assert passes == [(60, 40), (34,), (3, 7)]  # of 64 tokens a lane, two lanes
    for one, other in zip(hidden, expected, strict=True):
        assert torch.allclose(decoder.logits(one), decoder.logits(other), atol=2e-3)


def test_sizes_suit_the_attention_kernels() -> None:
    for sizes in (CACHE_BUCKETS, STATE_BUCKETS):
        assert all(size % 16 == 0 for size in sizes)
    assert ROW_BUCKETS[-1] == 512
    assert CACHE_BUCKETS[-1] == 448
    assert STATE_BUCKETS[-1] >= 1500


@pytest.mark.gpu
def test_on_a_gpu_graphs_replay_what_the_steps_say(base_model: Any) -> None:
    model = copy.deepcopy(base_model).to("cuda")
    decoder = decoder_for(model, "float16")
    assert isinstance(decoder, BatchedDecoder)
    give_slots(decoder, WindowEncoder(model, decoder, "float16"))
    decoder.record(StepShape(0, 64, 128, 832))
    plain = BatchedDecoder(model, "float16", (64, 0))  # no graphs
    states = torch.randn(64, 600, 512, generator=torch.Generator().manual_seed(0)).to("cuda", torch.float16)
    never = torch.tensor([0, 1], device="cuda")
    found = []
    for one in (decoder, plain):
        rows = [one.row(one.cross_attention_kv(s[: 100 + 7 * i])) for i, s in enumerate(states)]
        one.forward(rows, [[SOT, EN, TRANSCRIBE, NO_TIMESTAMPS][: 1 + i % 4] for i in range(64)])
        found.append([one.choose(rows, [440 + i for i in range(64)], never)[1] for _ in range(5)])
    assert decoder.graphs.enabled
    assert decoder.graphs.keys == (StepShape(0, 64, 128, 832),)
    assert torch.allclose(torch.tensor(found[0]), torch.tensor(found[1]), atol=0.05)
