"""What can go wrong on the way to a running cluster, beside what its rooms tell of themselves."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "ray_missing": Problem(
            "A cluster needs Ray, which is not installed.",
            "The service itself runs without Ray, so Ray is an extra.",
            "Run `pip install 'openmic[cluster]'`, in a checkout `pip install -r requirements-cluster.txt`.",
        ),
        "cluster_not_started": Problem(
            "The cluster did not start.",
            "{detail}.",
            "Read Ray's logs in {logs}, or start the service without Ray: `openmic serve`.",
        ),
        "no_listeners": Problem(
            "The dialect {name} does not work in a cluster.",
            "It listens on a port of its own, to which Ray Serve leads no connections.",
            "Leave it out of the setting dialects, or run a service beside the cluster for it: `openmic serve`.",
        ),
    }
)
