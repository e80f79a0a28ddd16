"""kubeadm: where its files lie, how its cluster is asked, and why a run of it failed, of what it and others print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

CRI_SOCKET = "unix:///run/containerd/containerd.sock"
BASE = "/etc/kubernetes"
ADMIN = f"{BASE}/admin.conf"
KUBELET_CONF = f"{BASE}/kubelet.conf"
KUBECTL_S = 15.0  # of one question, with the start of kubectl on a busy host; each of its requests may take 6 s
BOOTSTRAP_CONF = f"{BASE}/bootstrap-kubelet.conf"
CA = f"{BASE}/pki/ca.crt"
CA_KEY = f"{BASE}/pki/ca.key"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
MANIFESTS = tuple(f"{BASE}/manifests/{name}.yaml" for name in COMPONENTS)
ETCD = "/var/lib/etcd"
FOLDER = f"{BASE}/caasctl"
CONFIG = f"{FOLDER}/kubeadm.yaml"
AUDIT_POLICY = f"{FOLDER}/audit-policy.yaml"
ADMISSION = f"{FOLDER}/admission.yaml"
ENCRYPTION = f"{FOLDER}/encryption.yaml"
UNDER_WAY = f"{FOLDER}/init-under-way"  # there from before `kubeadm init` until it has ended well
PATCHES = f"{FOLDER}/patches"
KUBELET_PATCH = f"{PATCHES}/kubeletconfiguration0+merge.yaml"
OBJECTS, TENANTS = f"{FOLDER}/cluster.yaml", f"{FOLDER}/tenant-policy.yaml"
AUDIT_LOGS = "/var/log/kubernetes/audit"
RESET = ("kubeadm", "reset", "--force", "--cri-socket", CRI_SOCKET)
INIT, JOIN = "kubeadm:init", "kubeadm:join"
ASK = ("kubectl", "--kubeconfig", ADMIN, "--request-timeout=6s", "-n", "kube-system",
       "get", "configmap", "kubeadm-config", "-o", "jsonpath={.data.ClusterConfiguration}")  # fmt: skip
NOT_FOUND = "NotFound"
KUBECONFIGS = tuple(
    f"{BASE}/{name}.conf" for name in ("admin", "super-admin", "kubelet", "controller-manager", "scheduler")
)
KUBECONFIG_WORDS = ("server", "certificate-authority-data", "client-certificate-data", "client-certificate")
_FINISHED = re.compile(rf"^{re.escape(KUBELET_CONF)}:[ -]*client-certificate: *\S", re.MULTILINE)


def ask_kubeconfigs(paths: Iterable[str]) -> tuple[str, ...]:
    """What kubeconfigs say but their keys, by grep, so that no private key is in a memory or recording of caasctl."""
    return ("grep", "-sHE", f"^[ -]*({'|'.join(KUBECONFIG_WORDS)}):", *paths)


def finished(told: str) -> bool:
    """Whether ask_kubeconfigs tells that kubeadm was here to its end: kubelet.conf names the file that the kubelet renews,
    which init's kubelet-finalize, after the control plane was up, and join's TLS bootstrap make it do.
    """
    return bool(_FINISHED.search(told))


def ask_node(name: str) -> tuple[str, ...]:
    """Whether a node is registered, asked as its kubelet, which may see itself."""
    return ("kubectl", "--kubeconfig", KUBELET_CONF, "--request-timeout=6s", "get", "node", name, "-o", "name")


def began(entry: str) -> bool:
    """Whether an entry of a run's undo record says that this run began a cluster, or joined one, here."""
    try:
        data = json.loads(entry)
        return data["resource"] in (INIT, JOIN) and bool(data["first"])
    except (ValueError, KeyError, TypeError):
        return False


class Reason(NamedTuple):
    """Why kubeadm failed: cause as a clause, fix as one thing to do."""

    cause: str
    fix: str


class _Known(NamedTuple):
    pattern: str
    cause: str  # {0}: the text that the pattern found; {name}: its groups
    fix: str


# What a kubelet, etcd or an API server says when it cannot start, root causes first.
_KNOWN = tuple(
    _Known(*row)
    for row in (
        (r"running with swap on is not supported", "it does not start while swap is on ({0})",
         "swapoff -a, and mask the swap units (`caasctl init-node --phase host` does both)"),
        (r"kubelet is configured to not run on a host using cgroup v1|cgroup v1 support is unsupported",
         "it does not run on cgroup v1 ({0})",
         "boot with cgroup v2 only (`caasctl init-node --phase boot`)"),
        (r'expected cgroupsPath to be of format \\?"slice:prefix:name\\?"',
         "kubelet and containerd use different cgroup drivers ({0})",
         "set SystemdCgroup = true for runc (`caasctl init-node --phase containerd`)"),
        (r'kubelet cgroup driver: \\?"\w+\\?" is different from [\w ]*cgroup driver: \\?"\w+\\?"',
         "kubelet and container runtime use different cgroup drivers ({0})",
         "set SystemdCgroup = true for runc (`caasctl init-node --phase containerd`)"),
        (r"invalid kernel flag: [^\n\"]+", "it wants other kernel settings ({0})",
         "set them (`caasctl init-node --phase host`)"),
        (r"unknown flag: --(?P<flag>[\w-]+)", "it is started with --{flag}, which this version does not know",
         "take --{flag} out of where `grep -r -e --{flag} /etc/default /var/lib/kubelet /etc/systemd/system` finds it"),
        (r"unrecognized feature gate: (?P<gate>\w+)", "feature gate {gate} is not known to this version",
         "take {gate} out of featureGates"),
        (r"unknown service runtime\.v1\.(?:Runtime|Image)Service", "containerd runs without its CRI plugin ({0})",
         "enable it (`caasctl init-node --phase containerd`)"),
        (r"failed to (?:get sandbox image|pull image) \\*\"(?P<image>[^\"\\]*pause[^\"\\]*)\\*\"[^\n]*",
         "containerd cannot pull its sandbox image {image}",
         "make {image} reachable (proxy or mirror of containerd), or import it with `ctr -n k8s.io images import`"),
        (r"(?:Err(?:or)?ImagePull|Failed to pull image)[^\n]*?(?P<image>[\w.-]+(?::\d+)?/[\w./-]+:[\w.-]+)[^\n]*",
         "the image {image} cannot be pulled",
         "make {image} reachable (proxy or mirror of containerd), or import it with `ctr -n k8s.io images import`"),
        (r"listen \w+ (?P<address>[\w.:\[\]]+): bind: address already in use",
         "another program listens on {address}", "`ss -lntp` shows it; stop that program"),
        (r"listen \w+ (?P<address>[\w.:\[\]]+): bind: cannot assign requested address",
         "{address} is no address of this host", "set spec.network.nodeIP to an address that `ip addr` shows"),
        (r"no space left on device", "a disk is full ({0})", "free space: `df -h /var/lib/kubelet /var/lib/containerd /var/lib/etcd`"),
        (r"(?:x509: )?certificate has expired or is not yet valid[^\n\"]*", "the clock or a certificate is wrong ({0})",
         "set the clock (`timedatectl`), then see `kubeadm certs check-expiration`"),
        (r"certificate is valid for (?P<names>[^\n\"]*?), not (?P<name>[\w.:-]+)",
         "the certificate is for {names}, not for {name}", "add {name} to spec.kubernetes.apiServerCertSANs"),
        (r"error while parsing (?:the )?encryption[^\n]*|error reading encryption[^\n]*",
         "it cannot use its encryption configuration ({0})", f"see {ENCRYPTION}"),
        (r"failed to (?:read|load|parse) (?:plugin|admission|audit)[^\n]*|loading audit policy file[^\n]*",
         "it cannot use a file of its configuration ({0})", f"see the files in {FOLDER}"),
        (r"failed to load kubelet config file(?![^\n]*no such file)[^\n]*|strict decoding error: [^\n\"]*",
         "the configuration is not understood ({0})", "take that field out of spec.kubernetes.kubelet"),
        (r"unknown flag: [^\n]*|invalid argument [^\n]*", "it does not take its arguments ({0})",
         "report this as a bug of caasctl, with this line"),
    )
)  # fmt: skip
_CONSEQUENCE = re.compile(  # what everybody says while the API server or the network is not up yet
    r"connection refused|context deadline exceeded|cni plugin not initialized|CrashLoopBackOff|not found|"
    r"Unable to register node|Error getting (?:the current )?node|no route to host|i/o timeout|Failed to watch|"
    r"RemoveContainer|lease|no such file or directory|cAdvisor|Eviction manager|mirror pod",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"^(?:[EF]\d{4} |(?:Error|error|panic|fatal)\b|.*\"level\":\"(?:fatal|panic|error)\")")
_PREFLIGHT = re.compile(r"^\s*\[ERROR (?P<name>[^\]]+)\]: (?P<text>.*(?:\n(?!\s*\[|To see|error)\S.*)*)", re.MULTILINE)
_FIXES = (
    ("KubeletVersion", "install kubelet, kubeadm and kubectl of one minor version, that of spec.kubernetes.version"),
    ("Port-", "`ss -lntp` shows the program that listens there; stop it"),
    (
        "FileAvailable-",
        "`caasctl preflight --check kubernetes.leftovers` says what an earlier run left, and what to do",
    ),
    ("DirAvailable-", "`caasctl preflight --check kubernetes.leftovers` says what an earlier run left, and what to do"),
    ("FileContent-", "set that kernel setting (`caasctl init-node --phase host`)"),
    ("Swap", "swapoff -a, and mask the swap units (`caasctl init-node --phase host` does both)"),
    ("CRI", "mend containerd's CRI (`caasctl init-node --phase containerd`)"),
    ("NumCPU", "give this machine 2 CPUs"),
    ("Mem", "give this machine 2 GiB of memory"),
    ("ImagePull", "make that registry reachable for containerd (proxy, mirror), or import the images"),
    ("FileExisting-", "install the package with that program"),
)
_LOG_LINE = re.compile(r"^\S+ (?:stdout|stderr) [FP] ?")  # of the CRI: time, stream, tag
_LONGEST = 300


def failed(
    output: str,
    journal: str = "",
    logs: Mapping[str, str] | None = None,
    containers: str = "",
) -> Reason:
    """The reason in what kubeadm printed, in the kubelet's journal, in the logs of static pods (name -> lines of the newest
    container), in `crictl ps -a`. What is only a consequence of another failure goes last.
    """
    plain = {name: _without_time(text) for name, text in (logs or {}).items()}
    return (
        _preflight(output)
        or _known("kubeadm", output)
        or _known("the kubelet", journal)
        or next((found for name in sorted(plain) if (found := _known(name, plain[name]))), None)
        or next((found for name in sorted(plain) if (found := _last_word(name, plain[name]))), None)
        or _last_word("the kubelet", journal)
        or _exited(containers)
        or _said(output)
    )


def _preflight(output: str) -> Reason | None:
    found = [(each["name"], " ".join(each["text"].split())) for each in _PREFLIGHT.finditer(output)]
    if not found:
        return None
    name = found[0][0]
    fix = next((fix for start, fix in _FIXES if name.startswith(start)), "mend what it names")
    return Reason("; ".join(f"{text} ({name})" for name, text in found), f"{fix}, then run the same command again")


def _known(who: str, text: str) -> Reason | None:
    for known in _KNOWN:
        found = re.search(known.pattern, text)
        if found:
            words = {"0": found[0].replace('\\"', '"'), **found.groupdict()}
            fix = _filled(known.fix, words)
            return Reason(_cut(f"{who}: {_filled(known.cause, words)}"), f"{fix}, then run the same command again")
    return None


def _filled(template: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: words[name[1]], template)


def _last_word(who: str, text: str) -> Reason | None:
    """The last line that tells of an error and is not the echo of another one."""
    lines = [line for line in text.splitlines() if _BROKEN.match(line) and not _CONSEQUENCE.search(line)]
    if not lines:
        return None
    logs = "journalctl -u kubelet" if who == "the kubelet" else f"crictl ps -a --name {who}"
    return Reason(
        _cut(f"{who}: {_message(lines[-1])}"), f"mend what it says (`{logs}`), then run the same command again"
    )


def _message(line: str) -> str:
    """Of a line of klog without its head; of a line of etcd's JSON the message and error."""
    try:
        data: Any = json.loads(line)
        return ": ".join(str(data[key]) for key in ("msg", "error") if data.get(key))
    except (ValueError, AttributeError, KeyError):
        return re.sub(r"^[EFIW]\d{4} \S+\s+\d+ (?:\S+:\d+\] )?", "", line)


def _exited(containers: str) -> Reason | None:
    rows = (line.split() for line in containers.splitlines())
    gone = sorted({name for row in rows if "Exited" in row for name in COMPONENTS if name in row})
    if not gone:
        return None
    first = gone[0]
    return Reason(f"{', '.join(gone)} ended and was not seen to say why",
                  f"`crictl ps -a --name {first}`, then `crictl logs ID` says it; then run the same command again")  # fmt: skip


def _said(output: str) -> Reason:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("To see the stack")]
    errors = [line for line in lines if re.match(r"(?i)(?:error|fatal)", line)] or lines[-1:]
    return Reason(_cut("; ".join(errors[-2:]) or "it printed nothing"),
                  "`journalctl -u kubelet` and `crictl ps -a` may say more; mend it, then run the same command again")  # fmt: skip


def decoding_errors(output: str) -> str:
    """What `kubeadm config validate` has against a file, in its own words."""
    found = re.findall(r"(?:strict decoding error: |unknown field |cannot unmarshal |: invalid |error: ).*", output)
    return _cut("; ".join(dict.fromkeys(found)) or _said(output).cause)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with each of the secrets hidden."""
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text


def _without_time(text: str) -> str:
    return "\n".join(_LOG_LINE.sub("", line) for line in text.splitlines())


def _cut(text: str) -> str:
    """Beginning and end: Go wraps errors, so the innermost one, the reason, comes last."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {text[-half:]}"
