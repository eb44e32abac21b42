"""What a Prometheus server may know about this one: counts and seconds, never a word.

Each app has its own registry, so that several can live in one process. Values are read when they are asked for;
docs/operations.md says what each means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.sessions.registry import Sessions
from openmic.sessions.state import State


class Metrics(Collector):
    """Reads sessions, engine and gate at each scrape, and counts errors by their code."""

    def __init__(self, sessions: Sessions, entry: Gate, connections: Connections) -> None:
        self._sessions = sessions
        self._entry = entry
        self._connections = connections
        self._errors: Counter[str] = Counter()
        self._lock = Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count_error(self, code: str) -> None:
        """Count one error told to a client; ``code`` comes from a problem table, so there are few of them."""
        with self._lock:
            self._errors[code] += 1

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics now; called by the registry."""
        yield from self._of_sessions()
        yield from self._of_connections()
        yield from self._of_engine()

    def _of_sessions(self) -> Iterator[Metric]:
        snapshots = self._sessions.list()
        states = Counter(snapshot.state for snapshot in snapshots)
        by_state = GaugeMetricFamily("openmic_sessions", "Sessions that are open or kept.", labels=["state"])
        for state in State:
            by_state.add_metric([state.value], states[state])
        yield by_state
        away = sum(1 for one in snapshots if one.state is State.RECEIVING and not one.attached)
        yield GaugeMetricFamily("openmic_sessions_away", "Sessions whose connection is lost.", away)
        lag = max((one.lag for one in snapshots if one.state is State.RECEIVING), default=0.0)
        yield GaugeMetricFamily("openmic_session_lag_seconds", "Most audio behind any session's live text.", lag)
        delay = GaugeMetricFamily(
            "openmic_live_delay_seconds",
            "Audio behind live text, of all speakers over the last seconds.",
            labels=["quantile"],
        )
        moments = self._sessions.load.moments
        delay.add_metric(["0.5"], (moments[-1].delay_p50_seconds if moments else None) or 0.0)
        delay.add_metric(["0.9"], (moments[-1].delay_p90_seconds if moments else None) or 0.0)
        yield delay
        known = self._sessions.known
        backlog = known.backlog_bytes()
        yield GaugeMetricFamily("openmic_backlog_bytes", "Bytes received and not yet decoded.", backlog)
        waiting = states[State.FINISHING]
        yield GaugeMetricFamily("openmic_finals_waiting", "Sessions that wait for their final.", waiting)
        yield CounterMetricFamily("openmic_sessions_opened", "Sessions opened.", known.opened_total)
        yield CounterMetricFamily("openmic_received_bytes", "Bytes received.", known.received_bytes_total())
        yield CounterMetricFamily("openmic_audio_seconds", "Audio decoded.", known.audio_seconds_total())

    def _of_connections(self) -> Iterator[Metric]:
        entry = self._entry
        yield GaugeMetricFamily("openmic_connections", "WebSocket connections open.", len(self._connections))
        strangers = len(entry.unauthenticated)
        yield GaugeMetricFamily("openmic_unauthenticated_connections", "Those without a token so far.", strangers)
        waiting = self._connections.waiting_messages()
        yield GaugeMetricFamily("openmic_outbox_messages", "Messages waiting for their clients.", waiting)
        yield CounterMetricFamily("openmic_wrong_tokens", "Wrong tokens shown.", entry.wrong_tokens.total)
        yield GaugeMetricFamily("openmic_blocked_addresses", "Addresses refused now.", entry.wrong_tokens.blocked())
        errors = CounterMetricFamily("openmic_errors", "Errors told to clients.", labels=["code"])
        with self._lock:
            counted = dict(self._errors)
        for code, count in counted.items():
            errors.add_metric([code], count)
        yield errors

    def _of_engine(self) -> Iterator[Metric]:
        stats = self._sessions.engine.stats()
        yield GaugeMetricFamily("openmic_engine_streams", "Streams open in the engine.", stats.streams)
        yield GaugeMetricFamily("openmic_engine_busy_ratio", "Part of the last seconds it worked.", stats.busy)
        yield GaugeMetricFamily("openmic_engine_step_seconds", "Time of the latest live step.", stats.step_seconds)
        yield GaugeMetricFamily("openmic_engine_batch_size", "Streams in the latest live step.", stats.batch_size)
        yield GaugeMetricFamily("openmic_engine_lag_seconds", "Most audio any stream has waiting.", stats.lag_seconds)
        if stats.capacity is not None:
            yield GaugeMetricFamily(
                "openmic_capacity_sessions", "Sessions the device can keep up with.", stats.capacity
            )
        yield GaugeMetricFamily(
            "openmic_engine_late", "1 while live text is too late to let anybody in.", int(stats.late)
        )
        held = int(stats.finals_held)
        yield GaugeMetricFamily("openmic_engine_finals_held", "1 while finals give way to late live text.", held)
        slowness = stats.slowness
        yield GaugeMetricFamily("openmic_engine_slowness_ratio", "Time of live steps over that measured.", slowness)
        work = stats.finals_seconds
        yield GaugeMetricFamily("openmic_engine_finals_seconds", "Work on finals that are waited for.", work)
        if stats.memory_bytes is not None:
            yield GaugeMetricFamily("openmic_device_memory_bytes", "Device memory in use.", stats.memory_bytes)
