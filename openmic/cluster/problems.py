"""What can go wrong on the way to a running cluster, beside what its rooms tell of themselves."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "ray_missing": Problem(
            "A cluster needs Ray, which is not installed.",
            "The service itself runs without it, so that it is an extra.",
            "Run `pip install 'openmic[cluster]'`, in a checkout `pip install -r requirements-cluster.txt`.",
        ),
        "cluster_not_started": Problem(
            "The cluster did not start.",
            "{detail}.",
            "Ray's logs in {logs} say more; `openmic serve` starts the service without Ray.",
        ),
        "no_listeners": Problem(
            "The dialect {name} cannot be spoken in a cluster.",
            "It listens on a port of its own, and Serve leads nobody there.",
            "Leave it out of the setting dialects, or run a service beside the cluster for it: `openmic serve`.",
        ),
    }
)
