"""Drafts are checked in bounded parts, in one copy to the host, and it makes no difference how large the parts are."""

from __future__ import annotations

import pytest
import torch

from openmic.speech.live import decode
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.window_encoder import WindowEncoder
from tests.support.operations import Operations
from tests.support.small_whisper import small_whisper


@torch.inference_mode()
@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_scores_in_parts_are_the_scores_at_once(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_whisper()
    decoder, vocabulary = Decoder(model, "float32"), Vocabulary(model)
    live = LiveStepDecoder(WindowEncoder(model, decoder, "float32"), decoder, vocabulary)
    hidden = torch.randn(12, 64, generator=torch.Generator().manual_seed(0))
    starts, places, begun = [0, 4, 9], [1, 2, 3, 5, 7, 8, 10, 11], [0, 3]  # rows of 4, 5 and 3 tokens; two just begin
    monkeypatch.setattr(decode, "MOST_SCORES", most)
    with Operations() as done:
        tokens, logprobs, silences = live._choices(hidden, starts, places, begun)
    assert done.copies == 0
    scores = decoder.logits(hidden)
    expected = scores[starts].softmax(dim=-1)[:, vocabulary.any.no_speech]
    assert silences == pytest.approx(expected.tolist(), abs=1e-6)
    scores = scores[places]
    for number in begun:
        scores[number, vocabulary.blank] = -torch.inf
    scores[:, live._never] = -torch.inf
    assert tokens == scores.argmax(dim=-1).tolist()
    assert logprobs == pytest.approx(scores.log_softmax(dim=-1).amax(dim=-1).tolist(), abs=1e-4)
