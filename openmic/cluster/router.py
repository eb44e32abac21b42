"""Which replica a connection goes to: the one with the most places free.

Serve's own router compares two replicas by chance and knows their connections alone. Of three replicas it may ask the
two that are full, and it takes a small one that is full for less busy than a large one that is half empty.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    ReplicaResult,
    RequestRouter,
    RunningReplica,
)

from openmic.cluster.replica import FREE, OPEN

STATS_SECONDS = 0.5  # how often Serve asks each replica for its ``record_routing_stats``
LOST_SECONDS = 5.0  # after which a request that was to go to a replica, and never did, is forgotten
UNKNOWN_FREE = 0.5  # of a replica that has just been made: better than one that is full, worse than one that is not


@dataclass(slots=True)
class _Sent:
    """A request that is at a replica, or on its way there."""

    replica: ReplicaID
    arrived: bool = False
    at: float = field(default_factory=time.monotonic)


class FreePlacesRouter(FIFOMixin, RequestRouter):
    """Ranks all replicas by their free places; Serve sends the request to the first that takes it."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Begin; called by Serve, which gives no arguments unless they are configured."""
        self._sent: dict[str, _Sent] = {}  # by Serve's own name of the request

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, the best first."""
        ranked = sorted(candidate_replicas, key=self._free, reverse=True)
        if pending_request is not None and ranked:
            pending_request.routing_context.should_backoff = True  # there are no others to try at once
            self._sent[pending_request.metadata.internal_request_id] = _Sent(ranked[0].replica_id)
        return [[replica] for replica in ranked]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult) -> None:
        """The replica has it."""
        self._sent[pending_request.metadata.internal_request_id] = _Sent(replica_id, arrived=True)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """It is over."""
        self._sent.pop(internal_request_id, None)

    def _free(self, replica: RunningReplica) -> float:
        """Places that are free by what the replica has said, and by what was sent there since."""
        stats: dict[str, int] = replica.routing_stats
        now, sent, latest = time.monotonic(), 0, 0
        for name, request in list(self._sent.items()):
            age = now - request.at
            if not request.arrived and age > LOST_SECONDS:
                del self._sent[name]
            elif request.replica == replica.replica_id:
                sent += 1
                latest += age < STATS_SECONDS
        if not stats:
            return UNKNOWN_FREE / (1 + sent)
        # Where another proxy sends people too, nobody here can tell which of those inside are whose.
        unknown_to_it = sent - stats[OPEN] if sent >= stats[OPEN] else latest
        return stats[FREE] - unknown_to_it
