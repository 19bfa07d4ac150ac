"""The chart, its value sets, and helm."""

import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "sunset"
SETS = sorted(CHART.glob("ci/*-values.yaml"))
TOOLS = pathlib.Path(os.environ["SUNSET_CHART_TOOLS"])
OUT = pathlib.Path(os.environ["SUNSET_CHART_OUT"])
HELMS = ("3", "4")
KUBERNETES = ("1.31.0", "1.33.0", "1.35.0", "1.37.0")
RELEASE, NAMESPACE = "rel", "privacy"
CAPABILITIES = ["--api-versions", "monitoring.coreos.com/v1", "--api-versions", "external-secrets.io/v1"]


def helm(version: str, *arguments: str | pathlib.Path) -> subprocess.CompletedProcess:
    state = {f"HELM_{what}_HOME": str(OUT / f"helm{version}" / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
    command = [str(TOOLS / f"helm{version}"), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **state}, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def template(values: list[pathlib.Path], version: str = "4", kubernetes: str = KUBERNETES[-1]) -> str:
    """The manifests as text.

    Raises RuntimeError with Helm's words when it refuses.
    """
    files = [argument for path in values for argument in ("--values", path)]
    kind = ["--kube-version", kubernetes, *CAPABILITIES]
    called = helm(version, "template", RELEASE, CHART, "--namespace", NAMESPACE, *kind, *files)
    if called.returncode != 0:
        raise RuntimeError(called.stderr)
    return called.stdout


def documents(text: str) -> list[dict]:
    return [document for document in yaml.safe_load_all(text) if document]


def pod_of(document: dict) -> dict | None:
    """The pod template of a workload: its `metadata` and `spec`."""
    match document["kind"]:
        case "CronJob":
            return document["spec"]["jobTemplate"]["spec"]["template"]
        case "Deployment":
            return document["spec"]["template"]
        case "Pod":
            return document
    return None
