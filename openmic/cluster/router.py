"""Which replica a connection goes to: the one with the most places free.

Serve's own router compares two replicas by chance and knows their connections alone. Of three replicas it may ask the
two that are full, and it takes a small one that is full for less busy than a large one that is half empty.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    ReplicaID,
    ReplicaResult,
    RequestRouter,
    RunningReplica,
)

from openmic.cluster.places import FreePlaces


class FreePlacesRouter(FIFOMixin, RequestRouter):
    """Ranks all replicas by their free places; Serve sends the request to the first that takes it."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Begin; called by Serve, which gives no arguments unless they are configured."""
        self._places = FreePlaces()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, the best first."""
        ranked = sorted(candidate_replicas, key=self._free, reverse=True)
        if pending_request is not None and ranked:
            pending_request.routing_context.should_backoff = True  # there are no others to try at once
            self._places.sent(pending_request.metadata.internal_request_id, ranked[0].replica_id)
        return [[replica] for replica in ranked]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult) -> None:
        """The replica has it."""
        self._places.sent(pending_request.metadata.internal_request_id, replica_id, arrived=True)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """It is over."""
        self._places.over(internal_request_id)

    def _free(self, replica: RunningReplica) -> float:
        stats: dict[str, int] = replica.routing_stats
        return self._places.free(replica.replica_id, stats)
