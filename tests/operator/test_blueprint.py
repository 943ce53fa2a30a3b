"""What a pool's workers look like in the cluster."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from genfleet.errors import ConfigurationError
from genfleet_operator import names
from genfleet_operator.blueprint import Installation, blueprint, selector
from tests.operator.golden import CASES, FOLDER, manifest
from tests.operator.queues import INSTALLATION, UID, container, plan, queue


def worker_of(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The worker's container of a Deployment."""
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    assert found["name"] == "worker"
    return found


def environment(deployment: Mapping[str, Any]) -> dict[str, str | None]:
    """The worker's environment, as far as it is written out."""
    return {entry["name"]: entry.get("value") for entry in worker_of(deployment)["env"]}


def grace(template: Mapping[str, Any], **spec: Any) -> tuple[int, str | None]:
    """Seconds that Kubernetes gives a worker to end, and those that the worker is told."""
    one = queue({"name": "spot", "template": dict(template)}, **spec)
    made = blueprint(one, UID, one.spec.pools[0], INSTALLATION).manifest
    return made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], environment(made)[
        "GENFLEET_DRAIN_SECONDS"
    ]


def unrestricted(pod: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a pod from the Pod Security Standard `restricted`, by its documented controls."""
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC", "hostUsers") if pod.get(name))
    kinds = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    yield from (f"volume {one['name']}" for one in pod.get("volumes", ()) if not one.keys() - {"name"} <= kinds)
    shared = pod.get("securityContext", {})
    for one in [*pod.get("initContainers", ()), *pod["containers"]]:
        own = one.get("securityContext", {})
        both = {**shared, **own}
        added = set(own.get("capabilities", {}).get("add", ())) - {"NET_BIND_SERVICE"}
        faults = {
            "privileged": bool(own.get("privileged")),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "runAsNonRoot": both.get("runAsNonRoot") is not True,
            "runAsUser": both.get("runAsUser") == 0,
            "capabilities": own.get("capabilities", {}).get("drop") != ["ALL"] or bool(added),
            "seccompProfile": both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
            "hostPort": any(port.get("hostPort") for port in one.get("ports", ())),
            "procMount": own.get("procMount", "Default") != "Default",
        }
        yield from (f"{name} of {one['name']}" for name, wrong in faults.items() if wrong)


# -- manifests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_is_the_golden_one(name: str) -> None:
    """Exactly. Whoever means to change it runs `python -m tests.operator.golden` and reads the difference."""
    assert manifest(name) == yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def test_every_golden_manifest_is_tested() -> None:
    """No file is left of a case that is no more."""
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_pods_pass_the_restricted_pod_security_standard(name: str) -> None:
    """A namespace that enforces it takes our workers, also with what a pool adds to them."""
    assert not list(unrestricted(manifest(name)["spec"]["template"]["spec"]))


def test_a_sidecar_has_to_bring_its_own_restrictions() -> None:
    """A container that says nothing of itself may more than a worker: what is missing is named."""
    with pytest.raises(ConfigurationError) as caught:
        plan({"spec": {"containers": [{"name": "beside", "image": "i"}]}})
    assert (
        "template has to set spec.containers[beside].securityContext.allowPrivilegeEscalation: false and "
        "capabilities.drop: [ALL]; or let the operator trust templates (the chart's operator.trustTemplates, "
        "GENFLEET_TRUST_TEMPLATES)"
    ) in str(caught.value)


def test_gpus_are_request_and_limit() -> None:
    """Kubernetes takes them only as limits, and equal to the request."""
    resources = worker_of(manifest("gpu-with-everything"))["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "2"


def test_a_cpu_pool_asks_for_no_gpu() -> None:
    """Not even for none of them, which would keep nodes without GPUs out."""
    assert "resources" not in worker_of(manifest("cpu"))


def test_kubernetes_removes_it_with_the_queue() -> None:
    """The owner is the queue, by its uid, and nothing waits for an operator."""
    meta = plan().manifest["metadata"]
    assert [(one["kind"], one["name"], one["uid"]) for one in meta["ownerReferences"]] == [
        ("GenerationQueue", "video", UID)
    ]
    assert "finalizers" not in meta


def test_names_and_labels_tell_queue_pool_and_revision() -> None:
    """On the Deployment and on its pods; the selector takes no label that a template could change."""
    made = plan({"metadata": {"labels": {"genfleet.dev/pool": "other", "team": "film"}}})
    labels = made.manifest["metadata"]["labels"]
    assert made.deployment == made.manifest["metadata"]["name"] == f"video-spot-{made.revision}"
    assert labels == {
        "app.kubernetes.io/name": "genfleet-worker",
        "app.kubernetes.io/managed-by": "genfleet-operator",
        "genfleet.dev/queue": "video",
        "genfleet.dev/pool": "spot",
        "genfleet.dev/revision": made.revision,
    }
    assert made.manifest["spec"]["template"]["metadata"]["labels"] == {
        **labels,
        "genfleet.dev/kept": "yes",
        "team": "film",
    }
    assert made.manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert selector(queue()) == "genfleet.dev/queue=video,app.kubernetes.io/managed-by=genfleet-operator"


def test_the_longest_names_fit() -> None:
    """With a queue and a pool that are as long as they may be, Kubernetes still takes every name and label."""
    one = queue({"name": "p" * 30})
    one = one.model_copy(update={"metadata": one.metadata.model_copy(update={"name": "q" * 32})})
    made = blueprint(one, UID, one.spec.pools[0], INSTALLATION)
    assert len(f"{made.deployment}-5d8f9c7b64-x2x4z") <= 253
    assert all(len(value) <= 63 for value in made.manifest["metadata"]["labels"].values())


# -- revisions -----------------------------------------------------------------------------------------------------------


def test_the_number_of_workers_makes_no_revision() -> None:
    """Nor do the rules of scaling: nobody is replaced because there are more."""
    few, many = queue({"name": "spot"}), queue({"name": "spot", "maxReplicas": 9}, scaling={"maxReplicas": 9})
    made = [blueprint(one, UID, one.spec.pools[0], INSTALLATION) for one in (few, many)]
    assert made[0] == made[1]
    assert made[0].with_replicas(3)["spec"]["replicas"] == 3
    assert "replicas" not in made[0].manifest["spec"]


def test_the_order_of_keys_makes_no_revision() -> None:
    """YAML has no order of keys, and what the API server gives back has another one."""
    one = {"nodeSelector": {"a": "1", "b": "2"}, "runtimeClassName": "nvidia"}
    other = {"runtimeClassName": "nvidia", "nodeSelector": {"b": "2", "a": "1"}}
    assert plan({"spec": one}).revision == plan({"spec": other}).revision


@pytest.mark.parametrize(
    "template",
    [
        container(image="other:1"),
        container(env=[{"name": "NEW", "value": "1"}]),
        container(resources={"limits": {"memory": "1Gi"}}),
        {"spec": {"nodeSelector": {"a": "b"}}},
        {"spec": {"terminationGracePeriodSeconds": 5}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"labels": {"a": "b"}}},
    ],
)
def test_any_change_of_the_template_makes_a_revision(template: dict[str, Any]) -> None:
    """What Kubernetes would replace pods for is a Deployment of its own."""
    assert plan(template).revision != plan().revision


@pytest.mark.parametrize(
    ("spec", "installation"),
    [
        ({"concurrency": 2}, INSTALLATION),
        ({"queue": "gpu_medium"}, INSTALLATION),
        ({}, Installation("other:2")),
        ({}, Installation(INSTALLATION.image, container(env=[{"name": "A", "value": "b"}]))),
    ],
)
def test_what_workers_are_told_makes_a_revision(spec: dict[str, Any], installation: Installation) -> None:
    """So do the queue they serve, how much they do at once, and the installation's image and template."""
    one = queue({"name": "spot"}, **spec)
    assert blueprint(one, UID, one.spec.pools[0], installation).revision != plan().revision


# -- the end of a worker -------------------------------------------------------------------------------------------------


def limits(text: str) -> dict[str, Any]:
    """A template that sets the time limits of task types."""
    return container(env=[{"name": "GENFLEET_TIME_LIMITS", "value": text}])


@pytest.mark.parametrize(
    ("template", "spec", "expected"),
    [
        pytest.param({}, {}, (645, "630"), id="the longest task, 30 s to stop, 15 s to leave"),
        pytest.param({}, {"queue": "gpu_medium"}, (345, "330"), id="of its own queue"),
        pytest.param({}, {"queue": "unknown"}, (645, "630"), id="ten minutes where types are not known"),
        pytest.param({"spec": {"terminationGracePeriodSeconds": 100}}, {}, (100, "85"), id="what a template says"),
        pytest.param({"spec": {"terminationGracePeriodSeconds": 0}}, {}, (0, "0"), id="also nothing"),
        pytest.param(
            limits('{"generate_video": [10, 20]}'), {}, (645, "630"), id="another type of the queue is longer"
        ),
        pytest.param(limits('{"generate_video": [10, 900.4]}'), {}, (945, "930"), id="limits that a template sets"),
        pytest.param(
            container(env=[{"name": "GENFLEET_DRAIN_SECONDS", "value": "7"}]), {}, (645, "7"), id="told otherwise"
        ),
    ],
)
def test_how_long_a_worker_may_take_to_end(
    template: dict[str, Any], spec: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Its longest task and what it needs to leave, and the worker is told less than Kubernetes."""
    assert grace(template, **spec) == expected


@pytest.mark.parametrize("text", ["{", '{"generate_video": 5}', '{"generate_video": ["a", "b"]}', "7"])
def test_strange_time_limits_are_refused(text: str) -> None:
    """By the name of the variable, as it was a template that set it."""
    with pytest.raises(ConfigurationError, match="GENFLEET_TIME_LIMITS in a template"):
        plan(limits(text))


# -- what a template may not ---------------------------------------------------------------------------------------------

BEYOND: list[tuple[dict[str, Any], str]] = [
    ({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
    ({"spec": {"hostPID": True}}, "spec.hostPID"),
    ({"spec": {"hostIPC": True}}, "spec.hostIPC"),
    ({"spec": {"serviceAccountName": "admin"}}, "spec.serviceAccountName 'admin'"),
    ({"spec": {"serviceAccount": "admin"}}, "spec.serviceAccount 'admin'"),
    ({"spec": {"volumes": [{"name": "a"}, {"name": "b", "hostPath": {"path": "/"}}]}}, "spec.volumes[b].hostPath '/'"),
    (container(securityContext={"privileged": True}), "spec.containers[worker].securityContext.privileged"),
    (
        container(securityContext={"allowPrivilegeEscalation": True}),
        "spec.containers[worker].securityContext.allowPrivilegeEscalation",
    ),
    (
        {"spec": {"initContainers": [{"name": "i", "image": "i", "securityContext": {"privileged": True}}]}},
        "spec.initContainers[i].securityContext.privileged",
    ),
    (container(securityContext={"runAsUser": 0}), "spec.containers[worker].securityContext.runAsUser"),
    ({"spec": {"securityContext": {"runAsNonRoot": False}}}, "spec.containers[worker].securityContext.runAsNonRoot"),
    (
        container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
        "spec.containers[worker].securityContext.capabilities.add",
    ),
    (container(ports=[{"containerPort": 1, "hostPort": 1}]), "spec.containers[worker].ports.hostPort"),
    ({"spec": {"automountServiceAccountToken": True}}, "spec.automountServiceAccountToken"),
    ({"spec": {"automountServiceAccountToken": None}}, "spec.automountServiceAccountToken"),
    (container(securityContext=None), "securityContext.allowPrivilegeEscalation: false and capabilities.drop: [ALL]"),
    (container(securityContext={"$patch": "replace"}), "and capabilities.drop: [ALL]"),
    (
        {"spec": {"hostPID": True, "initContainers": [{"name": "i"}]}},
        "may not set spec.hostPID: remove it, or keep to the restricted standard; it has to set spec.initContainers[i].",
    ),
    (
        {"spec": {"securityContext": None}},
        "spec.containers[worker].securityContext.runAsNonRoot: true and seccompProfile: {type: RuntimeDefault}",
    ),
    (
        {"spec": {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}},
        "spec.volumes[t].projected.serviceAccountToken",
    ),
    ({"spec": {"volumes": [{"name": "n", "nfs": {"server": "10.0.0.1", "path": "/"}}]}}, "spec.volumes[n].nfs"),
    ({"spec": {"volumes": [{"name": "i", "iscsi": {"targetPortal": "10.0.0.1"}}]}}, "spec.volumes[i].iscsi"),
    (
        {"spec": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}},
        "spec.securityContext.sysctls[kernel.msgmax]",
    ),
    ({"spec": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}}, "spec.securityContext.seLinuxOptions"),
    (
        container(securityContext={"seLinuxOptions": {"role": "sysadm_r"}}),
        "spec.containers[worker].securityContext.seLinuxOptions",
    ),
    (
        container(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        "spec.containers[worker].securityContext.appArmorProfile",
    ),
    (
        container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        "spec.containers[worker].securityContext.seccompProfile",
    ),
    (container(securityContext={"procMount": "Unmasked"}), "spec.containers[worker].securityContext.procMount"),
    (
        {"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"}}},
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/worker]",
    ),
    (
        container(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "spec.containers[worker].livenessProbe.host",
    ),
    (
        container(lifecycle={"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
        "spec.containers[worker].lifecycle.preStop.host",
    ),
]


@pytest.mark.parametrize(("template", "name"), BEYOND, ids=range(len(BEYOND)))
def test_a_template_that_reaches_beyond_its_pod_is_refused(template: dict[str, Any], name: str) -> None:
    """The field is named, and both remedies; an operator that trusts templates takes it."""
    with pytest.raises(ConfigurationError) as caught:
        plan(template)
    assert re.search(r"template (may not|has to) set (spec|metadata)\.", str(caught.value))
    assert name in str(caught.value)
    assert "GENFLEET_TRUST_TEMPLATES" in str(caught.value)
    assert plan(template, Installation("worker:1", trust_templates=True)).revision


def test_the_template_of_the_installation_may_reach_beyond() -> None:
    """Who installs genfleet decides over the cluster anyway."""
    made = plan(installation=Installation("worker:1", {"spec": {"serviceAccountName": "media"}}))
    assert made.manifest["spec"]["template"]["spec"]["serviceAccountName"] == "media"


RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ALLOWED = Installation("ours/worker:1", allowed_images=("registry.example.com/team/*", "registry.example.com/other"))


@pytest.mark.parametrize(
    "image",
    [
        "ours/worker:1",
        "registry.example.com/team/worker:2",
        "registry.example.com/team/deep/worker@sha256:00",
        "registry.example.com/other",
        "registry.example.com/other:3@sha256:00",
    ],
)
def test_an_image_that_is_allowed(image: str) -> None:
    """S18: the installation's own, those of a repository in any version, and those below one."""
    assert plan(container(image=image), ALLOWED).revision


@pytest.mark.parametrize(
    "template",
    [
        container(image="ours/worker:2"),
        container(image="evil/worker"),
        container(image="registry.example.com/other2:1"),
        container(image="registry.example.com/other/deeper:1"),
        container(image="registry.example.com/team"),
        container(image="registry.example.com/team2/worker"),
        container(image="registry.example.com.evil.org/team/worker"),
        container(image="evil.org/registry.example.com/team/worker"),
        container(image="registry.example.com:5000/team/worker"),
        {"spec": {"containers": [{"name": "second", "image": "evil", "securityContext": RESTRICTED}]}},
        {"spec": {"initContainers": [{"name": "first", "image": "evil", "securityContext": RESTRICTED}]}},
        {"spec": {"volumes": [{"name": "v", "image": {"reference": "evil"}}]}},
    ],
    ids=range(12),
)
def test_an_image_that_is_not_allowed(template: dict[str, Any]) -> None:
    """S18: wherever it is named; without a list every image is allowed."""
    with pytest.raises(
        ConfigurationError, match=r"which is not of registry\.example\.com/team/\*, registry\.example\.com/other"
    ):
        plan(template, ALLOWED)
    assert plan(template).revision


def test_no_label_makes_a_worker_part_of_something_else() -> None:
    """S18: a worker's pod has the labels of a worker, whatever its template says: no Service of ours leads to it."""
    claimed = {
        "app.kubernetes.io/name": "genfleet",
        "app.kubernetes.io/component": "api",
        names.QUEUE: "other",
        "a": "b",
    }
    made = plan({"metadata": {"labels": claimed, "namespace": "kube-system", "name": "x"}}).manifest
    labels = made["spec"]["template"]["metadata"]["labels"]

    assert labels["app.kubernetes.io/name"] == "genfleet-worker"
    assert labels[names.QUEUE] == made["metadata"]["labels"][names.QUEUE] != "other"
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["a"] == "b"
    assert made["metadata"]["namespace"] == "studio"


def test_a_template_may_say_no_to_what_it_may_not_set() -> None:
    """`hostNetwork: false` reaches nowhere."""
    assert plan({"spec": {"hostNetwork": False}}).revision


@pytest.mark.parametrize(
    ("template", "installation", "sentence"),
    [
        ({}, Installation(""), "no image: set GENFLEET_WORKER_IMAGE, or image in its template"),
        ({"spec": {"containers": [{"name": "worker", "$patch": "delete"}]}}, INSTALLATION, "removes the container"),
        ({"spec": {"containers": None}}, INSTALLATION, "removes the container"),
    ],
)
def test_a_pool_without_a_worker_is_refused(
    template: dict[str, Any], installation: Installation, sentence: str
) -> None:
    """An image and the worker's container are all that there has to be."""
    with pytest.raises(ConfigurationError, match=sentence):
        plan(template, installation)


@pytest.mark.parametrize(
    "template",
    [
        {"spec": None},
        {"spec": []},
        {"spec": "text"},
        {"spec": {"containers": "worker"}},
        {"spec": {"containers": ["worker"]}},
        {"spec": {"containers": {"name": "worker"}}},
        {"spec": {"terminationGracePeriodSeconds": "60"}},
        container(env={"A": "b"}),
        container(env=["A=b"]),
        container(env=[{"value": "b"}]),
    ],
)
def test_a_template_of_another_shape_is_refused(template: dict[str, Any]) -> None:
    """The schema lets any template through: a broken one is a sentence about its queue, never the end of the operator."""
    with pytest.raises(ConfigurationError, match="pool 'spot': template"):
        plan(template)


@pytest.mark.parametrize("template", [{"spec": {"volumes": 7}}, {"metadata": 7}, {"metadata": {"labels": []}}])
def test_what_is_not_read_here_is_left_to_the_api_server(template: dict[str, Any]) -> None:
    """It knows the shape of every field, and its refusal is told as it is."""
    assert plan(template).revision


def test_nothing_that_was_given_is_changed() -> None:
    """The same installation serves a thousand pools."""
    one, installation = CASES["installation-and-pool"]
    before = copy.deepcopy((one, installation))
    blueprint(one, UID, one.spec.pools[0], installation)
    assert (one, installation) == before
