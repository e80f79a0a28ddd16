"""Configuration for kubeadm and the kubelet: of a version that this kubeadm reads, of fields that the kubelet knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KUBEADM_FILE, KubeadmFile, parse_documents
from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import versions

_GROUP = "kubeadm.k8s.io/"
_CURRENT = "kubeadm.k8s.io/v1beta4"
_SCHEMA, _KIND = "kubelet-v1beta1", "KubeletConfiguration"
_HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": _KIND}


@check(
    "kubernetes.config_api",
    "kubeadm reads the cluster's configuration, and the kubelet the profile's fields",
    reads=(KubeadmFile, Tools),
    why="kubeadm 1.37 no longer reads v1beta3 (before: `uses a deprecated API spec`); a field of a wrong name is only"
    ' a warning to it (`strict decoding error: unknown field "..."`), and the kubelet goes on without the field.',
    fix="Correct the field in the profile; migrate an old configuration with a kubeadm of 1.36 or older.",
    source="kubernetes#136016; kubelet.config.k8s.io/v1beta1 of kubernetes/kubelet; kubeadm#3067",
    gates=("kubeadm",),
)
def config_api(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.kubernetes.kubelet, /etc/kubernetes/caasctl/kubeadm.yaml, and kubeadm-config of a running cluster."""
    bad = (*_versions(facts, profile), *_overlay(profile.spec.kubernetes.kubelet))
    yield from bad
    if not bad:
        fields = len(profile.spec.kubernetes.kubelet)
        yield passed(f"{_CURRENT}, {fields} kubelet fields of the profile" if fields else _CURRENT)


def _versions(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """API versions in files and in the cluster that are not what caasctl writes."""
    api = facts.get(ClusterApi)
    found = {KUBEADM_FILE: facts[KubeadmFile].documents}
    if api and api.configuration:
        found["kubeadm-config in kube-system"] = parse_documents(api.configuration)
    kubeadm = versions.minor(facts[Tools].versions.get("kubeadm", "")) or profile.spec.kubernetes.minor
    for where, documents in found.items():
        for spec, kind in documents:
            if spec.startswith(_GROUP) and spec != _CURRENT:
                yield _old(where, spec, kind, gone=kubeadm > versions.LAST_V1BETA3)


def _old(where: str, spec: str, kind: str, *, gone: bool) -> Finding:
    if where == KUBEADM_FILE:
        fix = Fix(f"kubeadm config migrate --old-config {where} --new-config {where}.new && mv {where}.new {where}")
    else:
        fix = Fix(
            "kubeadm upgrade apply of 1.36 or older writes it anew: upgrade the cluster minor by minor", FixKind.WAIT
        )
    make, cause = (failed, "kubeadm stops: `uses an old API spec`.") if gone else (warned, "")
    return make(
        f"{spec} ({kind})", wanted=_CURRENT, subject=where, cause=cause, fix=fix, evidence=(Evidence(where, spec),)
    )


def _overlay(fields: Mapping[str, Any]) -> Iterator[Finding]:
    """What the kubelet would not take, or take without a word: one finding, as the schema names the first error."""
    schema = formats.schema_error({**_HEAD, **fields}, _SCHEMA, _KIND) if fields else ""
    if not schema:
        return
    unknown = _strangers(schema)
    cause = (
        "The kubelet decodes leniently: a field that it does not know is dropped without an error."
        if unknown
        else "The kubelet ends: `failed to load Kubelet config file`, `json: cannot unmarshal`."
    )
    yield failed(
        f"spec.kubernetes.kubelet: {schema}",
        wanted="fields of KubeletConfiguration, each of its type",
        subject="spec.kubernetes.kubelet",
        cause=cause,
        fix=_rename(unknown),
    )


def _strangers(said: str) -> tuple[str, ...]:
    """Names in `must not contain {'maxPod'} properties`."""
    found = re.search(r"must not contain \{(.*)\} properties", said)
    return tuple(re.findall(r"'([^']+)'", found[1])) if found else ()


def _rename(unknown: tuple[str, ...]) -> Fix:
    known = formats.schema_properties(_SCHEMA, _KIND) if unknown else ()
    for name in unknown:
        near = difflib.get_close_matches(name, known, 1)
        if near:
            return Fix(f"in the profile, below spec.kubernetes.kubelet: {near[0]} instead of {name}", FixKind.EDIT)
    names = f"take {', '.join(unknown)} out" if unknown else "give the field a value of its type"
    return Fix(f"in the profile, below spec.kubernetes.kubelet: {names}", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (config_api,)
