"""What else is in this node's cluster of the kinds that caasctl makes: RuntimeClasses, and the images of daemonsets."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.kubectl import answer
from caasctl.protocol import Probe, Reader
from caasctl.syntax.cluster.names import MANAGER
from caasctl.syntax.kubeadm import ADMIN

_MANAGED = r"{.metadata.labels.app\.kubernetes\.io/managed-by}"
_IMAGES = "{.spec.template.spec.containers[*].image}"
_FIELDS = ("{.kind}", "{.metadata.namespace}", "{.metadata.name}", _MANAGED, "{.handler}", _IMAGES)
_ROWS = "{range .items[*]}" + '{"\\t"}'.join(_FIELDS) + '{"\\n"}{end}'
ASK = ("kubectl", "--kubeconfig", ADMIN, "--request-timeout=6s", "get", "runtimeclasses,daemonsets", "--all-namespaces",
       "-o", f"jsonpath={_ROWS}")  # fmt: skip


@dataclass(frozen=True)
class ClusterObject:
    """kind: RuntimeClass or DaemonSet. manager: of its label, "" without one. handler, images: of their kind."""

    kind: str
    name: str
    namespace: str = ""
    manager: str = ""
    handler: str = ""
    images: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        return self.manager == MANAGER


@dataclass(frozen=True)
class ClusterObjects:
    """asked: an API server answered."""

    asked: bool = False
    objects: tuple[ClusterObject, ...] = ()

    def runtime_class(self, name: str) -> ClusterObject | None:
        return next((one for one in self.objects if (one.kind, one.name) == ("RuntimeClass", name)), None)


def parse(text: str) -> tuple[ClusterObject, ...]:
    """Of ASK, a line each; what has not all columns is none."""
    rows = (line.split("\t") for line in text.splitlines())
    return tuple(
        ClusterObject(kind, name, namespace, manager, handler, tuple(images.split()))
        for kind, namespace, name, manager, handler, images in (row for row in rows if len(row) == len(_FIELDS))
    )


def read_objects(host: Reader) -> ClusterObjects:
    """Asks only where there is an admin.conf. Raises Unreadable."""
    said = answer(host, ASK, ADMIN)
    return ClusterObjects() if said is None else ClusterObjects(asked=True, objects=parse(said))


PROBES: tuple[Probe, ...] = (Probe(ClusterObjects, read_objects),)
