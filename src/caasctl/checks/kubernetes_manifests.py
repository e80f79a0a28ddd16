"""Static pod manifests: each file in their folder is one, of kubeadm's own making, and says what the cluster's configuration says."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KubeadmFile
from caasctl.facts.kubernetes_static_pods import FOLDER, ManifestFile, ManifestFiles
from caasctl.facts.network import Links
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile

_API, _MANAGER, _SCHEDULER, _ETCD = "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"
_SECTIONS = {
    _API: ("apiServer",),
    _MANAGER: ("controllerManager",),
    _SCHEDULER: ("scheduler",),
    _ETCD: ("etcd", "local"),
}
# component, argument, where the ClusterConfiguration has it
_SAME = (
    (_API, "service-cluster-ip-range", ("networking", "serviceSubnet")),
    (_MANAGER, "service-cluster-ip-range", ("networking", "serviceSubnet")),
    (_MANAGER, "cluster-cidr", ("networking", "podSubnet")),
    (_MANAGER, "cluster-name", ("clusterName",)),
    (_ETCD, "data-dir", ("etcd", "local", "dataDir")),
)
_OFTEN = frozenset(
    {"service-account-issuer", "service-account-key-file", "tls-sni-cert-key", "feature-gates", "v", "vmodule"}
)


@check(
    "kubernetes.manifests",
    "Static pod manifests are as kubeadm writes them",
    reads=(ManifestFiles, ClusterApi, KubeadmFile, Links),
    why="The kubelet runs every file in that folder whose name does not begin with a dot, as it stands: a copy runs in place of the "
    "original, and what was edited by hand goes with the next upgrade.",
    fix="Keep copies elsewhere, and change arguments by kubeadm: `kubeadm init phase control-plane`, with its configuration.",
    source="kubernetes: pkg/kubelet/config/file.go; cmd/kubeadm/app/phases/controlplane/manifests.go",
)
def manifests(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/kubernetes/manifests beside kubeadm-config (else /etc/kubernetes/caasctl/kubeadm.yaml), and the files that arguments name."""
    files = facts[ManifestFiles].files
    if not files:
        return
    configuration = _configuration(facts)
    found = (*_no_pods(files), *_copies(files), *_wrong(facts[ManifestFiles], configuration), *_address(facts))
    yield from found or (
        passed(f"{len(files)} manifests" + ("" if configuration else ", no configuration to compare them with")),
    )


def _no_pods(files: tuple[ManifestFile, ...]) -> Iterator[Finding]:
    for file in files:
        if file.problem:
            yield failed(f"{file.path} {file.problem}", wanted="a pod", subject=file.path,
                         cause="The kubelet says `Can't process manifest file`, and runs without it.",
                         fix=Fix(f"mend {file.path}, or mv {file.path} /root/", FixKind.EDIT))  # fmt: skip


def _copies(files: tuple[ManifestFile, ...]) -> Iterator[Finding]:
    first: dict[str, ManifestFile] = {}
    for file in files:
        if not file.pod:
            continue
        same = first.setdefault(file.pod, file)
        if same is not file:
            copy = same if same.path.rpartition("/")[2] != f"{file.pod}.yaml" else file
            yield failed(f"{same.path} and {file.path} are both pod {file.pod}", wanted=f"one manifest of {file.pod}", subject=copy.path,
                         cause="The kubelet reads both, runs one of them, and starts the other when that one is edited.",
                         fix=Fix(f"mv {copy.path} /root/"))  # fmt: skip


def _wrong(found: ManifestFiles, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    for file in found.files:
        if file.pod in _SECTIONS:
            yield from _twice(file)
            for name, path in file.missing:
                yield failed(f"--{name}={path}: there is no such file", wanted="a file that is there", subject=f"{file.path} {name}",
                             fix=Fix(f"bring {path} back (certificates: kubeadm init phase certs all), or mend --{name} in {file.path}",
                                     FixKind.EDIT))  # fmt: skip
            yield from _other_version(file, configuration)
            yield from _other_values(file, configuration)
            yield from _not_by_kubeadm(file, configuration)


def _twice(file: ManifestFile) -> Iterator[Finding]:
    given = Counter(name for name, _ in file.arguments)
    for name, times in given.items():
        if times > 1 and name not in _OFTEN:
            yield failed(f"--{name} is given {times} times: {', '.join(file.values(name))}", wanted="once", subject=f"{file.path} {name}",
                         cause="The last one counts.", fix=Fix(f"take all but one --{name} out of {file.path}", FixKind.EDIT))  # fmt: skip


def _other_version(file: ManifestFile, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    wanted = str(configuration.get("kubernetesVersion", "")).removeprefix("v")
    if file.pod != _ETCD and wanted and file.version and file.version != wanted:
        yield warned(f"image of {file.version}", wanted=wanted, subject=file.path,
                     cause="An upgrade stopped half way, or somebody edited the image.",
                     fix=Fix(f"kubeadm upgrade apply v{_newer(file.version, wanted)} --force"))  # fmt: skip


def _newer(*releases: str) -> str:
    return max(releases, key=lambda release: [int(number) for number in re.findall(r"\d{1,6}", release)])


def _other_values(file: ManifestFile, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    for name, wanted, where in _expected(file.pod, configuration):
        given = file.values(name)
        if wanted and given and _plain(given[-1]) != _plain(wanted):
            yield failed(f"--{name}={given[-1]} in {file.path}, {where}: {wanted} in kubeadm-config", wanted="the same in both",
                         subject=f"{file.path} {name}", evidence=(Evidence(file.path, f"--{name}={given[-1]}"),),
                         cause="It was edited by hand in one of the two places; the next upgrade writes what kubeadm-config says.",
                         fix=Fix(f"make --{name} in {file.path} {wanted}, or kubectl -n kube-system edit configmap kubeadm-config",
                                 FixKind.EDIT))  # fmt: skip


def _not_by_kubeadm(file: ManifestFile, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    """Kubeadm writes no size of the nodes' ranges unless it is told one."""
    for name, value in file.arguments:
        if (
            name.startswith("node-cidr-mask-size")
            and configuration
            and name not in dict(_extra(configuration, _SECTIONS[file.pod]))
        ):
            yield warned(f"--{name}={value} in {file.path}, not in kubeadm-config", wanted="the same in both", subject=f"{file.path} {name}",
                         cause="The next upgrade writes the manifest without it, and new nodes get ranges of another size.",
                         fix=Fix(f"controllerManager.extraArgs {name}: {value} by kubectl -n kube-system edit configmap kubeadm-config",
                                 FixKind.EDIT))  # fmt: skip


def _plain(value: str) -> str:
    return value.rstrip("/").replace(" ", "")


def _expected(component: str, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(argument, value, where it is said); what extraArgs say goes before."""
    said = dict(_extra(configuration, _SECTIONS[component]))
    yield from ((name, value, "extraArgs") for name, value in said.items())
    for owner, name, path in _SAME:
        if owner == component and name not in said:
            yield name, _text(configuration, path), ".".join(path)


def _extra(configuration: Mapping[str, Any], section: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """A map up to kubeadm's v1beta3, a list of name and value from v1beta4, where the last of one name counts."""
    given = _at(configuration, (*section, "extraArgs"))
    if isinstance(given, Mapping):
        yield from ((str(name), str(value)) for name, value in given.items())
    for one in given if isinstance(given, list) else ():
        if isinstance(one, Mapping) and "name" in one:
            yield str(one["name"]), str(one.get("value", ""))


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _text(configuration: Mapping[str, Any], path: tuple[str, ...]) -> str:
    found = _at(configuration, path)
    return found if isinstance(found, str) else ""


def _address(facts: Facts) -> Iterator[Finding]:
    """The address that the API server tells others must be one of this host's; a DHCP lease or a move takes it away."""
    server, links = facts[ManifestFiles].pod(_API), facts.get(Links)
    given = server.values("advertise-address")[-1:] if server else ()
    own = {address.ip for link in links.links for address in link.addresses} if links else set()
    for address in given:
        if own and _canonical(address) not in own:
            yield failed(f"--advertise-address={address} is no address of this host", wanted="an address that `ip addr` shows",
                         subject=f"{FOLDER}/{_API}.yaml advertise-address", evidence=(Evidence("ip addr", ", ".join(sorted(own))[:300]),),
                         cause="The host's address has changed since the cluster began: its certificates and kubeconfigs name the old one.",
                         fix=Fix(f"give this host {address} back, as a fixed address in place of one by DHCP", FixKind.EDIT))  # fmt: skip


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _configuration(facts: Facts) -> Mapping[str, Any]:
    """ClusterConfiguration as the cluster has it, else as caasctl wrote it for kubeadm; empty where neither can be read."""
    api, file = facts.get(ClusterApi), facts.get(KubeadmFile)
    if api and api.configuration:
        try:
            data = formats.parse_yaml(api.configuration, "kubeadm-config")
        except formats.FormatError:
            return {}
        return data if isinstance(data, Mapping) else {}
    return next((one for one in (file.data if file else ()) if one.get("kind") == "ClusterConfiguration"), {})


CHECKS: tuple[Check, ...] = (manifests,)
