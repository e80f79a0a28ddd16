"""A stand-in cluster of one node: helm, kubectl, ip and ping over one JSON file in a tree, strict in flags, failing on demand.

helm: messages and states of Helm 3 (pkg/action upgrade.go, rollback.go, uninstall.go; pkg/cmd history.go): a release that
is pending refuses an upgrade, a failed first revision does not, history and `get values` print their JSON. kubectl: objects
with the fields that the controllers fill in. Links and routes: those that Cilium makes, and that it may take away.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from tests.crashing import CrashingHost, Killed

from caasctl.model import CommandError
from caasctl.protocol import Completed

STORE = "/run/cluster-standin.json"
ADMIN = "/etc/kubernetes/admin.conf"
WHERE = ["--namespace", "kube-system", "--kubeconfig", ADMIN]
GATEWAY, PEER, NODE_IP = "192.0.2.1", "198.51.100.7", "192.0.2.10"
IN_PROGRESS = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    "   0: 0A0200C0:0016 076433C6:C350 01 00000000:00000000 02:000A7214 00000000     0\n"
)


class Cluster(CrashingHost):
    """fails: what goes wrong. helm-dies: killed inside helm. helm-fails: the API refuses. image: never ready, for an image.
    half: the API refuses once the agents run, and they cut the gateway off. gateway: Cilium cuts the gateway off. route: it takes the default route away. peer: it draws the peer's route into itself.
    asleep: the peer is shut meanwhile, its session open.
    """

    def __init__(self, root: str, at: int = -1, fails: str = "") -> None:
        super().__init__(root, at)
        self.fails, self.said = fails, list[str]()
        if not Path(root + STORE).exists():
            self._store({"revisions": [], "objects": {}, "secrets": [], "default": True, "agent": ""})

    # -- the tree ---------------------------------------------------------------------------------------------------
    def plant(self, path: str, text: str) -> None:
        Path(self.root + path).parent.mkdir(parents=True, exist_ok=True)
        Path(self.root + path).write_text(text)

    def begin(self) -> Cluster:
        """As kubeadm leaves it, with somebody logged in."""
        self.plant(ADMIN, "apiVersion: v1\n")
        self.plant("/proc/net/tcp", TCP)
        self.plant("/sys/class/net/eth0/mtu", "1500\n")
        return self

    @property
    def now(self) -> dict[str, Any]:
        return json.loads(Path(self.root + STORE).read_text())  # type: ignore[no-any-return]

    def _store(self, state: dict[str, Any]) -> None:
        self.plant(STORE, json.dumps(state))

    def change(self, **keys: Any) -> None:
        self._store({**self.now, **keys})

    def say(self, line: str) -> None:
        self.said.append(line)

    # -- commands ---------------------------------------------------------------------------------------------------
    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        looks = {"helm": self._helm_looks, "kubectl": self._kubectl, "ip": self._ip, "ping": self._ping}
        return looks[argv[0]](argv)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        def act() -> None:
            self.commands.append(argv)
            done = {"helm": self._helm, "kubectl": self._kubectl_creates, "ip": self._ip_changes}[argv[0]](argv)
            if done.rc:
                raise CommandError(
                    f"`{' '.join(argv)}` failed with exit status {done.rc}", cause=done.stderr, fix="mend it"
                )

        self._around(act)
        return Completed(argv, 0)

    def _helm_looks(self, argv: tuple[str, ...]) -> Completed:
        match list(argv[1:]):
            case ["history", "cilium", *rest] if rest == [*WHERE, "-o", "json"]:
                rows = self.now["revisions"]
                keys = ("revision", "updated", "status", "chart", "app_version", "description")
                said = [{key: row.get(key, "") for key in keys} for row in rows]
                return (
                    Completed(argv, 0, json.dumps(said))
                    if rows
                    else Completed(argv, 1, stderr="Error: release: not found")
                )
            case ["get", "values", "cilium", *rest] if rest == [*WHERE, "-o", "json"]:
                return Completed(argv, 0, json.dumps(self.now["revisions"][-1]["values"] or None))
            case ["status", "cilium", *rest] if rest == [*WHERE, "-o", "json"]:
                row = self.now["revisions"][-1]
                info = {"status": row["status"], "deleted": row.get("deleted", "")}
                return Completed(argv, 0, json.dumps({"name": "cilium", "info": info}))
            case ["show", "chart", path]:
                return Completed(argv, 0, Path(self.root + path + "/Chart.yaml").read_text())
        raise AssertionError(argv)

    def _helm(self, argv: tuple[str, ...]) -> Completed:
        revisions = self.now["revisions"]
        match list(argv[1:]):
            case ["upgrade", "--install", "cilium", *rest]:
                return self._upgrade(argv, rest, revisions)
            case ["rollback", "cilium", number, *rest] if rest in (WHERE, [*WHERE, "--timeout", "300s"]):
                (old,) = (row for row in revisions if row["revision"] == int(number))
                return self._deploy(argv, old["chart"].removeprefix("cilium-"), old["values"], revisions)
            case ["uninstall", "cilium", "--ignore-not-found", *rest] if rest == WHERE:
                self.change(revisions=[], agent="", cut="")
                return Completed(argv, 0)
        raise AssertionError(argv)

    def _upgrade(self, argv: tuple[str, ...], rest: list[str], revisions: list[dict[str, Any]]) -> Completed:
        chart = [rest[0], *(rest[1:3] if rest[1] == "--repo" else [])]
        version = rest[len(chart) : len(chart) + 2]
        more = [
            *WHERE,
            "--values",
            "/etc/kubernetes/caasctl/cilium-values.yaml",
            "--history-max",
            "5",
            "--timeout",
            "300s",
        ]
        if version[0] != "--version":
            version = ["", yaml.safe_load(Path(self.root + chart[0] + "/Chart.yaml").read_text())["version"]]
            assert rest == [*chart, *more], argv
        else:
            assert rest == [*chart, *version, *more], argv
        if revisions and revisions[-1]["status"].startswith("pending"):
            return Completed(argv, 1, stderr=IN_PROGRESS)
        values = yaml.safe_load(Path(self.root + "/etc/kubernetes/caasctl/cilium-values.yaml").read_text())
        if self.fails in ("helm-dies", "helm-fails"):
            status = "failed" if self.fails == "helm-fails" else "pending-upgrade" if revisions else "pending-install"
            self.change(revisions=[*revisions, self._row(revisions, version[1], values, status)])
            if status != "failed":
                raise Killed
            return Completed(argv, 1, stderr="Error: UPGRADE FAILED: admission webhook denied the request")
        done = self._deploy(argv, version[1], values, revisions)
        if self.fails == "half":
            *others, last = self.now["revisions"]
            self.change(revisions=[*others, {**last, "status": "failed"}], cut="gateway")
            return Completed(argv, 1, stderr="Error: context deadline exceeded")
        return done

    def _row(self, revisions: list[dict[str, Any]], version: str, values: Any, status: str) -> dict[str, Any]:
        number = revisions[-1]["revision"] + 1 if revisions else 1
        return {"revision": number, "status": status, "chart": f"cilium-{version}", "values": values}

    def _deploy(self, argv: tuple[str, ...], version: str, values: Any, revisions: list[dict[str, Any]]) -> Completed:
        old = [{**row, "status": "superseded"} if row["status"] == "deployed" else row for row in revisions]
        cut = self.fails if argv[1] == "upgrade" and self.fails in ("gateway", "route", "peer", "asleep") else ""
        self.change(revisions=[*old, self._row(old, version, values, "deployed")][-5:], agent=version, cut=cut)
        if cut == "route":
            self.change(default=False)
        for name in ("cilium_host", "cilium_net", "cilium_vxlan"):
            self.plant(f"/sys/class/net/{name}/mtu", "1500\n")
        return Completed(argv, 0)

    # -- kubectl ----------------------------------------------------------------------------------------------------
    def _kubectl(self, argv: tuple[str, ...]) -> Completed:
        assert list(argv[1:6]) == [*WHERE, "--request-timeout=10s"], argv
        match list(argv[6:]):
            case ["get", "nodes", "-o", "json"]:
                return _listed(argv, [self._node()])
            case ["get", *names, "--ignore-not-found", "-o", "json"]:
                assert names == ["daemonset/cilium", "deployment/cilium-operator", "deployment/coredns"]
                found = self._workloads()
                return _listed(argv, found) if found else Completed(argv, 0)
            case ["get", "pods", "-o", "json"]:
                return _listed(argv, [self._pod()] if self.now["agent"] else [])
            case ["get", secret, "--ignore-not-found", "-o", "name"]:
                return Completed(argv, 0, f"{secret}\n" if secret in self.now["secrets"] else "")
        raise AssertionError(argv)

    def _kubectl_creates(self, argv: tuple[str, ...]) -> Completed:
        assert list(argv[1:]) == [*WHERE, "create", "-f", "/run/caasctl/stage/helm/cilium-ipsec-keys.yaml"]
        made = yaml.safe_load(Path(self.root + argv[-1]).read_text())
        self.change(
            secrets=[*self.now["secrets"], f"secret/{made['metadata']['name']}"], keys=made["stringData"]["keys"]
        )
        return Completed(argv, 0)

    @property
    def _up(self) -> bool:
        return bool(self.now["agent"]) and self.fails != "image"

    def _node(self) -> dict[str, Any]:
        said = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:no CNI"
        ready = {"type": "Ready", "status": "True" if self._up else "False", "message": "" if self._up else said}
        status = {"addresses": [{"type": "InternalIP", "address": NODE_IP}], "conditions": [ready]}
        return {"kind": "Node", "metadata": {"name": "cp1"}, "status": status}

    def _workloads(self) -> list[dict[str, Any]]:
        up = int(self._up)
        dns = {
            "kind": "Deployment",
            "metadata": {"name": "coredns"},
            "spec": {"replicas": 2},
            "status": {"availableReplicas": up},
        }
        foreign = self.now.get("foreign")
        if not self.now["agent"] and foreign is None:
            return [dns]
        notes = foreign if foreign is not None else {"meta.helm.sh/release-name": "cilium"}
        counts = {"observedGeneration": 1, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberReady": up}
        image = f"quay.io/cilium/cilium:v{self.now['agent'] or '1.14.0'}"
        agent = {"kind": "DaemonSet", "metadata": {"name": "cilium", "generation": 1, "annotations": notes},
                 "spec": {"template": {"spec": {"containers": [{"image": image}]}}}, "status": counts}  # fmt: skip
        operator = {"kind": "Deployment", "metadata": {"name": "cilium-operator"}, "spec": {"replicas": 1},
                    "status": {"availableReplicas": up}}  # fmt: skip
        return [agent, operator, dns]

    def _pod(self) -> dict[str, Any]:
        said = {"reason": "ErrImagePull", "message": "failed to pull quay.io/cilium/cilium: dial tcp: i/o timeout"}
        state = {"running": {}} if self._up else {"waiting": said}
        status = {"containerStatuses": [{"name": "cilium-agent", "state": state}],
                  "conditions": [{"type": "Ready", "status": str(self._up)}]}  # fmt: skip
        return {"kind": "Pod", "metadata": {"name": "cilium-x7k2p", "labels": {"k8s-app": "cilium"}},
                "spec": {"nodeName": "cp1"}, "status": status}  # fmt: skip

    # -- the host's own network -------------------------------------------------------------------------------------
    def _ip(self, argv: tuple[str, ...]) -> Completed:
        cut = self.now.get("cut", "")
        match list(argv[1:]):
            case ["-j", "route", "show", "default"]:
                return Completed(argv, 0, json.dumps([_default()] if self.now["default"] else []))
            case ["-j", "-6", "route", "show", "default"]:
                return Completed(argv, 0, "[]")
            case ["-j", "route", "get", address]:
                into = cut == "peer" and address == PEER
                row = {
                    "dst": address,
                    "dev": "cilium_host" if into else "eth0",
                    "prefsrc": "10.244.0.1" if into else NODE_IP,
                }
                return Completed(argv, 0, json.dumps([row]))
            case ["-j", "neigh", "show", address]:
                dead = cut == "gateway"
                rows = (
                    [{"dst": address, "dev": "eth0", "state": ["FAILED" if dead else "REACHABLE"]}]
                    if address == GATEWAY
                    else []
                )
                return Completed(argv, 0, json.dumps(rows))
        raise AssertionError(argv)

    def _ip_changes(self, argv: tuple[str, ...]) -> Completed:
        match list(argv[1:]):
            case ["link", "delete", name]:
                for gone in {name, "cilium_net"} if name == "cilium_host" else {name}:
                    Path(f"{self.root}/sys/class/net/{gone}/mtu").unlink()
                    Path(f"{self.root}/sys/class/net/{gone}").rmdir()
                return Completed(argv, 0)
            case ["-4", "route", "replace", "default", "via", gateway, "dev", "eth0"] if gateway == GATEWAY:
                self.change(default=True)
                return Completed(argv, 0)
        raise AssertionError(argv)

    def _ping(self, argv: tuple[str, ...]) -> Completed:
        assert argv[1:3] == ("-c1", "-W2")
        cut = self.now.get("cut", "")
        silent = {"gateway": GATEWAY, "peer": PEER, "asleep": PEER}.get(cut)
        return Completed(argv, int(argv[3] == silent))


def _default() -> dict[str, Any]:
    return {"dst": "default", "gateway": GATEWAY, "dev": "eth0", "protocol": "dhcp", "prefsrc": NODE_IP}


def _listed(argv: tuple[str, ...], items: list[dict[str, Any]]) -> Completed:
    return Completed(argv, 0, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
