"""What may be said, and text that looks like a control token."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openmic.errors import OpenmicError
from openmic.speech.model.tokens import Vocabulary, encode_text
from openmic.speech.types import SpeechOptions

SPEECH = Path(__file__).resolve().parents[3] / "openmic" / "speech"


@pytest.fixture(scope="module")
def vocabulary(base_model: Any) -> Vocabulary:
    return Vocabulary(base_model)


def test_no_control_token_is_ever_sampled(vocabulary: Vocabulary) -> None:
    tokenizer = vocabulary.any
    control = set(tokenizer.special_tokens.values())
    timestamps = set(range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + 1501))
    assert set(vocabulary.language_tokens) <= set(vocabulary.never)
    assert control - timestamps - {tokenizer.eot, tokenizer.no_timestamps} <= set(vocabulary.never)
    assert tokenizer.eot not in vocabulary.never  # the end of the text
    assert not timestamps & set(vocabulary.never)


def test_any_text_can_be_encoded_and_is_itself(vocabulary: Vocabulary) -> None:
    tokenizer = vocabulary.any
    for name in tokenizer.special_tokens:
        for text in (f"{name} garden", f" garden {name}", f"see {name} there", name[:-1]):
            tokens = encode_text(tokenizer, text)
            assert max(tokens) < tokenizer.eot
            assert tokenizer.decode(tokens) == text


@pytest.mark.parametrize(
    ("languages", "encoder_layers", "decoder_layers", "refused"),
    [
        (99, 6, 6, {"language": "xx"}),  # base
        (100, 32, 4, {"task": "translate"}),  # turbo
        (0, 6, 6, {"task": "translate"}),  # base.en
        (0, 6, 6, {"language": "tr"}),
    ],
)
def test_what_a_model_was_not_taught_is_refused(
    languages: int, encoder_layers: int, decoder_layers: int, refused: dict[str, Any]
) -> None:
    dims = SimpleNamespace(n_audio_layer=encoder_layers, n_text_layer=decoder_layers)
    model: Any = SimpleNamespace(is_multilingual=languages > 0, num_languages=languages, dims=dims)
    vocabulary = Vocabulary(model, "this one")
    vocabulary.check(SpeechOptions())
    vocabulary.check(SpeechOptions("en"))
    if (languages, refused) == (99, {"language": "xx"}):
        vocabulary.check(SpeechOptions("tr", "translate"))
    with pytest.raises(OpenmicError) as told:
        vocabulary.check(SpeechOptions(**refused))
    assert told.value.code == ("cannot_translate" if "task" in refused else "unknown_language")
    assert "en" in told.value.why if "language" in refused else "this one" in told.value.what


def test_text_is_encoded_in_one_place() -> None:
    """Elsewhere a call could be forgotten that raises on ``<|endoftext|>``."""
    calls = {
        path.name: len(re.findall(r"(?:tokenizer|any|encoding)\.encode\(", path.read_text(encoding="utf-8")))
        for path in SPEECH.rglob("*.py")
    }
    assert {name: count for name, count in calls.items() if count} == {"tokens.py": 1}
