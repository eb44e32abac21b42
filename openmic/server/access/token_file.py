"""Tokens that several processes share: one file that only its owner can read, looked at by each of them.

The process that makes or revokes a token writes the file; the others follow within ``LOOK_SECONDS``. Like the store in
memory the file has the digests of secrets alone, but for those that stand in a link that must be shown again.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from openmic.ownership import make_private_folder
from openmic.server.access.tokens import ID_BYTES, TOKEN_BYTES, AccessToken, TokenStore, Use, digest
from openmic.server.problems import PROBLEMS

NAME = "tokens.json"  # in the folder that the processes share
LOOK_SECONDS = 0.25  # how often a process looks whether the file has changed
LOCK_SECONDS = 10.0  # how long a change waits for another process's
READ_WRITE_OWNER = 0o600


@dataclass(frozen=True, slots=True)
class SharedToken:
    """One line of the file.

    Attributes:
        id, use, created, seconds, revoked: as of an ``AccessToken``.
        digest: SHA-256 of the secret, in hexadecimal.
        secret: the secret itself, of the tokens that a new start shows again; None: nobody knows it any more.
    """

    id: str
    use: Use
    created: float
    seconds: float | None
    digest: str
    revoked: bool = False
    secret: str | None = field(default=None, repr=False)

    def access_token(self) -> AccessToken:
        """As this process's store has it; its end is reckoned on this machine's clocks."""
        deadline = None
        if self.seconds is not None:
            deadline = time.monotonic() + self.created + self.seconds - time.time()
        return AccessToken(self.id, self.use, self.created, self.seconds, self.revoked, deadline)


class TokenFile:
    """The tokens of all processes that work in one folder; from any thread.

    Args:
        folder: that they share.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = FileLock(self.path.with_suffix(".lock"), timeout=LOCK_SECONDS, mode=READ_WRITE_OWNER)
        self._seen = b""

    def read(self) -> tuple[SharedToken, ...]:
        """All tokens, the oldest first; none where there is no file yet."""
        return _parse(self._bytes())

    def ensure(self, use: Use, seconds: float | None, secret: str | None) -> SharedToken:
        """The first token for this use, made where there is none: by the first process, for all.

        Args:
            use: ``tester`` or ``owner``.
            seconds: its life, where it is made.
            secret: one of the owner's choice; then it is that token, whatever others there are. Where it was taken
                back, it stays so.

        Raises:
            OpenmicError: ``bad_token_request``: it is a token for another use.
        """
        with self._changing() as tokens:
            for token in tokens:
                if secret is not None and token.digest == _hex(secret):
                    if token.use != use:
                        raise PROBLEMS.error("bad_token_request", detail="That token is in use already")
                    return token
                if secret is None and token.secret is not None and token.use == use and not token.revoked:
                    return token
            tokens.append(_made(use, seconds, secret, show_again=secret is None))
            return tokens[-1]

    def make(self, use: Use, seconds: float | None = None) -> tuple[SharedToken, str]:
        """One more token, and its secret, which the file does not have.

        Raises:
            OpenmicError: ``bad_token_request``.
        """
        if seconds is not None and not seconds > 0:
            raise PROBLEMS.error("bad_token_request", detail="A token's life is a number of seconds above 0")
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as tokens:
            tokens.append(_made(use, seconds, secret, show_again=False))
            return tokens[-1], secret

    def revoke(self, id_or_token: str) -> SharedToken:
        """Take a token back, by its id or its text.

        Raises:
            OpenmicError: ``no_such_token``.
        """
        with self._changing() as tokens:
            for at, token in enumerate(tokens):
                if id_or_token == token.id or _hex(id_or_token) == token.digest:
                    tokens[at] = replace(token, revoked=True)
                    return tokens[at]
        raise PROBLEMS.error("no_such_token")

    def renew(self) -> None:
        """Forget all tokens: what an earlier start gave out opens nothing any more."""
        with self._changing() as tokens:
            tokens.clear()

    def follow(self, store: TokenStore) -> None:
        """Bring a process's store up to date: new tokens open; what came in with a revoked one ends.

        Raises:
            OSError: the folder cannot be reached; the store stays as it is.
            ValueError: the file is no such file.
        """
        data = self._bytes()
        if data == self._seen or not data:
            return
        tokens = {token.id: token for token in _parse(data)}
        known = {token.id: token for token in store.list()}
        for token_id, token in tokens.items():
            if token_id not in known:
                store.take(bytes.fromhex(token.digest), token.access_token())
        for token_id, had in known.items():
            if not had.revoked and (token_id not in tokens or tokens[token_id].revoked):
                store.revoke(token_id)
        self._seen = data

    def _bytes(self) -> bytes:
        try:
            # Opened, not asked for its time: a network file system answers that from memory for seconds.
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    @contextmanager
    def _changing(self) -> Iterator[list[SharedToken]]:
        make_private_folder(self.path.parent)
        with self._lock:
            before = self.read()
            tokens = list(before)
            yield tokens
            if tuple(tokens) != before:
                self._write(tokens)

    def _write(self, tokens: Iterable[SharedToken]) -> None:
        made = self.path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_WRITE_OWNER), "w") as file:
                json.dump([asdict(token) for token in tokens], file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self.path)
        finally:
            made.unlink(missing_ok=True)


def _parse(data: bytes) -> tuple[SharedToken, ...]:
    return tuple(SharedToken(**token) for token in json.loads(data)) if data else ()


def _made(use: Use, seconds: float | None, secret: str | None, *, show_again: bool) -> SharedToken:
    secret = secret or secrets.token_urlsafe(TOKEN_BYTES)
    kept = secret if show_again else None
    return SharedToken(secrets.token_hex(ID_BYTES), use, time.time(), seconds, _hex(secret), secret=kept)


def _hex(secret: str) -> str:
    return digest(secret).hex()
