"""The files in ``deploy/`` are what Serve reads, and say what openmic and each other say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    RayActorOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
)

from openmic.cluster.application import DEPLOYMENT, OTHER_REQUESTS, application
from openmic.service.arguments import make_settings
from openmic.settings import Settings

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def plain() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "serve.yaml").read_text(encoding="utf-8"))
    return config


def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text(encoding="utf-8")))


def in_kuberay() -> dict[str, Any]:
    (service,) = (one for one in kubernetes() if one["kind"] == "RayService")
    config: dict[str, Any] = yaml.safe_load(service["spec"]["serveConfigV2"])
    return config


@pytest.mark.parametrize("config", [plain(), in_kuberay()], ids=["serve.yaml", "rayservice.yaml"])
def test_serve_takes_it(config: dict[str, Any]) -> None:
    (one,) = ServeDeploySchema.model_validate(config).applications
    assert one.import_path == "openmic.cluster:app"
    settings = make_settings(**one.args)
    (deployment,) = one.deployments
    assert deployment.name == DEPLOYMENT.name
    application(one.args)  # what Serve calls, with these
    assert deployment.max_ongoing_requests >= settings.max_connections + OTHER_REQUESTS
    assert isinstance(deployment.autoscaling_config, dict)
    assert deployment.autoscaling_config["target_ongoing_requests"] < deployment.max_ongoing_requests


def test_both_say_the_same() -> None:
    one, other = plain(), in_kuberay()
    del one["applications"][0]["runtime_env"]  # a Pod has its own environment
    for options in (one, other):
        (deployment,) = options["applications"][0]["deployments"]
        deployment["ray_actor_options"].pop("num_gpus")  # parts of a GPU here, whole ones there
    assert one == other


@pytest.mark.parametrize("config", [plain(), in_kuberay()], ids=["serve.yaml", "rayservice.yaml"])
def test_every_name_is_one_of_serves(config: dict[str, Any]) -> None:
    """Serve's schema passes over names that it does not know."""
    (one,) = config["applications"]
    (deployment,) = one["deployments"]
    for given, model in (
        (config, ServeDeploySchema),
        (config["http_options"], HTTPOptionsSchema),
        (one, ServeApplicationSchema),
        (deployment, DeploymentSchema),
        (deployment["ray_actor_options"], RayActorOptionsSchema),
        (deployment["autoscaling_config"], AutoscalingConfig),
    ):
        assert {*given} <= {*model.model_fields}, model.__name__


def test_a_pod_has_what_the_service_asks_for() -> None:
    resources = {one["kind"]: one for one in kubernetes()}
    assert {*resources} == {"PersistentVolumeClaim", "Secret", "RayService"}
    claim, secret = (resources[kind]["metadata"]["name"] for kind in ("PersistentVolumeClaim", "Secret"))
    assert resources["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    cluster = resources["RayService"]["spec"]["rayClusterConfig"]
    (workers,) = cluster["workerGroupSpecs"]
    folder = Path(in_kuberay()["applications"][0]["args"]["data_dir"])
    for pod in (cluster["headGroupSpec"]["template"]["spec"], workers["template"]["spec"]):
        (container,), (volume,) = pod["containers"], pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim
        assert folder.is_relative_to(container["volumeMounts"][0]["mountPath"])
    for variable in workers["template"]["spec"]["containers"][0]["env"]:
        assert variable["name"].removeprefix("OPENMIC_").lower() in Settings.model_fields
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["name"] == secret
        assert reference["key"] in resources["Secret"]["stringData"]
