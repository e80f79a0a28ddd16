"""A kubeadm file that doctor was given: its API version, fields that do not belong where they stand, its Kubernetes version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from caasctl import formats, shipped
from caasctl.facts.given import KUBEADM, Given, GivenFiles, dotted, get, text
from caasctl.facts.kubernetes_tools import Tools
from caasctl.formats.documents import Document, Path
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import fields, versions
from caasctl.syntax.kubeadm import CONFIG

_GROUP, _CURRENT, _BEFORE = "kubeadm.k8s.io/", "kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3"
_SCHEMAS = {
    **dict.fromkeys(("ClusterConfiguration", "InitConfiguration", "JoinConfiguration"), ("kubeadm-v1beta4", _CURRENT)),
    "KubeletConfiguration": ("kubelet-v1beta1", "kubelet.config.k8s.io/v1beta1"),
    "KubeProxyConfiguration": ("kubeproxy-v1alpha1", "kubeproxy.config.k8s.io/v1alpha1"),
}
_OF_KUBEADM = ("ClusterConfiguration", "InitConfiguration", "JoinConfiguration")
_NO_SCHEMA = ("ResetConfiguration", "UpgradeConfiguration")
# kubernetes: cmd/kubeadm/app/apis/kubeadm/v1beta4/doc.go, what it has that v1beta3 had not, and the other way round.
_NEW = frozenset(("extraEnvs", "certificateValidityPeriod", "caCertificateValidityPeriod", "encryptionAlgorithm", "timeouts",
                  "dryRun", "imagePullSerial", "proxy"))  # fmt: skip
_GONE = frozenset((("apiServer", "timeoutForControlPlane"), ("discovery", "timeout")))
_ARGUMENTS = ("extraArgs", "kubeletExtraArgs")


def _documents(facts: Facts) -> Iterator[tuple[Given, Document]]:
    given = facts.get(GivenFiles)
    for file in given.of(KUBEADM) if given else ():
        for document in file.documents:
            if isinstance(document.data, dict):
                yield file, document


@cache
def _schema(name: str) -> Any:
    return json.loads(shipped.text("schemas", f"{name}.schema.json") or "{}")


@check(
    "kubernetes.file_api",
    "A given kubeadm file is of an API version that kubeadm reads",
    reads=(),
    why='kubeadm stops at a version that it does not know: `no kind "ClusterConfiguration" is registered for version`, or `uses an'
    " old API spec`; v1beta3 is deprecated since 1.31 and removed in 1.37.",
    fix="kubeadm config migrate --old-config FILE --new-config NEW, with a kubeadm that still reads the old version.",
    source="kubernetes#136016, kubernetes#125029",
)
def file_api(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The apiVersion and kind of each document; the kubeadm of the host where one is given, else kubernetesVersion of the file."""
    for file, document in _documents(facts):
        said, kind = text(document.data, "apiVersion"), text(document.data, "kind")
        right = _SCHEMAS.get(kind, ("", _CURRENT if kind in _NO_SCHEMA else ""))[1]
        if said == right and right:
            yield passed(f"{said} ({kind})", subject=file.name)
        elif said == _BEFORE and right == _CURRENT:
            yield _old(file, document, facts)
        else:
            yield failed(
                f"apiVersion {said or 'not given'} with kind {kind or 'not given'}",
                wanted=right or f"one of {', '.join((*_SCHEMAS, *_NO_SCHEMA))}",
                subject=file.name, cause=_unread(said, kind), evidence=(file.at(document, ("apiVersion",), f"apiVersion: {said}"),),
                fix=Fix(f"in {file.name} line {document.line('apiVersion')}: {'apiVersion: ' + right if right else 'a kind that kubeadm reads'}",
                        FixKind.EDIT),
            )  # fmt: skip


def _unread(said: str, kind: str) -> str:
    if not said or not kind:
        return "kubeadm: `invalid configuration: kind and apiVersion is mandatory information that must be specified`."
    if said == f"{_GROUP}v1":
        return "kubeadm.k8s.io/v1 is a copy of v1beta4 that kubeadm 1.37 has for later: it cannot be used yet."
    if said.startswith((f"{_GROUP}v1alpha", f"{_GROUP}v1beta1", f"{_GROUP}v1beta2")):
        return "It is removed: kubeadm stops with `uses an old API spec`, and a kubeadm that could migrate it is old as well."
    return ""


def _old(file: Given, document: Document, facts: Facts) -> Finding:
    tools = facts.get(Tools)
    kubeadm = versions.minor(tools.versions.get("kubeadm", "")) if tools else None
    wanted = [versions.minor(text(other.data, "kubernetesVersion")) for _, other in _documents(facts)]
    newest = max((one for one in (kubeadm, *wanted) if one), default=(0, 0))
    gone = newest > versions.LAST_V1BETA3
    make = failed if gone else warned
    return make(
        f"{_BEFORE} ({text(document.data, 'kind')})", wanted=_CURRENT, subject=file.name,
        cause=f"Removed in 1.37: kubeadm {versions.text(newest)} stops at it." if gone else
        "Deprecated since 1.31, removed in 1.37: kubeadm warns `uses a deprecated API spec`, and 1.37 stops.",
        evidence=(file.at(document, ("apiVersion",), f"apiVersion: {_BEFORE}"),),
        fix=Fix(f"kubeadm config migrate --old-config {file.name} --new-config {file.name}.new (a kubeadm of 1.31 to 1.36)"),
    )  # fmt: skip


@check(
    "kubernetes.file_fields",
    "Each field of a given kubeadm file belongs to the document that it stands in",
    reads=(),
    why="kubeadm only warns `strict decoding error: unknown field` and goes on as if the field were not there; the kubelet says nothing.",
    fix="Move the field into the document that has it, or correct its name.",
    source="kubeadm.k8s.io/v1beta4, kubelet.config.k8s.io/v1beta1, kubeproxy.config.k8s.io/v1alpha1; kubeadm#3067",
)
def file_fields(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Every field of every document against the schema of its kind; v1beta3 against what that had."""
    for file, document in _documents(facts):
        kind = text(document.data, "kind")
        name, current = _SCHEMAS.get(kind, ("", ""))
        old = text(document.data, "apiVersion") != current
        if not name:
            continue
        unknown = [path for path in fields.strangers(document.data, _schema(name), kind) if not (old and _had(path))]
        unknown += _too_new(document) if old and current == _CURRENT else []
        for path in unknown:
            yield _stranger(file, document, path)
        wrong = _type_error(document, set(unknown), name, old=old)
        if wrong:
            yield wrong_type(file, document, wrong)
        if not unknown and not wrong:
            yield passed(f"{kind}: {len(document.data)} fields", subject=file.name)


def _had(path: Path) -> bool:
    """Whether v1beta3 had it."""
    return path in _GONE or (len(path) > 1 and path[-2] in _ARGUMENTS)


def _too_new(document: Document) -> list[Path]:
    return [path for path in document.lines if path and path[-1] in _NEW and len(path) <= 2]  # noqa: PLR2004 - top, or of a component


def _stranger(file: Given, document: Document, path: Path) -> Finding:
    kind, name = text(document.data, "kind"), str(path[-1])
    homes = [other for other, (schema, _) in _SCHEMAS.items() if other != kind and len(path) == 1
             and name in _schema(schema)["$defs"][other]["properties"]]  # fmt: skip
    new = name in _NEW and name in _schema(_SCHEMAS[kind][0])["$defs"][kind]["properties"]
    homes = [] if new else homes
    if homes:
        mend = f"move {name} into a document of kind {homes[0]} ({_SCHEMAS[homes[0]][1]})"
    elif new:
        mend = f"make it apiVersion: {_CURRENT}, or take {dotted(path)} out"
    else:
        near = formats_near(name, path, kind)
        mend = f"{near} instead of {name}" if near else f"take {dotted(path)} out"
    belongs = f": it belongs to {' or '.join(homes)}" if homes else ": v1beta4 has it, this version not" if new else ""
    line = document.line(*path)
    return failed(
        f"{dotted(path)} in {kind}{belongs}", wanted=f"fields of {kind}", subject=file.name,
        fix=Fix(f"in {file.name} line {line}: {mend}", FixKind.EDIT), evidence=(file.at(document, path, dotted(path)),),
        cause=f'kubeadm warns `unknown field "{dotted(path)}"` and goes on without it: what it should set is not set.'
        if kind in _OF_KUBEADM else "",
    )  # fmt: skip


def formats_near(name: str, path: Path, kind: str) -> str:
    """A field of nearly that name in the same table, where the table is the document itself."""
    import difflib  # noqa: PLC0415 - of a wrong file only

    known = formats.schema_properties(_SCHEMAS[kind][0], kind) if len(path) == 1 else ()
    return next(iter(difflib.get_close_matches(name, known, 1)), "")


def _type_error(document: Document, unknown: set[Path], name: str, *, old: bool) -> str:
    """What is wrong beside unknown fields, the first of it."""
    kind = text(document.data, "kind")
    if old and kind in _OF_KUBEADM:
        return ""  # the schema is v1beta4's
    data = {**fields.without(document.data, unknown), "apiVersion": _SCHEMAS[kind][1]}
    return formats.schema_error(data, name, kind)


def wrong_type(file: Given, document: Document, said: str) -> Finding:
    path: Path = tuple(
        int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", said.partition(" ")[0])
    )
    argument = next((name for name in _ARGUMENTS if name in path and isinstance(get(document.data, *path), dict)), "")
    cause = f"json: cannot unmarshal: {text(document.data, 'kind')} cannot be read, and nothing is begun."
    mend = "give it a value of its type"
    if argument:
        cause = f"v1beta4 takes {argument} as a list: `json: cannot unmarshal object into Go struct field ... of type []v1beta4.Arg`."
        first = next(iter(get(document.data, *path).items()), ("NAME", "VALUE"))
        mend = f'write {argument} as a list: - {{name: {first[0]}, value: "{first[1]}"}}'
    line = document.line(*path)
    return failed(said, wanted=f"values of {text(document.data, 'kind')}'s types", subject=file.name, cause=cause,
                  fix=Fix(f"in {file.name} line {line}: {mend}", FixKind.EDIT), evidence=(file.at(document, path),))  # fmt: skip


@check(
    "kubernetes.file_version",
    "The Kubernetes version in a given kubeadm file goes with the programs of the host",
    reads=(),
    why="kubeadm stops: `the kubelet version is higher than the control plane version`; without a version it asks dl.k8s.io for the"
    " newest one, which an offline node waits for, and which may be newer than its kubelet.",
    fix="kubernetesVersion: the version of the kubelet and kubeadm that are installed.",
    source="https://kubernetes.io/releases/version-skew-policy/; kubeadm preflight KubeletVersion",
)
def file_version(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The kubernetesVersion of ClusterConfiguration; versions of kubelet and kubeadm where a host is given."""
    for file, document in _documents(facts):
        if text(document.data, "kind") == "ClusterConfiguration" and file.name != CONFIG:
            yield from _version(file, document, facts)


def _version(file: Given, document: Document, facts: Facts) -> Iterator[Finding]:
    said, tools = text(document.data, "kubernetesVersion"), facts.get(Tools)
    wanted = versions.minor(said)
    have = tools.versions if tools else {}
    kubelet, kubeadm = versions.minor(have.get("kubelet", "")), versions.minor(have.get("kubeadm", ""))
    line = document.line("kubernetesVersion")
    evidence = (file.at(document, ("kubernetesVersion",), f"kubernetesVersion: {said or 'not given'}"),)
    mend = Fix(f"in {file.name} line {line}: kubernetesVersion: v{have.get('kubelet') or have.get('kubeadm') or 'X.Y.Z of the installed kubelet'}",
               FixKind.EDIT)  # fmt: skip
    if wanted is None:
        yield warned(said or "not given", wanted="a version such as v1.36.4", subject=file.name, fix=mend, evidence=evidence,
                     cause="kubeadm asks dl.k8s.io over HTTP which one is the newest stable.")  # fmt: skip
        return
    why = ""
    if kubelet and kubelet > wanted:
        why = f"kubelet {have['kubelet']} is newer"
    elif kubelet and versions.behind(kubelet, wanted) > versions.OLDER_KUBELET:
        why = f"kubelet {have['kubelet']} is more than {versions.OLDER_KUBELET} minor versions older"
    elif kubeadm and (kubeadm < wanted or versions.behind(wanted, kubeadm) > 1):
        why = f"kubeadm {have['kubeadm']} makes clusters of its own minor version and the one before only"
    if why:
        yield failed(
            f"{said}: {why}",
            wanted="the version of the installed programs",
            subject=file.name,
            fix=mend,
            evidence=evidence,
        )
    else:
        yield passed(said, subject=file.name)


CHECKS: tuple[Check, ...] = (file_api, file_fields, file_version)
