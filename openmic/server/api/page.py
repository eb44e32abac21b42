"""The tester's page: the files of ``server/page``, and nothing else, with headers that keep it to its own origin."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from openmic.server.problems import PROBLEMS

PAGE_DIR = Path(__file__).parents[1] / "page"
VERSION_DIGITS = 16  # of the page's version in its files' addresses
HOST = re.compile(r"[A-Za-z0-9.\-:\[\]]+")
mimetypes.add_type("text/javascript", ".js")  # some systems' tables say otherwise, and browsers then refuse it

router = APIRouter(include_in_schema=False)


def page_headers(host: str) -> dict[str, str]:
    """The page's headers; ``host`` is named because some browsers' ``'self'`` leaves WebSockets out."""
    sockets = f" ws://{host} wss://{host}" if HOST.fullmatch(host) else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",
        "font-src": "'self'",
        "manifest-src": "'self'",
        "connect-src": f"'self'{sockets}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def page_version() -> str:
    """A name for the files as they are: as long as it is the same, a browser may keep them."""
    digest = hashlib.sha256()
    for name, path in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:VERSION_DIGITS]


@router.get("/")
def index(request: Request) -> Response:
    """The page; its files are named with their version, so that a second visit asks for none of them."""
    text = (PAGE_DIR / "index.html").read_text(encoding="utf-8")
    for name in _files():
        text = text.replace(f'="{name}"', f'="{page_version()}/{name}"')
    return HTMLResponse(text, headers=page_headers(request.headers.get("host", "")))


@router.get("/{name}")
def page_file(request: Request, name: str) -> Response:
    """One of the page's files.

    Raises:
        OpenmicError: ``not_found``.
    """
    files = _files()
    if name not in files:
        raise PROBLEMS.error("not_found")
    if name == "index.html":
        return index(request)
    return FileResponse(files[name], headers=page_headers(request.headers.get("host", "")))


@router.get("/{version}/{name}")
def page_file_of_a_version(request: Request, version: str, name: str) -> Response:
    """The same, to be kept by the browser; that of another version is given as it is now, and not to be kept.

    Raises:
        OpenmicError: ``not_found``.
    """
    if len(version) != VERSION_DIGITS:
        raise PROBLEMS.error("not_found")
    response = page_file(request, name)
    if version == page_version():
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _files() -> dict[str, Path]:
    return {path.name: path for path in PAGE_DIR.iterdir() if path.is_file()}
