"""The parts of a running service, and how they are closed: in order, all of them, whatever happens to one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal, get_args

from openmic.log import log_event
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.speech.types import Engine
from openmic.tunnels import ReopeningTunnel

logger = logging.getLogger(__name__)

PartName = Literal["server", "tunnel", "sessions", "engine"]


@dataclass(slots=True)
class Parts:
    """What a service consists of; None where it is not started.

    Attributes:
        server, tunnel, sessions, engine: the parts.
        left: those that are to be closed, in this order: finals go out through the tunnel.
    """

    server: ServerThread | None = None
    tunnel: ReopeningTunnel | None = None
    sessions: Sessions | None = None
    engine: Engine | None = None
    left: list[PartName] = field(default_factory=lambda: [*get_args(PartName)])

    def close(self) -> None:
        """Close all parts that are left, the others also where closing one fails or is interrupted.

        Raises:
            BaseException: the interruption (KeyboardInterrupt), once all have been tried.
        """
        interruption: BaseException | None = None
        for name in self.left[:]:
            try:
                self._close_part(name, hurry=interruption is not None)
                self.left.remove(name)
            except Exception:
                log_event(logger, "service_fault", logging.ERROR, part=name)
            except BaseException as failure:  # no public link may stay, and no full GPU
                interruption = failure
        if interruption is not None:
            raise interruption

    def _close_part(self, name: PartName, *, hurry: bool) -> None:
        match name:
            case "server" if self.server is not None:
                self.server.stop()
            case "tunnel" if self.tunnel is not None:
                self.tunnel.close()
            case "sessions" if self.sessions is not None:
                self.sessions.close(0.0 if hurry else None)
            case "engine" if self.engine is not None:
                self.engine.close()
