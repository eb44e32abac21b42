"""What others allow and how far their free plans carry: sentences for the card and the docs."""

from __future__ import annotations

COLAB = (
    "Google Colab's terms forbid remote proxies on all its runtimes, and its free ones must be used chiefly through "
    "the notebook itself: Colab may end them without warning. Speak in the notebook, and share a tunnel from Colab "
    "only where your plan allows it."
)

NGROK_FREE_PLAN = (
    "ngrok's free plan gives an account one fixed address, 1 GB of outgoing data and 20,000 requests a month, "
    "and shows browsers a warning page that each visitor clicks away once in 7 days."
)

NGROK_WARNING_PAGE = 'ngrok shows a warning page first: press "Visit Site" there.'

NGROK_EXPIRES = (
    "The link works while this service runs; on ngrok's free plan it is the same after every start, so anyone who "
    "has had it knows the address: what protects the service is its token."
)

CLOUDFLARE_EXPIRES = (
    "The link works while this service runs and is a new one after every start; Cloudflare gives it without an account "
    "and promises no uptime."
)
