"""Laying one pod template over another gives what `kubectl patch --type=strategic` gives."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genfleet_operator.merge import MERGE_KEYS, merged


def pod(**spec: Any) -> dict[str, Any]:
    """A pod template."""
    return {"spec": spec}


A, B = {"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "2"}


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing leaves all as it is"),
        pytest.param({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}, id="values are replaced and added"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="mappings are merged"),
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null removes"),
        pytest.param({}, {"a": None}, {}, id="null for what is not there is nothing"),
        pytest.param({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="also inside of what is new"),
        pytest.param({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}, id="a mapping replaces a value"),
        pytest.param({"a": {"b": 2}}, {"a": 1}, {"a": 1}, id="and the other way round"),
        pytest.param({"a": False}, {"a": 0}, {"a": 0}, id="false and zero are values"),
        pytest.param(
            pod(containers=[A, B]),
            pod(containers=[{"name": "b", "image": "3"}]),
            pod(containers=[A, {"name": "b", "image": "3"}]),
            id="containers merge by name",
        ),
        pytest.param(
            pod(containers=[A]), pod(containers=[B]), pod(containers=[A, B]), id="another name is one more, at the end"
        ),
        pytest.param(
            pod(containers=[A]),
            pod(containers=[{"name": "a", "args": ["y"]}]),
            pod(containers=[{**A, "args": ["y"]}]),
            id="lists of texts are replaced",
        ),
        pytest.param(
            pod(tolerations=[{"key": "a"}]),
            pod(tolerations=[{"key": "b"}]),
            pod(tolerations=[{"key": "b"}]),
            id="tolerations are replaced, as the API has it",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "x", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "y", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}]},
            {"volumeMounts": [{"name": "y", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}]},
            id="mounts merge by path",
        ),
        pytest.param(
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "name": "web"}]},
            {"ports": [{"containerPort": 80, "name": "web"}]},
            id="ports merge by number",
        ),
        pytest.param(
            pod(containers=[A, B]),
            pod(containers=[{"name": "a", "$patch": "delete"}]),
            pod(containers=[B]),
            id="$patch: delete removes an entry",
        ),
        pytest.param(
            pod(containers=[B]),
            pod(containers=[{"name": "a", "$patch": "delete"}]),
            pod(containers=[B]),
            id="also one that is not there",
        ),
        pytest.param(
            {"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}, id="$patch: replace, a mapping"
        ),
        pytest.param(
            pod(containers=[A]),
            pod(containers=[{"$patch": "replace", "name": "a", "image": "9"}]),
            pod(containers=[{"name": "a", "image": "9"}]),
            id="$patch: replace, an entry",
        ),
        pytest.param(
            pod(volumes=[{"name": "a", "emptyDir": {}}]),
            pod(volumes=[{"name": "a", "emptyDir": None, "secret": {"secretName": "s"}}]),
            pod(volumes=[{"name": "a", "secret": {"secretName": "s"}}]),
            id="a volume of another kind",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "4"}]},
            {"env": [{"name": "A", "value": "4"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
            id="their order stays",
        ),
    ],
)
def test_what_comes_of_two_layers(base: Any, over: Any, expected: Any) -> None:
    """By the rules that Kubernetes documents for strategic merge patches. Neither layer is changed."""
    before = copy.deepcopy((base, over))
    assert merged(base, over) == expected
    assert (base, over) == before


values = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("xyz")}), max_size=3, unique_by=lambda one: one["name"]
        )
    ),
    max_leaves=8,
)
layers = st.dictionaries(st.sampled_from(["a", "b", "env", "volumes", "tolerations"]), values, max_size=4)


@settings(deadline=None)
@given(layers, layers)
def test_the_same_layer_twice_is_once(base: dict[str, Any], over: dict[str, Any]) -> None:
    """A layer says how things are to be, so saying it again changes nothing; and no null or directive is left of it."""
    once = merged(merged({}, base), over)
    assert merged(once, over) == once
    assert merged({}, once) == once


def test_the_keys_are_those_of_the_pods_api() -> None:
    """The lists of a pod that have a merge key in Kubernetes' OpenAPI document; tolerations and args have none."""
    assert MERGE_KEYS["volumeMounts"] == "mountPath"
    assert not {"tolerations", "args", "command", "envFrom", "items"} & MERGE_KEYS.keys()
