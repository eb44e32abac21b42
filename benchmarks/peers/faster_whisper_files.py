"""A folder that faster-whisper opens without any hub: the packaged weights, and small files made from openai-whisper.

CTranslate2 wants ``config.json`` and ``vocabulary.txt`` beside ``model.bin``, faster-whisper ``tokenizer.json`` (in the
format of Hugging Face's tokenizers). All three say what openai-whisper's tokenizer says, in other words.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import whisper
from whisper.tokenizer import get_tokenizer

from benchmarks.peers.environments import cache_folder
from openmic.speech.weights import package_index

NAME = "base"
LANGUAGES = 99
ALIGNMENT_HEADS = [[3, 1], [4, 2], [4, 3], [4, 7], [5, 1], [5, 2], [5, 4], [5, 6]]  # openai-whisper's, of base


def folder() -> Path:
    """The folder, made if it is not there."""
    place = cache_folder() / "faster-whisper-base"
    if (place / "tokenizer.json").is_file():
        return place
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        print("Fetching CTranslate2's base weights from the package index", file=sys.stderr, flush=True)
        model = package_index.fetch(NAME, Path(scratch), lambda what, fraction: None)
    (place / "model.bin").write_bytes(model)
    tokens = token_names()
    (place / "vocabulary.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (place / "config.json").write_text(json.dumps(config()), encoding="utf-8")
    (place / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}), encoding="utf-8")
    whole = place / "tokenizer.json.partial"
    whole.write_text(json.dumps(tokenizer(tokens), ensure_ascii=False), encoding="utf-8")
    shutil.move(whole, place / "tokenizer.json")
    return place


def config() -> dict[str, Any]:
    """CTranslate2's ``config.json``."""
    t = get_tokenizer(True, num_languages=LANGUAGES, language="en")
    control = [t.transcribe, t.translate, t.sot, t.sot_prev, t.sot_lm, t.no_speech]
    return {
        "alignment_heads": ALIGNMENT_HEADS,
        "lang_ids": sorted(t.all_language_tokens),
        "suppress_ids": sorted({*t.non_speech_tokens, *control}),
        "suppress_ids_begin": [*t.encode(" "), t.eot],
    }


def token_names() -> list[str]:
    """Every token of the vocabulary in order, spelled as GPT-2 does (a printable letter for each byte)."""
    letters = byte_letters()
    names = ["".join(letters[byte] for byte in token) for token in _ranks()]
    special = get_tokenizer(True, num_languages=LANGUAGES).encoding._special_tokens
    return names + sorted(special, key=special.__getitem__)


def tokenizer(tokens: list[str]) -> dict[str, Any]:
    """Hugging Face's ``tokenizer.json``: byte-level BPE whose merges are found again from the ranks."""
    ranks = {token: rank for rank, token in enumerate(_ranks())}
    letters = byte_letters()
    merges = []
    for token, rank in ranks.items():
        if len(token) > 1 and len(parts := _split(ranks, token, rank)) == 2:
            merges.append(" ".join("".join(letters[byte] for byte in part) for part in parts))
    special = [
        {
            "id": number,
            "content": tokens[number],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number in range(len(ranks), len(tokens))
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {name: number for number, name in enumerate(tokens[: len(ranks)])},
            "merges": merges,
        },
    }


def byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def _ranks() -> list[bytes]:
    assets = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    lines = assets.read_text(encoding="utf-8").splitlines()
    return [base64.b64decode(line.split()[0]) for line in lines if line]


def _split(ranks: dict[bytes, int], token: bytes, rank: int) -> list[bytes]:
    """The parts of a token just before the merge that makes it."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 1:
        best = min(range(len(parts) - 1), key=lambda place: ranks.get(parts[place] + parts[place + 1], rank))
        if ranks.get(parts[best] + parts[best + 1], rank) >= rank:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts
