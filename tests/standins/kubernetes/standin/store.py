"""The objects of a cluster, kept in etcd's folder as one JSON file; what a write and a patch make of them.

Source: kubernetes/kubernetes staging/src/k8s.io/apiserver/pkg/registry (AlreadyExists, NotFound, Conflict and their words).
"""

from __future__ import annotations

import copy
import json
import os
import re
import threading
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from . import apply

Object = dict[str, Any]


class Resource(NamedTuple):
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()


CORE: dict[str, Resource] = {
    "configmaps": Resource("ConfigMap", True, ("cm",)),
    "events": Resource("Event", True, ("ev",)),
    "namespaces": Resource("Namespace", False, ("ns",)),
    "nodes": Resource("Node", False, ("no",)),
    "persistentvolumeclaims": Resource("PersistentVolumeClaim", True, ("pvc",)),
    "persistentvolumes": Resource("PersistentVolume", False, ("pv",)),
    "pods": Resource("Pod", True, ("po",)),
    "secrets": Resource("Secret", True),
    "serviceaccounts": Resource("ServiceAccount", True, ("sa",)),
    "services": Resource("Service", True, ("svc",)),
}
GROUPS: dict[str, dict[str, Resource]] = {
    "apps/v1": {
        "daemonsets": Resource("DaemonSet", True, ("ds",)),
        "deployments": Resource("Deployment", True, ("deploy",)),
        "replicasets": Resource("ReplicaSet", True, ("rs",)),
        "statefulsets": Resource("StatefulSet", True, ("sts",)),
    },
    "batch/v1": {"cronjobs": Resource("CronJob", True, ("cj",)), "jobs": Resource("Job", True)},
    "apiextensions.k8s.io/v1": {
        "customresourcedefinitions": Resource("CustomResourceDefinition", False, ("crd", "crds"))
    },
    "certificates.k8s.io/v1": {"certificatesigningrequests": Resource("CertificateSigningRequest", False, ("csr",))},
    "coordination.k8s.io/v1": {"leases": Resource("Lease", True)},
    "discovery.k8s.io/v1": {"endpointslices": Resource("EndpointSlice", True)},
    "networking.k8s.io/v1": {"networkpolicies": Resource("NetworkPolicy", True, ("netpol",))},
    "policy/v1": {"poddisruptionbudgets": Resource("PodDisruptionBudget", True, ("pdb",))},
    "storage.k8s.io/v1": {"storageclasses": Resource("StorageClass", False, ("sc",))},
    "node.k8s.io/v1": {"runtimeclasses": Resource("RuntimeClass", False)},
    "rbac.authorization.k8s.io/v1": {"clusterrolebindings": Resource("ClusterRoleBinding", False)},
    "cilium.io/v2": {
        "ciliumnodes": Resource("CiliumNode", False, ("cn",)),
        "ciliumendpoints": Resource("CiliumEndpoint", True, ("cep",)),
    },
}


class Refusal(Exception):  # noqa: N818 - it is what the API answers
    """An error of the API: HTTP status, reason, words."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason


class Place(NamedTuple):
    """Where an object lies. version: as v1 or apps/v1."""

    version: str
    resource: str
    namespace: str
    name: str

    @property
    def said(self) -> str:
        group = self.version.partition("/")[0] if "/" in self.version else ""
        return f'{self.resource}{"." + group if group else ""} "{self.name}"'


class Store:
    def __init__(self, path: Path) -> None:
        self._path, self.lock = path, threading.RLock()
        data: Any = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"revision": 0, "objects": []}
        self.revision: int = data["revision"]
        self.gone: list[tuple[int, Place, Object]] = []  # what was deleted since the start, for who watches from before
        self.objects: dict[Place, Object] = {Place(*key): value for key, value in data["objects"]}

    def resources(self, version: str) -> dict[str, Resource]:
        """What is served of a version; a group of CRDs only once one of them is there."""
        if version == "v1":
            return CORE
        found = GROUPS.get(version, {})
        group = version.partition("/")[0]
        if group == "cilium.io":
            defined = {place.name for place in self.objects if place.resource == "customresourcedefinitions"}
            return {name: resource for name, resource in found.items() if f"{name}.{group}" in defined}
        return found

    def listed(self, version: str, resource: str, namespace: str) -> list[Object]:
        with self.lock:
            return [
                value for place, value in sorted(self.objects.items())
                if (place.version, place.resource) == (version, resource) and namespace in ("", place.namespace)
            ]  # fmt: skip

    def get(self, place: Place) -> Object:
        if place not in self.objects:
            raise Refusal(404, "NotFound", f"{place.said} not found")
        return self.objects[place]

    def create(self, place: Place, body: Object) -> Object:
        with self.lock:
            if place in self.objects:
                raise Refusal(409, "AlreadyExists", f"{place.said} already exists")
            if place.namespace and Place("v1", "namespaces", "", place.namespace) not in self.objects:
                raise Refusal(404, "NotFound", f'namespaces "{place.namespace}" not found')
            if place.namespace and self._ends(place.namespace) and place.resource != "events":
                raise Refusal(403, "Forbidden", f"{place.said} is forbidden: unable to create new content in namespace {place.namespace} "
                              "because it is being terminated")  # fmt: skip
            meta = body.setdefault("metadata", {})
            meta |= {"name": place.name, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
            meta |= {"namespace": place.namespace} if place.namespace else {}
            return self._keep(place, body)

    def replace(self, place: Place, body: Object) -> Object:
        with self.lock:
            old = self.get(place)
            given = body.get("metadata", {}).get("resourceVersion")
            if given and given != old["metadata"]["resourceVersion"]:
                raise Refusal(409, "Conflict", f"Operation cannot be fulfilled on {place.said}: the object has been modified; please apply "
                              "your changes to the latest version and try again")  # fmt: skip
            kept = {key: old["metadata"][key] for key in ("uid", "creationTimestamp")}
            body["metadata"] = {**body.get("metadata", {}), **kept, "name": place.name}
            if place.namespace:
                body["metadata"]["namespace"] = place.namespace
            return self._keep(place, body)

    def change(self, place: Place, kind: str, part: Any, manager: str = "unknown", *, force: bool = False) -> Object:
        with self.lock:
            if kind == "application/apply-patch+yaml":
                return self._apply(place, part, manager, force=force)
            old = self.get(place)
            new = copy.deepcopy(old)
            if kind == "application/json-patch+json":
                for step in part:
                    _step(new, step)
            else:
                new = merged(new, part)
            if old["metadata"].get("managedFields"):
                new = apply.updated(old, new, manager, now())
            new["metadata"].pop("resourceVersion", None)
            return self.replace(place, new)

    def _apply(self, place: Place, body: Object, manager: str, *, force: bool) -> Object:
        """Server-side apply."""
        old = self.objects.get(place)
        try:
            new = apply.applied(old, body, manager, force=force, now=now())
        except apply.ConflictError as conflict:
            raise Refusal(409, "Conflict", str(conflict)) from conflict
        if old is None:
            return self.create(place, new)
        judge_change(place, old, new)
        new["metadata"].pop("resourceVersion", None)
        return (
            old
            if {**new, "metadata": {**new["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}} == old
            else self.replace(place, new)
        )

    def delete(self, place: Place, *, final: bool = False) -> Object:
        """A namespace ends once what is in it is gone, which the controller manager sees to."""
        with self.lock:
            gone = self.get(place)
            if place.resource == "namespaces" and not final:
                gone = copy.deepcopy(gone)
                gone["metadata"].setdefault("deletionTimestamp", now())
                gone["status"] = {"phase": "Terminating"}
                return self._keep(place, gone)
            del self.objects[place]
            self.revision += 1
            self.gone.append((self.revision, place, gone))
            self._save()
            return gone

    def _ends(self, namespace: str) -> bool:
        return "deletionTimestamp" in self.objects[Place("v1", "namespaces", "", namespace)]["metadata"]

    def _keep(self, place: Place, body: Object) -> Object:
        if place.version == "apps/v1":
            old = self.objects.get(place, {})
            body["metadata"]["generation"] = old.get("metadata", {}).get("generation", 0) + (
                old.get("spec") != body.get("spec")
            )
        self.revision += 1
        body["metadata"]["resourceVersion"] = str(self.revision)
        self.objects[place] = body
        self._save()
        return body

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump({"revision": self.revision, "objects": list(self.objects.items())}, file)
        os.rename(new, self._path)


def judge_change(place: Place, old: Object, new: Object) -> None:
    """pkg/apis/node/validation: a RuntimeClass keeps its handler."""
    if place.resource == "runtimeclasses" and old.get("handler") != new.get("handler"):
        raise Refusal(422, "Invalid", f'RuntimeClass.node.k8s.io "{place.name}" is invalid: handler: Invalid value: '
                      f'"{new.get("handler")}": field is immutable')  # fmt: skip


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def merged(old: Any, part: Any) -> Any:
    """RFC 7386; a strategic merge patch is taken as one, its lists of named conditions by name."""
    if not isinstance(part, dict):
        return part
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in part.items():
        if value is None:
            new.pop(key, None)
        elif not str(key).startswith("$"):
            new[key] = merged(new.get(key), value)
    return new


def _step(document: Any, step: Object) -> None:
    *folders, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
    for part in folders:
        document = document[int(part)] if isinstance(document, list) else document[part]
    if step["op"] == "remove":
        del document[int(last) if isinstance(document, list) else last]
    elif isinstance(document, list):
        document.insert(len(document) if last == "-" else int(last), step["value"])
    else:
        document[last] = step["value"]


def chosen(value: Object, labels: str, fields: str) -> bool:
    """Whether an object meets a labelSelector and a fieldSelector of equalities, sets and presence."""
    found = value["metadata"].get("labels", {})
    for term in (part.strip() for part in re.split(r",(?![^(]*\))", labels) if part.strip()):
        inside = re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term)
        if inside:
            among = found.get(inside[1]) in [word.strip() for word in inside[3].split(",")]
            if among != (inside[2] == "in"):
                return False
        elif not _equal(term, found.get):
            return False
    return all(_equal(term, lambda key: _field(value, key)) for term in fields.split(",") if term)


def _equal(term: str, of: Any) -> bool:
    if "!=" in term:
        key, _, wanted = term.partition("!=")
        return bool(of(key.strip()) != wanted.strip())
    if "=" in term:
        key, _, wanted = term.partition("=")
        return bool(of(key.strip()) == wanted.lstrip("=").strip())
    return of(term) is not None if not term.startswith("!") else of(term[1:]) is None


def _field(value: Object, path: str) -> Any:
    found: Any = value
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return found
