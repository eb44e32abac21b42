"""Real Ray and real Serve on this machine, with applications of ours that tests deploy, kill and deploy again."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve
from ray.serve.schema import ReplicaState

from openmic.client import connect
from openmic.client.stream import Stream
from openmic.cluster.application import application
from openmic.cluster.own_ray import start_ray
from openmic.cluster.reports import Report, Reports
from openmic.server.access.token_file import TokenFile
from openmic.settings import Settings
from openmic.speech.types import Engine
from tests.support.client_audio import PCM
from tests.support.killed_server import free_port
from tests.support.scripted_cluster import load_scripted
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CPUS = 4  # what Ray shares out; two cores carry it
NAME = "openmic"


class ServedCluster:
    """One application in the running Serve.

    Args:
        folder: of its data.
        port: of Serve's proxy.
        load: loads each replica's engine.
        settings: of the service, by name.
    """

    def __init__(
        self, folder: Path, port: int, load: Callable[[Settings], Engine] = load_scripted, **settings: Any
    ) -> None:
        self.data_dir = folder / "recordings"
        self.url = f"http://127.0.0.1:{port}"
        self._load = load
        self._settings = {"data_dir": str(self.data_dir), "stop_seconds": 5.0, **settings}
        self._tokens, self._reports = TokenFile(self.data_dir), Reports(self.data_dir)

    def deploy(self, replicas: int, **options: Any) -> None:
        """Bring Serve to so many replicas, and wait until they are there and have reported."""
        chosen = {"graceful_shutdown_wait_loop_s": 0.2, "health_check_period_s": 1.0, **options}
        if "autoscaling_config" not in chosen:
            chosen["num_replicas"] = replicas
        serve.run(application(self._settings, self._load, **chosen), name=NAME)
        self.wait_for(replicas)

    def wait_for(self, replicas: int) -> None:
        """Wait until Serve has so many running, and all of them have reported."""

        def running() -> int:
            deployment = serve.status().applications[NAME].deployments[NAME]
            number: int = deployment.replica_states.get(ReplicaState.RUNNING, 0)
            return number

        wait_until(lambda: (running(), len(self.replicas())) == (replicas, replicas))

    def replicas(self) -> list[Report]:
        """Those that are at work."""
        return [report for report in self._reports.read() if Path(f"/proc/{report.pid}").exists()]

    def kill(self, replica: Report, number: int = signal.SIGKILL) -> None:
        """Send a replica's process a signal."""
        os.kill(replica.pid, number)

    def secret(self, use: str) -> str:
        """The first token for a use."""
        return next(token.secret for token in self._tokens.read() if token.use == use and token.secret is not None)

    @property
    def link(self) -> str:
        """What a tester is given."""
        return f"{self.url}/#token={self.secret('tester')}"

    @property
    def owner(self) -> dict[str, str]:
        """The owner's header."""
        return {"Authorization": f"Bearer {self.secret('owner')}"}

    @property
    def tokens(self) -> TokenFile:
        """As another process has them."""
        return self._tokens

    def end(self) -> None:
        """Take it away, and wait until its processes have gone."""
        pids = [replica.pid for replica in self.replicas()]
        serve.delete(NAME)
        wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])


@contextmanager
def running_serve() -> Iterator[int]:
    """Ray and Serve of our own; gives the port of the proxy. Everything ends with it."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S="0.5",
        RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S="0.5",
    )
    port = free_port()
    start_ray(CPUS, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}})
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        yield port
        serve.shutdown()
    finally:
        ray.shutdown()


def by_replica(cluster: ServedCluster, name: str) -> list[float]:
    """A metric's values, one for each replica, the lowest first."""
    text = httpx.get(f"{cluster.url}/metrics", headers=cluster.owner).text
    return sorted(map(float, re.findall(rf'^{name}\{{replica="\w+"\}} (\S+)$', text, re.MULTILINE)))


def becomes(cluster: ServedCluster, name: str, values: list[float]) -> None:
    """A metric has these values soon: those of the replicas that do not answer are up to a second old."""
    wait_until(lambda: by_replica(cluster, name) == values, 15)


def stream_to(cluster: ServedCluster) -> Stream:
    """A tester's stream of raw samples."""
    return connect(cluster.link, **PCM)  # type: ignore[arg-type]
