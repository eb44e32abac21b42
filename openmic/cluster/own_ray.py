"""A Ray of our own on this machine, and a port for what Serve shows on it."""

from __future__ import annotations

import logging
import socket
from typing import Any

OBJECT_STORE_BYTES = 100 * 1024 * 1024  # nothing of ours goes through it
START_TRIES = 3


def start_ray(cpus: int, **more: Any) -> None:
    """Start a Ray of our own on this machine, with ``cpus`` to share out.

    Ray gives its processes 30 s to start, which is too little on a very busy machine: then it is tried again.

    Raises:
        Exception: it does not start.
    """
    import ray

    for tries_left in range(START_TRIES - 1, -1, -1):
        try:
            ray.init(
                "local",  # and not a cluster that happens to run here
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **more,
            )
        except Exception as error:
            ray.shutdown()
            if not tries_left or "timed out" not in str(error):
                raise
        else:
            return


def free_port(host: str) -> int:
    """A port that is free now; Serve takes none by itself."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
