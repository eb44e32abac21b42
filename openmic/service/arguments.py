"""From what a caller gives to settings that can be used, or a problem that says which cannot."""

from __future__ import annotations

import errno
import socket
from typing import Any

from pydantic import ValidationError

from openmic.server.problems import PROBLEMS as SERVER_PROBLEMS
from openmic.service.problems import PROBLEMS
from openmic.settings import Settings, variable_of
from openmic.speech.languages import language_code


def make_settings(**given: Any) -> Settings:
    """Settings from arguments; one that is empty, or equals its default, counts as not given.

    Raises:
        OpenmicError: ``unknown_setting``, ``bad_setting``, ``unknown_language``, ``english_model``. The text holds no
            secret value.
    """
    fields = Settings.model_fields
    for name in given:
        if name not in fields:
            raise PROBLEMS.error("unknown_setting", name=name, known=", ".join(fields))
    try:
        settings = Settings(**{name: value for name, value in given.items() if value not in ("", fields[name].default)})
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        name = _field_name(str(first["loc"][0]))
        detail = str(first["msg"]).rstrip(".")
        error = PROBLEMS.error("bad_setting", name=name, detail=detail, variable=variable_of(name))
    else:
        if settings.language is None:
            return settings
        return settings.model_copy(update={"language": _language(settings.language, settings.model)})
    raise error


def _language(name: str, model: str) -> str | None:
    """The code of the default language, checked before anybody speaks."""
    code = language_code(name)
    if code not in (None, "en") and model.endswith((".en", ".en.pt")):
        raise PROBLEMS.error("english_model", language=name, model=model)
    return code


def _field_name(told: str) -> str:
    """The setting that pydantic means: it tells of one that has an alias by that alias."""
    return next((name for name in Settings.model_fields if told in (name, variable_of(name))), told)


def check_port(host: str, port: int) -> None:
    """Refuse a port that is in use before minutes go into weights; the server binds it for good later.

    Raises:
        OpenmicError: ``port_in_use``, ``address_unusable``.
    """
    if port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            code = "port_in_use" if error.errno == errno.EADDRINUSE else "address_unusable"
            detail = error.strerror or type(error).__name__
            raise SERVER_PROBLEMS.error(code, host=host, port=port, detail=detail) from error
