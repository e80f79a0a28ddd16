"""A kubeconfig that doctor was given: what its current context names is there, and where it speaks to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caasctl.facts.given import KUBECONFIG, GivenFiles, dotted, get, items, text
from caasctl.formats.documents import Document, Path
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile


@check(
    "kubernetes.file_kubeconfig",
    "A given kubeconfig leads to an API server",
    reads=(),
    why="kubectl falls back to http://localhost:8080: `The connection to the server localhost:8080 was refused`.",
    fix="current-context, context, cluster and user each name the next; kubeadm writes a whole one as /etc/kubernetes/admin.conf.",
    source="https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/",
)
def file_kubeconfig(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """current-context, contexts, clusters and users; no key is read out of it."""
    given = facts.get(GivenFiles)
    for file in given.of(KUBECONFIG) if given else ():
        for document in file.documents:
            path, problem, wanted = _problem(document)
            if problem:
                yield failed(f"{dotted(path)}: {problem}", wanted=wanted, subject=file.name,
                             fix=Fix(f"in {file.name} line {document.line(*path)}: {path[-1]}: {wanted}", FixKind.EDIT),
                             evidence=(file.at(document, path, f"{dotted(path)}: {problem}"),))  # fmt: skip
            else:
                yield passed(f"context {text(document.data, 'current-context')}", subject=file.name)


def _problem(document: Document) -> tuple[Path, str, str]:
    """The first link that is missing."""
    data = document.data
    current = text(data, "current-context")
    if not current:
        return ("current-context",), "not given", "a name of contexts"
    at = _named(data, "contexts", current)
    if at < 0:
        return ("current-context",), f"{current} is no context of the file", _names(data, "contexts")
    for word, plural in (("cluster", "clusters"), ("user", "users")):
        name = text(data, "contexts", at, "context", word)
        if _named(data, plural, name) < 0:
            return ("contexts", at, "context", word), f"{name or 'not given'}: not in {plural}", _names(data, plural)
    cluster = _named(data, "clusters", text(data, "contexts", at, "context", "cluster"))
    server = text(data, "clusters", cluster, "cluster", "server")
    if not server.startswith("https://"):
        return ("clusters", cluster, "cluster", "server"), server or "not given", "https://ADDRESS:6443"
    return (), "", ""


def _named(data: Any, plural: str, name: str) -> int:
    return next((at for at, one in enumerate(items(data, plural)) if name and text(one, "name") == name), -1)


def _names(data: Any, plural: str) -> str:
    return " or ".join(text(one, "name") for one in items(data, plural) if get(one, "name")) or f"an entry of {plural}"


CHECKS: tuple[Check, ...] = (file_kubeconfig,)
