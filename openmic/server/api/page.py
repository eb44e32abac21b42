"""The tester's page: the files of ``server/page``, and nothing else, with headers that keep it to its own origin."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from openmic.server.problems import PROBLEMS

PAGE_DIR = Path(__file__).parents[1] / "page"
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


@router.get("/")
def index(request: Request) -> FileResponse:
    """The page."""
    return page_file(request, "index.html")


@router.get("/{name}")
def page_file(request: Request, name: str) -> FileResponse:
    """One of the page's files.

    Raises:
        OpenmicError: ``not_found``.
    """
    files = {path.name: path for path in PAGE_DIR.iterdir() if path.is_file()}
    if name not in files:
        raise PROBLEMS.error("not_found")
    return FileResponse(files[name], headers=page_headers(request.headers.get("host", "")))
