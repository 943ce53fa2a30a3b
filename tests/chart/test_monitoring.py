"""What the chart tells a Prometheus and a Grafana: nothing unless asked, then exactly what is in `deploy/monitoring`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.support.helm import CHART
from tests.support.rendered import Manifest, faults, manifests, render
from tests.support.servers import ROOT

SOURCE = ROOT / "deploy" / "monitoring"
DASHBOARDS = sorted((SOURCE / "dashboards").glob("*.json"))
SWITCHES = ["serviceMonitor", "podMonitor", "prometheusRule", "dashboards", "scrapeAnnotations"]
APPLY_LIMIT = 262_144
"""Bytes of annotations that one object may have; `kubectl apply` keeps all of it in one."""


def made(switch: str, **more: Any) -> list[Manifest]:
    """What is there with a switch of `monitoring` on, and not without it, by kind and name."""
    without = {(each["kind"], each["metadata"]["name"]) for each in manifests({})}
    found = manifests({"monitoring": {switch: {"enabled": True, **more}}})
    return [each for each in found if (each["kind"], each["metadata"]["name"]) not in without]


def pods(values: dict[str, Any]) -> dict[str, Manifest]:
    """The pod templates of API and operator."""
    found = [each for each in manifests(values) if each["kind"] == "Deployment"]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"] for each in found}


def test_nothing_is_on_by_default() -> None:
    """A cluster may have no Prometheus: then no kind of its operator is named, no pod annotated, and no dashboard there."""
    text = "\n".join(text for path, text in render({}).items() if not path.endswith("NOTES.txt"))

    assert "monitoring.coreos.com" not in text
    assert "prometheus.io/" not in text
    assert "grafana" not in text


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_notes_say_what_is_off(switch: str) -> None:
    """Who has switched nothing on is told of the page; who has, knows."""
    path = f"{CHART.name}/templates/NOTES.txt"

    assert "docs/kubernetes.md" in render({})[path]
    assert "docs/kubernetes.md" not in render({"monitoring": {switch: {"enabled": True}}})[path]


def test_the_api_is_scraped_through_its_service() -> None:
    """The monitor finds the one Service of the API, at a port that it has, and carries the labels that it is found by."""
    (monitor,) = made("serviceMonitor", labels={"release": "prom"}, interval="30s")
    services = [each for each in manifests({}) if each["kind"] == "Service"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [each for each in services if wanted <= each["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]

    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert service["metadata"]["name"] == "trial-genfleet-api"
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "30s"}
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]


def test_the_operator_is_scraped_at_its_pods() -> None:
    """It has no Service. Its series name the namespace of a queue, which must not become `exported_namespace`."""
    (monitor,) = made("podMonitor", labels={"release": "prom"})
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    templates = pods({})
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]

    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    assert [name for name, pod in templates.items() if wanted <= pod["metadata"]["labels"].items()] == ["operator"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "15s", "honorLabels": True}
    assert [port["name"] for port in templates["operator"]["spec"]["containers"][0]["ports"]] == ["http"]


def test_the_rules_are_those_of_this_repository() -> None:
    """Group by group, with what stands in braces, which is for Prometheus and not for Helm."""
    (rule,) = made("prometheusRule", labels={"release": "prom"})
    source = (SOURCE / "rules.yaml").read_text()

    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "prom"
    assert rule["spec"] == yaml.safe_load(source)
    assert rule["spec"]["groups"]
    assert "{{ $labels" in source
    assert (CHART / "files" / "monitoring" / "rules.yaml").read_text() == source


def test_runbooks_are_where_the_reader_has_them() -> None:
    """Each alert's link begins with the address that was given, and ends with the name of its page."""
    (rule,) = made("prometheusRule", runbooks="https://wiki.example.com/genfleet/")
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]

    assert alerts
    for each in alerts:
        assert each["annotations"]["runbook_url"] == f"https://wiki.example.com/genfleet/{each['alert']}.md"


def test_each_dashboard_is_a_config_map_for_the_sidecar() -> None:
    """Byte for byte, found by its label, and small enough for `kubectl apply`."""
    found = made("dashboards")
    contents = {name: text for each in found for name, text in each["data"].items()}

    assert DASHBOARDS
    assert contents == {f"genfleet-{path.name}": path.read_text() for path in DASHBOARDS}
    assert len(found) == len(contents)
    for each in found:
        assert faults(each) == []
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(json.dumps(each)) < APPLY_LIMIT


def test_dashboards_go_where_a_sidecar_looks() -> None:
    """Labels and folder are those that it is set to."""
    found = made(
        "dashboards", labels={"grafana_dashboard": None, "show": "yes"}, annotations={"grafana_folder": "Fleet"}
    )

    for each in found:
        assert each["metadata"]["labels"]["show"] == "yes"
        assert "grafana_dashboard" not in each["metadata"]["labels"]
        assert each["metadata"]["annotations"] == {"grafana_folder": "Fleet"}


def test_pods_can_say_where_they_are_scraped() -> None:
    """API and operator name their port; what is said of a pod by itself counts before, and no other pod is annotated."""
    on = {"monitoring": {"scrapeAnnotations": {"enabled": True}}}
    said = {name: pod["metadata"]["annotations"] for name, pod in pods(on).items()}
    own = pods({**on, "api": {"podAnnotations": {"prometheus.io/scrape": "false"}}})["api"]["metadata"]["annotations"]

    for name, pod in pods(on).items():
        (port,) = pod["spec"]["containers"][0]["ports"]
        assert (
            said[name].items()
            >= {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(port["containerPort"]),
                "prometheus.io/path": "/metrics",
            }.items()
        )
    assert own["prometheus.io/scrape"] == "false"
    assert made("scrapeAnnotations") == []
    assert "prometheus.io" not in json.dumps([each for each in manifests(on) if each["kind"] != "Deployment"])


def test_a_packaged_chart_has_all_of_it(tmp_path: Path) -> None:
    """`helm package` takes files of the chart's folder alone: rules and dashboards are in the archive, as they are here."""
    archive = helm_python.package(CHART, destination=tmp_path)
    wanted = {"rules.yaml": SOURCE / "rules.yaml", **{f"dashboards/{path.name}": path for path in DASHBOARDS}}

    with tarfile.open(archive) as chart:
        prefix = "genfleet/files/monitoring/"
        names = {name.removeprefix(prefix) for name in chart.getnames() if name.startswith(prefix)}
        assert names == set(wanted)
        for name, path in wanted.items():
            packed = chart.extractfile(prefix + name)
            assert packed is not None
            assert packed.read() == path.read_bytes()
