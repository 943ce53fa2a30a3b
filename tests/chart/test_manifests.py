"""What the chart makes: valid for Kubernetes, restricted, least privilege, and no secret outside of Secrets."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from genfleet.contract.queue import GenerationQueue
from genfleet.contract.task_types import QUEUES
from genfleet_operator.blueprint import Installation, blueprint
from genfleet_operator.merge import laid
from tests.support.helm import CHART, ENVIRONMENTS, HOST
from tests.support.rendered import Manifest, faults, manifests, merged, render

EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "film"},
    "imagePullSecrets": [{"name": "pull"}],
    "image": {"digest": "sha256:0123"},
    "api": {
        "podLabels": {"a": "b"},
        "podAnnotations": {"a": "b"},
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "env": [{"name": "A", "value": "b"}],
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "ingress": {"enabled": True, "host": "a.example.com", "className": "nginx", "annotations": {"a": "b"}},
    },
    "operator": {"namespaces": ["here", "there"], "serviceAccount": {"annotations": {"a": "b"}}},
    "workers": {"env": [{"name": "A", "value": "b"}], "podAnnotations": {"a": "b"}},
    "redis": {
        "bundled": {"maxmemory": "1gb", "config": "hz 20\n", "tolerations": [{"key": "a", "operator": "Exists"}]}
    },
    "networkPolicy": {
        "enabled": True,
        "apiServer": {"cidrs": ["10.0.0.1/32"]},
        "api": {"ingressFrom": [{"podSelector": {}}], "extraEgress": [{"ports": [{"port": 443}]}]},
        "workers": {"extraEgress": [{"ports": [{"port": 9000}]}]},
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"a": "b"}},
        "podMonitor": {"enabled": True, "labels": {"a": "b"}},
        "prometheusRule": {"enabled": True, "labels": {"a": "b"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "genfleet"}},
        "scrapeAnnotations": {"enabled": True},
    },
}
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    **{path.stem: merged(yaml.safe_load(path.read_text()), HOST) for path in ENVIRONMENTS},
    "everything": EVERYTHING,
    "cluster-wide": {"operator": {"clusterWide": True}, "networkPolicy": {"enabled": True}},
    "own-redis": {
        "redis": {"existingSecret": "mine", "bundled": {"enabled": False}},
        "networkPolicy": {"enabled": True},
    },
    "claims": {
        "media": {"persistence": {"existingClaim": "files"}},
        "redis": {"bundled": {"persistence": {"existingClaim": "tasks"}}},
    },
    "by-hand": {
        "media": {"persistence": {"storageClass": "-"}},
        "redis": {"bundled": {"persistence": {"storageClass": "-"}}},
    },
    "trial": {"media": {"volume": {"emptyDir": {}}}, "redis": {"bundled": {"persistence": {"enabled": False}}}},
}
every_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


def of_kind(documents: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Those of one kind, by name; those in another namespace by namespace and name."""
    found = [each["metadata"] | {"it": each} for each in documents if each["kind"] == kind]
    return {"/".join(filter(None, (each.get("namespace"), each["name"]))): each["it"] for each in found}


def pods(documents: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Each pod template, with its owner's name; that of the workers as well."""
    for each in documents:
        if each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield each["metadata"]["name"], each["spec"]["template"]
    yield "worker", worker_template(documents)


def worker_template(documents: list[Manifest]) -> Manifest:
    """What the operator lays under every pool."""
    text = of_kind(documents, "ConfigMap")["trial-genfleet-worker-template"]["data"]["worker.yaml"]
    template: Manifest = laid(yaml.safe_load_all(text))
    return template


@every_case
def test_kubernetes_could_read_every_manifest(values: dict[str, Any]) -> None:
    """Each field is one that Kubernetes knows, of the type that it takes, and nothing that it needs is missing."""
    documents = manifests(values)

    assert [fault for each in documents for fault in faults(each)] == []
    assert len(
        {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in documents}
    ) == len(documents)


@every_case
def test_every_pod_keeps_to_the_strictest_standard(values: dict[str, Any]) -> None:
    """No root, no way to become it, no capabilities, no writable image; only those who talk to the API server get a token."""
    for name, template in pods(manifests(values)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is name.endswith(("-operator", "-crd")), name
        assert spec["enableServiceLinks"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


@every_case
def test_no_secret_stands_outside_of_secrets(values: dict[str, Any]) -> None:
    """Passwords, addresses with passwords and keys are in Secrets only: in no argument, variable, ConfigMap or note."""
    rendered = render(values)
    text = "\n---\n".join(rendered.values())
    documents = [
        each for each in yaml.safe_load_all(re.sub(r"(?ms)^genfleet .*? is in namespace.*?(?=^---$)", "", text)) if each
    ]
    secrets = of_kind(documents, "Secret").values()
    hidden = {entry for each in secrets for entry in each["data"].values()}

    for entry in hidden:
        assert text.count(entry) == 1
        assert base64.b64decode(entry).decode().strip() not in text
    for name, template in pods(documents):
        for container in template["spec"]["containers"]:
            for variable in container.get("env", []):
                if variable["name"] in {"CELERY_BROKER_URL", "API_KEY", "REDISCLI_AUTH"}:
                    assert set(variable) == {"name", "valueFrom"}, name


def test_secrets_differ_from_release_to_release() -> None:
    """Nobody knows a password from having installed the chart elsewhere."""
    one, other = (of_kind(manifests({}), "Secret") for _ in range(2))

    for name, secret in one.items():
        for key, entry in secret["data"].items():
            assert entry != other[name]["data"][key]


def test_the_address_of_redis_has_its_password() -> None:
    """The three entries of Redis' Secret fit together, and to the Service's name."""
    entries = of_kind(manifests({}), "Secret")["trial-genfleet-redis"]["data"]
    password, conf, url = (base64.b64decode(entries[key]).decode() for key in ("password", "password.conf", "url"))

    assert len(password) == 40
    assert conf == f"requirepass {password}\n"
    assert url == f"redis://:{password}@trial-genfleet-redis.here.svc:6379/0"


RULES = [
    {"apiGroups": ["genfleet.dev"], "resources": ["generationqueues"], "verbs": ["list", "watch"]},
    {"apiGroups": ["genfleet.dev"], "resources": ["generationqueues/status"], "verbs": ["patch"]},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
LEASE = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["trial-genfleet-operator"],
        "verbs": ["get", "update"],
    },
]


def test_the_operator_has_roles_in_the_namespaces_that_it_serves() -> None:
    """One Role in each, another for its lease at home, and no right in the cluster at large."""
    documents = manifests({"operator": {"namespaces": ["here", "there"]}, "crds": {"upgrade": False}})
    roles = of_kind(documents, "Role")

    assert {name: role["rules"] for name, role in roles.items()} == {
        "trial-genfleet-operator-lease": LEASE,
        "here/trial-genfleet-operator": RULES,
        "there/here-trial-genfleet-operator": RULES,
    }
    assert not of_kind(documents, "ClusterRole")
    for name, binding in of_kind(documents, "RoleBinding").items():
        assert binding["roleRef"]["name"] == roles[name]["metadata"]["name"]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "trial-genfleet-operator", "namespace": "here"}
        ]


def test_the_operator_has_a_cluster_role_in_cluster_mode() -> None:
    """The same rules for all namespaces, under a name that no other release has; the lease stays at home."""
    documents = manifests({"operator": {"clusterWide": True}, "crds": {"upgrade": False}})

    assert {name: role["rules"] for name, role in of_kind(documents, "ClusterRole").items()} == {
        "here-trial-genfleet-operator": RULES
    }
    assert {name: role["rules"] for name, role in of_kind(documents, "Role").items()} == {
        "trial-genfleet-operator-lease": LEASE
    }
    assert environment(documents, "operator")["GENFLEET_NAMESPACES"] == ""


def test_the_job_may_touch_one_definition_only() -> None:
    """What brings the definition up to date can neither make nor remove one, nor touch any other."""
    (role,) = of_kind(manifests({}), "ClusterRole").values()

    assert role["rules"] == [
        {
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "resourceNames": ["generationqueues.genfleet.dev"],
            "verbs": ["patch"],
        }
    ]


def environment(documents: list[Manifest], program: str) -> dict[str, Any]:
    """The variables of a program."""
    (container,) = of_kind(documents, "Deployment")[f"trial-genfleet-{program}"]["spec"]["template"]["spec"][
        "containers"
    ]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_programs_read_their_settings_from_the_environment() -> None:
    """What the programs are told, by default."""
    documents = manifests({})
    redis = {"secretKeyRef": {"name": "trial-genfleet-redis", "key": "url"}}

    assert environment(documents, "api") == {
        "CELERY_BROKER_URL": redis,
        "GENFLEET_LOG_LEVEL": "info",
        "API_KEY": {"secretKeyRef": {"name": "trial-genfleet-api", "key": "api-key"}},
        "GENFLEET_MEDIA_URL": "http://trial-genfleet-api.here.svc:8001/media",
        "GENFLEET_HEALTH_NEEDS_KEY": "false",
    }
    assert environment(documents, "operator") == {
        "CELERY_BROKER_URL": redis,
        "GENFLEET_LOG_LEVEL": "info",
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "POD_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "GENFLEET_NAMESPACES": "here",
        "GENFLEET_WORKER_IMAGE": "genfleet-worker:0.1.0",
        "GENFLEET_WORKER_TEMPLATE": "/etc/genfleet/worker.yaml",
        "GENFLEET_ALLOWED_IMAGES": "",
        "GENFLEET_TRUST_TEMPLATES": "false",
        "GENFLEET_LEASE_NAME": "trial-genfleet-operator",
        "GENFLEET_PROBE_PORT": "8080",
    }


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"media": {"url": "https://cdn.example.com/films"}}, "https://cdn.example.com/films"),
        ({"api": {"ingress": {"enabled": True, "host": "a.example.com"}}}, "http://a.example.com/media"),
        (
            {"api": {"ingress": {"enabled": True, "host": "a.example.com", "tlsSecret": "t", "path": "/gf/"}}},
            "https://a.example.com/gf/media",
        ),
    ],
)
def test_clients_are_told_where_files_are(values: dict[str, Any], url: str) -> None:
    """API and workers name the address under which clients reach the API."""
    documents = manifests(values)
    (worker,) = worker_template(documents)["spec"]["containers"]

    assert environment(documents, "api")["GENFLEET_MEDIA_URL"] == url
    assert {"name": "GENFLEET_MEDIA_URL", "value": url} in worker["env"]


def test_workers_are_told_of_a_model() -> None:
    """Its address and name are variables, its key is read from the Secret; without one, nothing is said."""
    llm = {"url": "http://models.ai.svc:8000/v1", "name": "mistral", "existingSecret": "models"}

    def told(values: dict[str, Any]) -> dict[str, Any]:
        (worker,) = worker_template(manifests(values))["spec"]["containers"]
        return {
            each["name"]: each.get("value", each.get("valueFrom")) for each in worker["env"] if "LLM" in each["name"]
        }

    assert told({"workers": {"llm": llm}}) == {
        "GENFLEET_LLM_URL": "http://models.ai.svc:8000/v1",
        "GENFLEET_LLM_NAME": "mistral",
        "GENFLEET_LLM_KEY": {"secretKeyRef": {"name": "models", "key": "llm-key"}},
    }
    assert told({}) == {}


def test_a_redis_of_ones_own_leaves_nothing_of_ours() -> None:
    """Then there is no pod, Service, password or policy of a Redis, and all programs read the address from that Secret."""
    documents = manifests(CASES["own-redis"])
    redis = {"secretKeyRef": {"name": "mine", "key": "url"}}

    assert not [each for each in documents if each["metadata"]["name"].endswith("-redis")]
    assert environment(documents, "api")["CELERY_BROKER_URL"] == redis
    assert environment(documents, "operator")["CELERY_BROKER_URL"] == redis
    assert {"name": "CELERY_BROKER_URL", "valueFrom": redis} in worker_template(documents)["spec"]["containers"][0][
        "env"
    ]


def test_a_redis_behind_sentinels_and_tls_is_told_to_every_program() -> None:
    """S10: the authority, our certificate, the Sentinels, and a user of its own for each program, all from Secrets."""
    own = {
        "existingSecret": "mine",
        "programKeys": {"api": "api-url", "worker": "worker-url", "operator": "operator-url"},
        "tls": {"existingSecret": "mine-tls", "clientCertificate": True},
        "sentinel": {"master": "m", "tls": True, "passwordKey": "sentinel"},
    }
    documents = manifests({"redis": {"bundled": {"enabled": False}} | own, "networkPolicy": {"enabled": True}})
    worker = worker_template(documents)["spec"]
    told = {
        "api": environment(documents, "api"),
        "operator": environment(documents, "operator"),
        "worker": {each["name"]: each.get("value", each.get("valueFrom")) for each in worker["containers"][0]["env"]},
    }
    for program, variables in told.items():
        assert variables["CELERY_BROKER_URL"] == {"secretKeyRef": {"name": "mine", "key": f"{program}-url"}}
        assert variables["GENFLEET_REDIS_CA"] == "/etc/genfleet-redis/ca.crt"
        assert variables["GENFLEET_REDIS_KEY"] == "/etc/genfleet-redis/tls.key"
        assert (variables["GENFLEET_REDIS_MASTER"], variables["GENFLEET_REDIS_TLS"]) == ("m", "true")
        assert variables["GENFLEET_REDIS_SENTINEL_PASSWORD"] == {"secretKeyRef": {"name": "mine", "key": "sentinel"}}
    pods = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
    for pod in (*pods, worker):
        assert {"name": "redis-tls", "secret": {"secretName": "mine-tls"}} in pod["volumes"]
        assert "/etc/genfleet-redis" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]


def test_redis_keeps_every_task() -> None:
    """TS-157: it appends to its file, evicts nothing, and is told its password by a file."""
    config = of_kind(manifests({}), "ConfigMap")["trial-genfleet-redis"]["data"]["redis.conf"].splitlines()

    assert {"appendonly yes", "maxmemory-policy noeviction", "include /etc/redis/password.conf"} <= set(config)


def test_two_pods_of_each_program_and_one_may_be_drained() -> None:
    """By default a node can go without taking the API or the operator with it; a single pod does not hold up a drain."""
    documents = manifests({})

    assert {name: each["spec"]["replicas"] for name, each in of_kind(documents, "Deployment").items()} == {
        "trial-genfleet-api": 2,
        "trial-genfleet-operator": 2,
    }
    assert {each["spec"]["maxUnavailable"] for each in of_kind(documents, "PodDisruptionBudget").values()} == {1}
    assert not of_kind(manifests({"api": {"replicas": 1}, "operator": {"replicas": 1}}), "PodDisruptionBudget")


def test_a_changed_worker_template_reaches_the_operator() -> None:
    """It reads the file when it starts, so its pods are replaced when the file differs, and only then."""

    def checksum(values: dict[str, Any]) -> str:
        template = of_kind(manifests(values), "Deployment")["trial-genfleet-operator"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/worker-template"])

    assert checksum({}) == checksum({"api": {"replicas": 3}})
    assert checksum({}) != checksum({"workers": {"env": [{"name": "A", "value": "b"}]}})


def test_a_new_version_of_the_chart_restarts_no_redis() -> None:
    """The chart's version is in no label of a pod: Redis and workers would be replaced by every upgrade."""
    for name, template in pods(manifests({})):
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(template["metadata"]["labels"]), name


def test_the_pod_template_for_workers_is_laid_over_the_chart_s_own() -> None:
    """Variables, mounts, volumes and containers are joined by name or path, what is the same is replaced."""
    over = {
        "metadata": {"annotations": {"a": "b"}},
        "spec": {
            "runtimeClassName": "nvidia",
            "containers": [
                {
                    "name": "worker",
                    "env": [{"name": "GENFLEET_LOG_LEVEL", "value": "debug"}, {"name": "A", "value": "b"}],
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                },
                {"name": "beside", "image": "other"},
            ],
            "volumes": [{"name": "models", "emptyDir": {}}],
        },
    }
    template = worker_template(manifests({"workers": {"podTemplate": over}}))
    worker, beside = template["spec"]["containers"]

    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["spec"]["runtimeClassName"] == "nvidia"
    assert [each["name"] for each in template["spec"]["volumes"]] == ["media", "models"]
    assert [each["name"] for each in worker["volumeMounts"]] == ["media", "models"]
    assert [each["name"] for each in worker["env"]] == [
        "CELERY_BROKER_URL",
        "GENFLEET_MEDIA_URL",
        "GENFLEET_LOG_LEVEL",
        "A",
    ]
    assert {"name": "GENFLEET_LOG_LEVEL", "value": "debug"} in worker["env"]
    assert beside == {"name": "beside", "image": "other"}


@pytest.mark.parametrize("environment_file", ENVIRONMENTS, ids=lambda path: path.stem)
def test_each_environment_serves_every_queue(environment_file: Any) -> None:
    """Its queues are those that task types are routed to, and the operator can make workers of each of their pools."""
    documents = manifests(merged(yaml.safe_load(environment_file.read_text()), HOST))
    found = of_kind(documents, "GenerationQueue").values()
    placed = [{**each, "metadata": {**each["metadata"], "namespace": "here"}} for each in found]
    queues = [GenerationQueue.parse(each, source=environment_file.name) for each in placed]
    installation = Installation(image="worker", template=worker_template(documents))

    assert {queue.spec.queue for queue in queues} == set(QUEUES)
    for queue in queues:
        for pool in queue.spec.pools:
            made = blueprint(queue, "uid", pool, installation).manifest
            assert faults(made) == []


def test_workers_of_other_namespaces_reach_redis_and_no_one_else() -> None:
    """Network policies stand where workers run, and Redis lets in our programs and the workers of served namespaces."""
    documents = manifests(merged(EVERYTHING, {"crds": {"upgrade": False}}))
    policies = of_kind(documents, "NetworkPolicy")

    assert set(policies) == {
        "trial-genfleet-api",
        "trial-genfleet-operator",
        "trial-genfleet-redis",
        "here/trial-genfleet-workers",
        "there/here-trial-genfleet-workers",
    }
    assert all(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"} for policy in policies.values())
    (rule,) = policies["trial-genfleet-redis"]["spec"]["ingress"]
    *ours, workers = rule["from"]
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in ours] == ["api", "operator"]
    assert workers["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "genfleet-worker"
    assert workers["namespaceSelector"]["matchExpressions"][0]["values"] == ["here", "there"]
    assert "ingress" not in policies["here/trial-genfleet-workers"]["spec"]


@every_case
def test_every_pod_is_closed_by_a_policy(values: dict[str, Any]) -> None:
    """S21: with policies on, each pod of ours is chosen by one, and what that does not name is refused both ways."""
    documents = manifests(merged(values, {"networkPolicy": {"enabled": True}}))
    policies = [policy["spec"] for policy in of_kind(documents, "NetworkPolicy").values()]
    workers = {"app.kubernetes.io/name": "genfleet-worker", "app.kubernetes.io/managed-by": "genfleet-operator"}

    for name, template in pods(documents):
        labels = template["metadata"]["labels"] | (workers if name == "worker" else {})
        chosen = [policy for policy in policies if policy["podSelector"]["matchLabels"].items() <= labels.items()]
        assert chosen, f"no policy is for {name}"
        assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in chosen)
        assert name != "worker" or not any("ingress" in policy for policy in chosen)


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("169.254.169.254", False),  # metadata of most clouds
        ("100.100.100.200", False),  # of Alibaba
        ("168.63.129.16", False),  # of Azure
        ("fd00:ec2::254", False),  # of Amazon
        ("10.96.0.1", False),
        ("172.31.0.2", False),
        ("192.168.1.1", False),
        ("192.0.0.192", False),  # metadata of Oracle
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
    ],
)
def test_the_internet_is_what_is_public(address: str, reached: bool) -> None:
    """S21: workers and webhooks may call public addresses, and neither the cluster nor the cloud's own service."""
    policies = of_kind(manifests({"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    target = ipaddress.ip_address(address)
    for name in ("trial-genfleet-api", "here/trial-genfleet-workers"):
        blocks = [
            peer["ipBlock"]
            for rule in policies[name]["spec"]["egress"]
            for peer in rule.get("to", ())
            if "ipBlock" in peer
        ]
        inside = [
            block
            for block in blocks
            if target in ipaddress.ip_network(block["cidr"])
            and not any(target in ipaddress.ip_network(each) for each in block["except"])
        ]
        assert bool(inside) is reached
        for block in blocks:  # or the API server would not take the policy
            assert all(_within(each, block["cidr"]) for each in block["except"])


def _within(small: str, large: str) -> bool:
    one, other = ipaddress.ip_network(small), ipaddress.ip_network(large)
    return one.version == other.version and one[0] in other and one[-1] in other


def test_no_value_takes_a_secret() -> None:
    """S23: a release keeps its values; so a value that is about a secret names a Secret, its entry, or says yes or no."""
    chosen = yaml.safe_load((CHART / "values.yaml").read_text())
    about = {path for path in _paths(chosen) if re.search("(?i)secret|password|token|key$|credential", path[-1])}

    assert {path[-1] for path in about} == {
        "existingSecret",
        "existingSecretKey",
        "healthNeedsKey",
        "imagePullSecrets",
        "passwordKey",
        "tlsSecret",
    }


def _paths(values: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *rest) for rest in _paths(value))


def test_templates_are_taken_from_those_who_may_make_deployments() -> None:
    """S18: a policy of the API server, in the namespaces that are served; `tests/cluster/test_admission.py` tries it."""
    documents = manifests({"operator": {"namespaces": ["here", "there"]}})
    (policy,) = of_kind(documents, "ValidatingAdmissionPolicy").values()
    (binding,) = of_kind(documents, "ValidatingAdmissionPolicyBinding").values()

    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"] == "templates-here-trial-genfleet"
    assert binding["spec"]["validationActions"] == ["Deny"]
    (wanted,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert wanted["values"] == ["here", "there"]
    (everywhere,) = of_kind(manifests({"operator": {"clusterWide": True}}), "ValidatingAdmissionPolicyBinding").values()
    assert "matchResources" not in everywhere["spec"]
    assert not of_kind(manifests({"admission": {"enabled": False}}), "ValidatingAdmissionPolicy")


def test_the_operator_is_told_which_images_templates_may_name() -> None:
    """S18: none by default, which is any."""
    images = ["registry.example.com/team/*", "registry.example.com:5000/other"]

    assert environment(manifests({}), "operator")["GENFLEET_ALLOWED_IMAGES"] == ""
    told = environment(manifests({"operator": {"allowedImages": images}}), "operator")["GENFLEET_ALLOWED_IMAGES"]
    assert told == ",".join(images)


def test_releases_with_one_name_do_not_meet_in_the_cluster() -> None:
    """What is in no namespace is named by that of the release."""
    values = {"operator": {"clusterWide": True}}
    kinds = {
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    one, other = (
        {each["metadata"]["name"] for each in manifests(values, namespace=namespace) if each["kind"] in kinds}
        for namespace in ("here", "there")
    )

    assert one
    assert not one & other


def test_files_outlive_the_release() -> None:
    """The claim of finished files is kept, unless the values say otherwise."""

    def kept(values: dict[str, Any]) -> bool:
        claim = of_kind(manifests(values), "PersistentVolumeClaim")["trial-genfleet-media"]
        return bool(claim["metadata"].get("annotations") == {"helm.sh/resource-policy": "keep"})

    assert kept({})
    assert not kept({"media": {"persistence": {"keep": False}}})


def test_the_notes_name_the_next_commands() -> None:
    """How to see the queues, to find the key and to submit, for the release as it is."""
    notes = render({})[f"{CHART.name}/templates/NOTES.txt"]

    assert "get secret trial-genfleet-api -o jsonpath='{.data.api-key}' | base64 -d | cut -d, -f1" in notes
    assert "kubectl -n here get gq" in notes
    assert "port-forward svc/trial-genfleet-api 8001:8001" in notes
    assert "/api/v1/tasks/submit" in notes
