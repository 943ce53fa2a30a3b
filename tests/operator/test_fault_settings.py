"""A `genfleet-operator` that cannot start: exit status 2, a sentence that names the variable, and no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genfleet_operator.main import main
from tests.support.servers import clean_environment, free_port

Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What it says that is told such an environment. In this process, as it ends before anything is started."""

    def run(**environment: str) -> str:
        monkeypatch.setattr(sys, "argv", ["genfleet-operator"])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert main() == 2
        said = capsys.readouterr()
        assert (said.out, "Traceback" in said.err) == ("", False)
        return said.err

    return run


def _refused(**environment: str) -> str:
    """The same by the real program."""
    words = [sys.executable, "-m", "genfleet_operator.main"]
    kept = {name: value for name, value in clean_environment().items() if not name.startswith(("KUBE", "POD_"))}
    told = kept | {"GENFLEET_PROBE_PORT": str(free_port())} | environment
    done = subprocess.run(words, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("a: [", "while parsing"),
        ("- 1", "should be a pod template"),
        ("spec: {}\nkind: Pod", "should be a pod template"),
        ("spec: 5", "should be a pod template"),
        ("spec: {containers: 5}", "should be a pod template"),
    ],
    ids=[
        "missing",
        "no YAML",
        "a list",
        "more than a template",
        "a spec that is a number",
        "containers that are a number",
    ],
)
def test_a_worker_template_that_is_none_is_refused(
    refused: Refused, tmp_path: Path, text: str | None, says: str
) -> None:
    """The file is named, and what it should be."""
    file = tmp_path / "template.yaml"
    if text is not None:
        file.write_text(text)
    told = refused(GENFLEET_WORKER_TEMPLATE=str(file))
    assert told.startswith(f"genfleet-operator: GENFLEET_WORKER_TEMPLATE: {file}: ")
    assert says in told


def test_a_broker_that_is_no_redis_is_refused(refused: Refused) -> None:
    """The variable that is set is named, and its value is not shown: it may hold a password."""
    told = refused(CELERY_BROKER_URL="amqp://user:secret@rabbit")
    assert "CELERY_BROKER_URL: must start with redis://" in told
    assert "secret" not in told


def test_no_cluster_is_refused(tmp_path: Path) -> None:
    """Neither a service account nor a kubeconfig."""
    told = _refused(KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path))
    assert "KUBECONFIG: no cluster to talk to" in told


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Probes that nobody can reach would be a program that is restarted for ever without a word."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], "
        'clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}], users: [{name: u, user: {}}]}'
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = _refused(KUBECONFIG=str(kubeconfig), GENFLEET_PROBE_PORT=str(taken.getsockname()[1]))
    assert "GENFLEET_PROBE_PORT: cannot listen on" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [("GENFLEET_PROBE_PORT", "0"), ("GENFLEET_LOG_FORMAT", "xml"), ("GENFLEET_TRUST_TEMPLATES", "perhaps")],
)
def test_a_setting_that_cannot_be_is_refused(refused: Refused, name: str, value: str) -> None:
    """Each by the name of its variable."""
    assert f"genfleet-operator: {name}: " in refused(**{name: value})
