"""Why kubeadm failed: the root cause in what it, the kubelet and the static pods print, on real texts."""

from __future__ import annotations

import pytest

from caasctl.syntax import kubeadm

TRACE = "To see the stack trace of this error execute with --v=5 or higher\n"
SKEW = (
    "[init] Using Kubernetes version: v1.32.0\n[preflight] Running pre-flight checks\n"
    "        [WARNING SystemVerification]: cgroups v1 support is in maintenance mode, please migrate to cgroups v2\n"
    "error execution phase preflight: [preflight] Some fatal errors occurred:\n"
    "        [ERROR KubeletVersion]: the kubelet version is higher than the control plane version. This is not a supported "
    'version skew and may lead to a malfunctional cluster. Kubelet version: "1.33.3" Control plane version: "1.32.0"\n'
    "[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\n"
    + TRACE
)
NO_CRI = (
    "[preflight] This might take a minute or two, depending on the speed of your internet connection\n"
    "error execution phase preflight: [preflight] Some fatal errors occurred:\n"
    "failed to create new CRI runtime service: validate service connection: validate CRI v1 runtime API for endpoint "
    '"unix:///var/run/containerd/containerd.sock": rpc error: code = Unimplemented desc = unknown service '
    "runtime.v1.RuntimeService[preflight] If you know what you are doing\n" + TRACE
)
STRICT = (
    "W0730 19:01:56.158889 2266197 initconfiguration.go:333] error unmarshaling configuration "
    'schema.GroupVersionKind{Group:"kubeadm.k8s.io", Version:"v1beta3", Kind:"ClusterConfiguration"}: strict decoding error: '
    'unknown field "localAPIEndpoint"\n'
)
WAITED = (
    "[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s\n"
    "[kubelet-check] The kubelet is not healthy after 4m0.001s\n\nUnfortunately, an error has occurred, likely caused by:\n"
    "\t- The kubelet is not running\n"
    "error execution phase wait-control-plane: failed while waiting for the kubelet to start: The HTTP call equal to "
    "'curl -sSL http://127.0.0.1:10248/healthz' returned error: connect: connection refused\n" + TRACE
)
NODE_STATUS = (
    'E0730 21:01:10.126250   11574 kubelet_node_status.go:548] "Error updating node status, will retry" err="error getting '
    'node \\"n\\": Get \\"https://10.254.192.244:6443/api/v1/nodes/n?timeout=10s\\": dial tcp 10.254.192.244:6443: connect: '
    'connection refused"\n'
)
NO_CNI = (
    'E0730 21:44:40.048656   69503 kubelet.go:3117] "Container runtime network not ready" networkReady="NetworkReady=false '
    'reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"\n'
)
EXITED = (
    "CONTAINER           IMAGE               CREATED             STATE               NAME                ATTEMPT\n"
    "fd00ab5bd2e19       a92b4b92a9916       2 minutes ago        Exited              kube-apiserver            19    "
    "175c92b5831d6       kube-apiserver-n            kube-system\n"
)
JOURNALS = {
    "swap": (
        ('E0811 12:00:00.000000    1234 run.go:72] "command failed" err="failed to run Kubelet: running with swap on is not '
        'supported, please disable swap or set --fail-swap-on flag to false. /proc/swaps contained: [Filename Type]"\n'),
        "does not start while swap is on", "swapoff -a",
    ),
    "cgroup driver": (
        ('E0811 err="failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create '
        'failed: expected cgroupsPath to be of format \\"slice:prefix:name\\" for systemd cgroups, got \\"/kubepods/x\\" '
        'instead: unknown"\n'),
        "different cgroup drivers", "SystemdCgroup = true",
    ),
    "cgroup v1": (
        ('E0811 12:00:00.000000    1234 run.go:72] "command failed" err="failed to run Kubelet: kubelet is configured to not '
        'run on a host using cgroup v1"\n'),
        "does not run on cgroup v1", "boot with cgroup v2",
    ),
    "sandbox image": (
        ('E0811 12:00:00.000000    1234 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"CreatePodSandbox\\" '
        'for \\"etcd-n_kube-system(1)\\" with CreatePodSandboxError: \\"Failed to create sandbox for pod: rpc error: code = '
        'DeadlineExceeded desc = failed to get sandbox image \\\\\\"registry.k8s.io/pause:3.8\\\\\\": failed to pull image\\""\n'),
        "cannot pull its sandbox image registry.k8s.io/pause:3.8", "make registry.k8s.io/pause:3.8 reachable",
    ),
    "kernel settings": (
        'E0811 err="failed to run Kubelet: invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0"\n',
        "invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0", "init-node --phase host",
    ),
    "a removed flag": (
        ('E0811 12:00:00.000000    1234 run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: '
        '--pod-infra-container-image"\n'),
        "--pod-infra-container-image, which this version does not know", "take --pod-infra-container-image out",
    ),
    "the port is taken": (
        ('E0811 12:00:00.000000 1 server.go:185] "Failed to listen and serve" err="listen tcp 0.0.0.0:10250: bind: address '
        'already in use"\n'),
        "another program listens on 0.0.0.0:10250", "ss -lntp",
    ),
    "an unknown field": (
        ('E0811 12:00:00.0 1 run.go:72] "command failed" err="failed to load kubelet config file, path: '
        '/var/lib/kubelet/config.yaml, error: failed to decode: strict decoding error: unknown field"\n'),
        "the configuration is not understood", "spec.kubernetes.kubelet",
    ),
    "an unknown gate": ('E0811 err="unrecognized feature gate: NoSuchGate"\n', "NoSuchGate", "take NoSuchGate out"),
}  # fmt: skip


def test_preflight_errors_are_the_reason_with_their_names() -> None:
    found = kubeadm.failed(SKEW, NODE_STATUS)
    assert found.cause.startswith("the kubelet version is higher than the control plane version.")
    assert found.cause.endswith('Control plane version: "1.32.0" (KubeletVersion)')
    assert "maintenance mode" not in found.cause
    assert found.fix.startswith("install kubelet, kubeadm and kubectl of one minor version")


def test_several_preflight_errors_are_all_said() -> None:
    text = "\t[ERROR Port-6443]: Port 6443 is in use\n\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n"
    found = kubeadm.failed(f"error execution phase preflight:\n{text}[preflight] If you know\n")
    assert (
        found.cause
        == "Port 6443 is in use (Port-6443); the number of available CPUs 1 is less than the required 2 (NumCPU)"
    )


def test_a_containerd_without_cri_is_named() -> None:
    found = kubeadm.failed(NO_CRI)
    assert "containerd runs without its CRI plugin" in found.cause
    assert "--phase containerd" in found.fix


@pytest.mark.parametrize("name", JOURNALS)
def test_the_kubelets_reason_goes_before_kubeadms_waiting(name: str) -> None:
    journal, cause, fix = JOURNALS[name]
    found = kubeadm.failed(WAITED, NODE_STATUS + journal + NODE_STATUS, {"kube-apiserver": ""}, EXITED)
    assert cause in found.cause
    assert fix in found.fix
    assert "timed out" not in found.cause
    assert "healthz" not in found.cause


def test_what_an_etcd_says_last_is_the_reason_and_consequences_are_not() -> None:
    log = (
        '2026-08-11T12:00:00.1Z stderr F {"level":"info","msg":"starting etcd"}\n'
        '2026-08-11T12:00:00.2Z stderr F {"level":"fatal","msg":"discovery failed","error":"cannot access data directory: '
        'permission denied"}\n'
    )
    server = "2026-08-11T12:00:01Z stderr F E0811 12:00:01.0       1 run.go:72] err: context deadline exceeded\n"
    found = kubeadm.failed(WAITED, NODE_STATUS + NO_CNI, {"etcd": log, "kube-apiserver": server})
    assert found.cause == "etcd: discovery failed: cannot access data directory: permission denied"
    assert "crictl ps -a --name etcd" in found.fix


def test_an_etcd_on_an_address_that_the_host_has_not_is_named() -> None:
    log = '2026-08-11T12:00:00Z stderr F {"level":"fatal","error":"listen tcp 10.0.0.9:2380: bind: cannot assign requested address"}\n'
    assert kubeadm.failed(WAITED, "", {"etcd": log}).cause == "etcd: 10.0.0.9:2380 is no address of this host"


def test_without_any_reason_the_component_that_ended_is_named() -> None:
    found = kubeadm.failed(WAITED, NODE_STATUS, {}, EXITED)
    assert found.cause == "kube-apiserver ended and was not seen to say why"
    assert "crictl logs" in found.fix


def test_with_nothing_else_kubeadms_own_last_error_is_said() -> None:
    assert "waiting for the kubelet to start" in kubeadm.failed(WAITED).cause
    assert kubeadm.failed("").cause == "it printed nothing"


def test_the_kubelet_that_waited_for_its_configuration_is_no_reason() -> None:
    waiting = (
        'E0730 1 run.go:72] "command failed" err="failed to load kubelet config file, path: /var/lib/kubelet/config.yaml, '
        'error: open /var/lib/kubelet/config.yaml: no such file or directory"\n'
    )
    assert "waiting for the kubelet" in kubeadm.failed(WAITED, waiting).cause


def test_decoding_errors_are_said_in_kubeadms_words() -> None:
    assert kubeadm.decoding_errors(STRICT) == 'strict decoding error: unknown field "localAPIEndpoint"'
    assert kubeadm.decoding_errors("") == "it printed nothing"


def test_secrets_are_taken_out_of_a_text() -> None:
    assert kubeadm.without("token abc.def is bad", ("abc.def", "")) == "token *** is bad"


@pytest.mark.parametrize(
    ("entry", "ours"),
    [('{"resource": "kubeadm:init", "first": [["kubeadm", "reset"]]}', True), ('{"resource": "kubeadm:init", "first": []}', False),
     ('{"resource": "kubeadm:join", "first": [["kubeadm", "reset"]]}', True), ('{"resource": "containerd"}', False),
     ("{", False), ("", False), ("[]", False)],
)  # fmt: skip
def test_only_an_entry_that_would_reset_has_begun_a_cluster(entry: str, ours: bool) -> None:  # noqa: FBT001 - a case
    assert kubeadm.began(entry) is ours
