"""``/metrics`` for all replicas: each value with the name of its replica as a label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from openmic.cluster.reports import Reports
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.metrics import Metrics
from openmic.sessions.registry import Sessions

LABEL = "replica"


class ClusterMetrics(Metrics):
    """A replica's own metrics as they are now, and those of the others as they were last reported.

    Args:
        sessions, entry, connections: as for ``Metrics``.
        replica: this one's name.
        reports: where the others' are.
    """

    def __init__(
        self, sessions: Sessions, entry: Gate, connections: Connections, replica: str, reports: Reports
    ) -> None:
        super().__init__(sessions, entry, connections)
        self._replica = replica
        self._reports = reports

    def own_text(self) -> bytes:
        """This replica's alone, without the label."""
        return super().text()

    def text(self) -> bytes:
        """All replicas' in Prometheus' text format."""
        texts = {report.replica: report.metrics for report in self._reports.read()}
        texts[self._replica] = self.own_text().decode()
        registry = CollectorRegistry()
        registry.register(_Labelled(sorted(texts.items())))
        return generate_latest(registry)


class _Labelled(Collector):
    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for replica, text in self._texts:
            for family in text_string_to_metric_families(text):
                told = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    told.add_sample(sample.name, {**sample.labels, LABEL: replica}, sample.value)
        yield from families.values()
