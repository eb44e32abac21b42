"""Which replica a connection goes to: one that has a place free, and of those the one with the fewest inside.

Serve's own router compares two replicas by chance and knows their connections alone. Of three replicas it could ask the
two that are full, and a session that waits for its final after its client has gone holds a place without a connection.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

from openmic.cluster.replica import FREE, OPEN

STATS_SECONDS = 0.5  # how often Serve asks each replica for its ``record_routing_stats``


class FreePlacesRouter(FIFOMixin, RequestRouter):
    """Ranks replicas by the places that they have free; where none has, all of them are asked as they come."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, the best first; Serve takes the one with the fewest requests of the first that will."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # all are among those returned
        ranked = sorted(candidate_replicas, key=self._free, reverse=True)
        return [[replica] for replica in ranked]

    def _free(self, replica: RunningReplica) -> float:
        stats: dict[str, Any] = replica.routing_stats
        if not stats:
            return 0.0
        # What was sent there since it said so is on its way in.
        known = self.replica_queue_len_cache.get(replica.replica_id)
        since = max(0, known - stats[OPEN]) if known is not None else 0
        return float(stats[FREE] - since)
