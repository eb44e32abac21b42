"""``GET /v1/models``: the model that runs here, in the shapes of OpenAI's and of Deepgram's SDK.

Both ask the same path, and each ignores the other's fields. Programs look here for the model's name that they are about
to send, so the names of OpenAI's transcription models are found as well; all of them mean the one that runs.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from fastapi import APIRouter, Depends, Request

from openmic.server.access.dependencies import require_token, sessions_of
from openmic.server.problems import PROBLEMS
from openmic.sessions.types import ModelInfo

MODEL_HEADER = "openmic-model"
ALIAS = "whisper-1"  # the name that most programs send
OTHER_NAMES = re.compile(r"(whisper-[\w.-]+|gpt-[\w.-]*transcribe[\w.-]*)")
OWNER = "openmic"
STARTED = int(time.time())  # seconds since 1970: a model has no other date here

router = APIRouter(dependencies=[Depends(require_token)])


@router.get("/v1/models")
def list_models(request: Request) -> dict[str, Any]:
    """The running model by its own name and by the one that most programs send."""
    info = sessions_of(request).engine.info
    return {
        "object": "list",
        "data": [_openai(info.name), _openai(ALIAS)],
        "stt": [_deepgram(info)],
        "tts": [],
        "openmic": {"languages": list(info.languages), "translates": info.translates},
    }


@router.get("/v1/models/{name:path}")
def get_model(request: Request, name: str) -> dict[str, Any]:
    """The running model, by any name that stands for it.

    Raises:
        OpenmicError: ``unknown_model``.
    """
    info = sessions_of(request).engine.info
    if name not in (info.name, _uuid(info)) and not OTHER_NAMES.fullmatch(name):
        raise PROBLEMS.error("unknown_model", name=info.name)
    return _openai(name) | _deepgram(info)


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": STARTED, "owned_by": OWNER}


def _deepgram(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "canonical_name": info.name,
        "architecture": "whisper",
        "languages": list(info.languages),
        "version": info.name,
        "uuid": _uuid(info),
        "batch": True,
        "streaming": True,
        "formatted_output": True,
    }


def _uuid(info: ModelInfo) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{OWNER}:{info.name}"))
