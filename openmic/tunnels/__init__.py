"""A public URL for a local port: ngrok, Cloudflare's quick tunnel, or none; their failures in plain words."""

from __future__ import annotations

from openmic.tunnels.authtoken import Authtoken, AuthtokenFound, AuthtokenMissing, find_authtoken
from openmic.tunnels.opening import how_to_get_public_url, look_for_authtoken, open_tunnel
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.reachability import problem_from_outside
from openmic.tunnels.reopening import ReopeningTunnel
from openmic.tunnels.types import Tunnel

__all__ = [
    "PROBLEMS",
    "Authtoken",
    "AuthtokenFound",
    "AuthtokenMissing",
    "ReopeningTunnel",
    "Tunnel",
    "find_authtoken",
    "how_to_get_public_url",
    "look_for_authtoken",
    "open_tunnel",
    "problem_from_outside",
]
