"""The Serve application: what each replica is, and how Serve is to treat it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig
from ray.serve.schema import ReplicaState

from openmic.cluster.places import SAID_SECONDS
from openmic.cluster.replica import Replica
from openmic.cluster.router import FreePlacesRouter
from openmic.service.arguments import make_settings
from openmic.settings import Settings
from openmic.speech.load import load_engine
from openmic.speech.types import Engine

logger = logging.getLogger(__name__)

NAME = "openmic"
OTHER_REQUESTS = 256  # pages, lists and downloads at once, beside the connections that a replica admits
DRAIN_SECONDS = 900.0  # how long a replica that must go lets its speakers finish; any left then resume elsewhere
CHECK_SECONDS, CHECK_TIMEOUT_SECONDS = 5.0, 10.0  # a replica that hangs is ended after three checks: 45 s

LoadEngine = Callable[[Settings], Engine]


class ServeReplica:
    """One replica as Serve sees it: it is made, asked how it is, told of changes, and ended.

    Args:
        given: settings, by name; what is not among them comes from the replica's own environment.
        load: loads the engine.
    """

    def __init__(self, given: Mapping[str, Any], load: LoadEngine) -> None:
        context = serve.get_replica_context()
        name = context.replica_id.unique_id

        def one_stops() -> bool:
            deployment = serve.status().applications[context.app_name].deployments[context.deployment]
            return bool(deployment.replica_states.get(ReplicaState.STOPPING))

        self._replica = Replica(make_settings(**{"replica": name, **given}), load, name, one_stops)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once the constructor is through."""
        return self._replica.app

    def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Take a change of ``user_config``, which restarts nobody: ``public_url``, a load balancer's address."""
        self._replica.lead_here_from(config.get("public_url"))

    def check_health(self) -> None:
        """Let Serve replace a replica that has been unwell for several checks."""
        self._replica.check_health()

    def record_routing_stats(self) -> dict[str, Any]:
        """What the router goes by."""
        return self._replica.routing_stats()

    async def __del__(self) -> None:
        """Finish what is left, once Serve has waited for the connections."""
        if hasattr(self, "_replica"):
            await self._replica.close()


DEPLOYMENT: Any = serve.deployment(name=NAME)(serve.ingress()(ServeReplica))


def application(given: Mapping[str, Any], load: LoadEngine = load_engine, **options: Any) -> Application:
    """The application with these settings.

    Args:
        given: settings, by name. They are checked here, and read again in each replica, where the environment may have
            more.
        load: loads each replica's engine.
        options: of the Serve deployment, such as ``num_replicas`` and ``ray_actor_options``.

    Raises:
        OpenmicError: a setting cannot be used.
    """
    settings = make_settings(**given)
    router = RequestRouterConfig(request_router_class=FreePlacesRouter, request_routing_stats_period_s=SAID_SECONDS)
    chosen = {
        "max_ongoing_requests": settings.max_connections + OTHER_REQUESTS,  # above it a handshake would only wait
        "graceful_shutdown_timeout_s": DRAIN_SECONDS,
        "health_check_period_s": CHECK_SECONDS,
        "health_check_timeout_s": CHECK_TIMEOUT_SECONDS,
        "request_router_config": router,
        **options,
    }
    return DEPLOYMENT.options(**chosen).bind(dict(given), load)


def app(args: dict[str, Any]) -> Application:
    """``serve run openmic.cluster:app model=turbo``; a Serve config gives settings as the application's ``args``."""
    return application(args)
