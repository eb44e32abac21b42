"""Every knob on one page: name with unit, default, and ``OPENMIC_<NAME>`` as its environment variable.

A value comes from, first to last: the argument given in code, the environment variable, the default here.
Unknown names are refused. ``python -m openmic.settings > docs/settings.md`` writes the page that explains them.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from openmic.origins import parse_origins


class Settings(BaseSettings):
    """All settings of one openmic service; see each field's description."""

    model_config = SettingsConfigDict(
        env_prefix="OPENMIC_",
        env_ignore_empty=True,  # ``OPENMIC_HOST=`` means the default, not every interface
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    # --- speech: which model, where, in which language
    model: str = Field(
        default="auto",
        description="Whisper model: `tiny` ... `turbo`, a path to a `.pt` file, or `auto` (by device and free memory).",
    )
    device: str = Field(default="auto", description="torch device: `auto`, `cpu`, `cuda`, `cuda:1`.")
    language: str | None = Field(
        default=None, description="Language of sessions that name none (ISO 639-1, as `tr`); empty: detect it."
    )
    vocabulary: str = Field(
        default="",
        description="Names and terms of sessions that bring none, separated by commas (`Ayşe, Wrocław, pgvector`).",
    )
    prompt: str = Field(
        default="",
        max_length=4000,
        description="Text that speech is taken to follow, for style, where a session brings none.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("openmic"),
        description="Where weights are kept; `openmic` in your cache folder (on Linux `~/.cache/openmic`).",
    )
    cpu_threads: int = Field(default=0, ge=0, description="torch threads on a CPU; 0: as many as there are cores.")

    # --- live pass
    live_step_seconds: float = Field(
        default=0.5,
        gt=0,
        le=10,
        description="New audio after which a session's live text is worked out again, if the engine is free.",
    )
    live_window_seconds: float = Field(
        default=12.0, ge=4, le=25, description="Longest stretch of audio that one live step looks at."
    )
    endpoint_silence_seconds: float = Field(
        default=0.6,
        gt=0,
        le=5,
        description="Silence after which an utterance counts as ended and all its words are committed.",
    )

    # --- final pass
    final_beam_size: int = Field(
        default=1, ge=1, le=10, description="Beam width of the final pass; 1 is greedy with temperature fallback."
    )

    # --- server
    host: str = Field(default="127.0.0.1", description="Address the server listens on.")
    port: int = Field(default=0, ge=0, le=65535, description="Port the server listens on; 0: any free one.")
    token: SecretStr | None = Field(
        default=None,
        description="The testers' token, which the card's link carries, of 16 letters and digits or more; empty: a new "
        "random one at each start.",
    )
    owner_token: SecretStr | None = Field(
        default=None,
        description="The owner's token, for others' sessions, their list and the metrics; empty: a new random one at "
        "each start (`mic.owner_token`).",
    )
    link_seconds: float = Field(
        default=0.0, ge=0, description="How long the link's token is good for; 0: as long as the service runs."
    )
    max_wrong_tokens: int = Field(
        default=20,
        ge=1,
        description="Wrong tokens in a row after which an address is not looked at any more (1013, HTTP 429).",
    )
    wrong_token_seconds: float = Field(
        default=300.0, gt=0, description="Time in which an address's wrong tokens are forgiven, one after the other."
    )
    allowed_origins: str = Field(
        default="",
        description="Web pages of others that may use the server, by origin (`https://example.org`), separated by "
        "spaces or commas; `*`: all. Its own page and pages of this machine always may; programs send no origin.",
    )
    dialects: str = Field(
        default="openai deepgram assemblyai soniox",
        description="What other vendors' SDKs may speak beside openmic's own protocol, by names separated by spaces; "
        "`wyoming` is one more.",
    )
    wyoming_host: str = Field(
        default="127.0.0.1",
        description="Address on which Wyoming is spoken, where `dialects` has it. The protocol has no token: any "
        "client that reaches the port may have speech transcribed.",
    )
    wyoming_port: int = Field(
        default=10300, ge=0, le=65535, description="Port on which Wyoming is spoken; 0: any free one."
    )
    max_connections: int = Field(
        default=256, ge=1, description="WebSocket connections that may be open at once; one more is closed (1013)."
    )
    max_sessions: int = Field(
        default=0,
        ge=0,
        description="Sessions that may be open at once; one more is refused (1013). 0: as many as the device was "
        "measured to carry, at the start and again while nobody speaks.",
    )
    max_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Longest audio of one session, in seconds; then it is finished as by `stop`.",
    )
    idle_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Time without sound after which a session is closed (4408); pings do not count, silence that is "
        "sent does.",
    )
    max_starts_per_minute: int = Field(
        default=60,
        ge=1,
        description="Sessions that one tester's token begins in a minute from one address; one more is refused (1013, "
        "HTTP 429). The owner's token has no such limit.",
    )
    first_message_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Time a new connection has for its first message; before that, for a request's headers.",
    )
    max_unauthenticated: int = Field(
        default=32,
        ge=1,
        description="Connections that may be open at once before they have shown the token (in their first message); "
        "one more is closed (1013). A token in the handshake needs no such place.",
    )
    ping_seconds: float = Field(
        default=20.0,
        gt=0,
        description="How often a WebSocket is pinged, and the time it has to answer before it is dropped.",
    )
    max_message_rate: float = Field(
        default=200.0,
        gt=0,
        description="Messages a second that are read from one connection; a faster client is slowed by its socket.",
    )
    max_backlog_bytes: int = Field(
        default=4_194_304,
        ge=1024,
        description="Bytes of a session that may wait to be decoded; its client is slowed by its socket until they "
        "are fewer.",
    )
    max_message_bytes: int = Field(
        default=1_048_576, ge=1024, description="Largest WebSocket message accepted (1009 above it)."
    )
    max_upload_bytes: int = Field(
        default=268_435_456, ge=1024, description="Largest file accepted by `POST /v1/audio/...`."
    )
    resume_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How long a session whose connection dropped waits for its client before it is finished.",
    )
    stop_seconds: float = Field(
        default=30.0,
        ge=0,
        description="How long `stop()` waits for running sessions' finals before it closes (1001).",
    )

    # --- recordings
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("openmic") / "recordings",
        description="Where sessions' audio is kept until it is deleted; `openmic/recordings` in your folder for "
        "programs' data (on Linux `~/.local/share`).",
    )
    keep_seconds: float = Field(
        default=3600.0,
        ge=0,
        description="How long an ended session can be downloaded before it is deleted; 0: deleted at once. It counts "
        "while no server runs, too; the next one deletes what is over.",
    )
    max_data_bytes: int = Field(
        default=20_000_000_000,
        ge=1_000_000,
        description="What all of `data_dir` may take; above it no session begins (1013, HTTP 507).",
    )
    min_free_disk_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="What stays free on the disk of `data_dir`: below it no session begins, and those that speak are "
        "finished (1013, HTTP 507).",
    )
    journal_sync_seconds: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="How often what sessions received is forced to the disk (`fsync`): a loss of power costs no more "
        "than this. A server that is killed loses nothing acknowledged, whatever this is.",
    )

    # --- several processes on one data_dir
    lease_seconds: float = Field(
        default=10.0,
        ge=0.5,
        le=300,
        description="How long a process may stand still before another takes its sessions over, where several share "
        "`data_dir`. One that is known to be dead is not waited for.",
    )
    replica: str = Field(
        default="",
        max_length=100,
        description="What people call this process among several; empty: its host and its number.",
    )

    # --- log
    log_to: Literal["file", "stderr", "none"] = Field(
        default="file",
        description="Where the log goes, one JSON line per event: `file` (`log/openmic.jsonl` in `data_dir`; a "
        "new one begins at 2 MB, five older ones are kept), `stderr` or `none`.",
    )
    log_words: bool = Field(default=False, description="Whether the log may hold what people said (their final texts).")

    # --- public URL
    tunnel: Literal["auto", "ngrok", "cloudflare", "none"] = Field(
        default="auto", description="Public URL: `auto` is ngrok where an authtoken is found, else none."
    )
    ngrok_authtoken: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("ngrok_authtoken", "NGROK_AUTHTOKEN"),
        description="ngrok's authtoken; from `NGROK_AUTHTOKEN`, in Colab also from the secret of that name.",
    )
    ngrok_url: str | None = Field(default=None, description="Your own ngrok URL, if you have more than one.")
    cloudflared_path: Path | None = Field(
        default=None, description="Cloudflare's `cloudflared` program; empty: the one on the search path."
    )

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        return " ".join(sorted(parse_origins(text)))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables. What is left empty (a notebook's form field) leaves the variable its say."""
        given = {name: value for name, value in init_settings().items() if value != ""}
        return InitSettingsSource(settings_cls, given), env_settings


_PAGE_HEAD = """# Settings

A value comes from, first to last: the argument given in code (`openmic.launch(max_sessions=2)`), the environment
variable, the default. What is left empty, be it a variable (`OPENMIC_HOST=`) or an argument (`language=""`), counts as
not given. A name that is not here is refused. This page is written by `python -m openmic.settings`.
"""


def settings_page() -> str:
    """All settings as a page for people, grouped as in this file; docs/settings.md holds it."""
    lines = [_PAGE_HEAD.rstrip()]
    for line in inspect.getsource(Settings).splitlines():
        if group := re.fullmatch(r"    # --- (.+)", line):
            lines += ["", f"## {group[1][0].upper()}{group[1][1:]}", ""]
            lines += ["| setting | environment variable | default | what it does |", "| --- | --- | --- | --- |"]
        elif (name := re.match(r"    (\w+): ", line)) and name[1] in Settings.model_fields:
            lines.append(_row(name[1]))
    return "\n".join(lines) + "\n"


def variable_of(name: str) -> str:
    """The environment variable that a setting is read from."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[-1]) if isinstance(alias, AliasChoices) else f"OPENMIC_{name.upper()}"


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        default = "(yours)"
    else:
        default = "(empty)" if field.default is None else f"`{field.default}`"
    limits = [
        f"{words} {getattr(limit, sign)}"
        for limit in field.metadata
        for sign, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"))
        if hasattr(limit, sign)
    ]
    values = f" Allowed: {', '.join(limits)}." if limits else ""
    return f"| `{name}` | `{variable_of(name)}` | {default} | {field.description}{values} |"


if __name__ == "__main__":
    print(settings_page(), end="")
