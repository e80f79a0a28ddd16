"""Profiles: strict, every wrong key named by its path, shipped ones complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl import formats, profile_load
from caasctl.model import CaasError, ProfileError, UsageError
from caasctl.profile_packages import PackagesSpec, RegistrySpec

HEAD = "apiVersion: caasctl.io/v1alpha1\nkind: NodeProfile\nmetadata: {name: mine}\nextends: single-node\n"


def _load(tmp_path: Path, text: str, *settings: str) -> object:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return profile_load.load(str(path), settings)


@pytest.mark.parametrize("name", profile_load.shipped_names())
def test_every_shipped_profile_loads_and_carries_its_file_name(name: str) -> None:
    assert profile_load.load(name).metadata.name == name


def test_the_default_profile_shows_every_key_there_is() -> None:
    shown = profile_load.complete("single-node")["spec"]
    assert set(shown) == {
        "role",
        "packages",
        "proxy",
        "kubernetes",
        "network",
        "boot",
        "containerd",
        "runtimes",
        "kata",
        "gpu",
        "cilium",
        "smoke",
        "waivers",
    }


def test_addresses_and_ids_are_taken_as_lspci_writes_them() -> None:
    spec = (
        'gpu.exclude=["65:00.0", "0000:65:00.1", "10000:0A:00.0"]',
        'gpu.select=[{"vendor": "10DE", "class": "030200"}]',
    )
    assert len(profile_load.load("single-node", spec).spec.gpu.exclude) == 3


def test_gpus_go_to_guests_by_themselves_only_where_there_are_guests() -> None:
    """With runc alone their containers may use a GPU by the host's driver, which is not to be taken away unasked."""
    assert profile_load.load("single-node").spec.gpu.passthrough == "auto"
    assert profile_load.load("single-node", ("runtimes=[runc]",)).spec.gpu.passthrough == "off"
    assert profile_load.load("gpu-single-node", ("runtimes=[runc]",)).spec.gpu.passthrough == "required"


def test_off_is_a_word_and_no_boolean(tmp_path: Path) -> None:
    profile = _load(tmp_path, HEAD + "spec: {boot: {iommu: off, passthroughMode: true}, gpu: {passthrough: off}}\n")
    assert profile.spec.boot.iommu == "off"  # type: ignore[attr-defined]
    assert profile.spec.gpu.passthrough == "off"  # type: ignore[attr-defined]
    assert profile_load.load("single-node", ["boot.iommu=off"]).spec.boot.iommu == "off"


def test_extends_merges_deeply_and_keeps_what_is_not_named(tmp_path: Path) -> None:
    profile = _load(tmp_path, HEAD + "spec: {network: {dnsDomain: corp.local}}\n")
    assert profile.spec.network.dnsDomain == "corp.local"  # type: ignore[attr-defined]
    assert profile.spec.network.nodeCIDRMaskSize == 24  # type: ignore[attr-defined]


def test_set_lays_over_with_and_without_spec_and_types_as_yaml_does() -> None:
    profile = profile_load.load("single-node", ["boot.hugepages.count=4", "spec.kubernetes.version=v1.35.1"])
    assert profile.spec.boot.hugepages.count == 4
    assert profile.spec.kubernetes.minor == (1, 35)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{rolle: worker}", "spec: unknown key rolle, did you mean role?"),
        ("{role: master}", "spec.role: 'master' is not one of single-node, control-plane, worker"),
        (
            "{gpu: {select: [{class: 03}]}}",
            "spec.gpu.select[0].class: expected text, got the number 3; put it in quotes, as it stands there",
        ),
        (
            "{gpu: {select: [{vendor: 0x10de}]}}",
            "spec.gpu.select[0].vendor: expected text, got the number 4318; put it in quotes",
        ),
        ("{kubernetes: {version: 1.36}}", "spec.kubernetes.version: expected text, got 1.36; put it in quotes"),
        ("{kubernetes: {version: v1.036.4}}", "spec.kubernetes.version: 'v1.036.4' is not of the form v1.36.4"),
        ("{kubernetes: {version: latest}}", "spec.kubernetes.version: 'latest' is not of the form v1.36.4"),
        (
            "{network: {nodeCIDRMaskSize: '24'}}",
            "spec.network.nodeCIDRMaskSize: expected a whole number, got the text '24'",
        ),
        ("{network: {nodeCIDRMaskSize: true}}", "spec.network.nodeCIDRMaskSize: expected a whole number, got true"),
        ("{network: {podCIDR: 10.244.0.1/33}}", "spec.network.podCIDR: '10.244.0.1/33' does not appear to be"),
        ("{network: {avoid: [10.244.0.1/16]}}", "spec.network.avoid[0]: 10.244.0.1/16 has host bits set"),
        ("{join: {}}", "spec: unknown key join"),
        ("{network: {avoid: [10.0.0.0/8, x]}}", "spec.network.avoid[1]: 'x' does not appear to be"),
        ("{network: {nodeIP: here}}", "spec.network.nodeIP: 'here' is no IP address"),
        ("{boot: }", "spec.boot: expected a mapping, got nothing"),
        ("{boot: {kernelArgs: ['a b']}}", "spec.boot.kernelArgs[0]: 'a b' holds what"),
        ("{boot: {kernelArgs: ['$(reboot)']}}", "spec.boot.kernelArgs[0]"),
        ("{boot: {hugepages: {count: -1}}}", "spec.boot.hugepages.count: -1 is below 0"),
        ("{boot: {hugepages: {size: 4K}}}", "spec.boot.hugepages.size: '4K' is not one of 2Mi, 1Gi"),
        ("{network: {nodeCIDRMaskSize: -5}}", "spec.network.nodeCIDRMaskSize: -5 is no prefix length"),
        (
            "{runtimes: [runc], containerd: {defaultRuntime: kata-clh}}",
            "spec.containerd.defaultRuntime: kata-clh is not among spec.runtimes: runc",
        ),
        ('{containerd: {sandboxImage: "a b"}}', "spec.containerd.sandboxImage: 'a b' is neither auto nor an image's"),
        ("{containerd: {sandboxImage: ''}}", "spec.containerd.sandboxImage: '' is neither auto nor an image's"),
        ("{kata: {prefix: opt/kata}}", "spec.kata.prefix: 'opt/kata' is no absolute path"),
        ("{kata: {prefix: /opt/../etc}}", "spec.kata.prefix: '/opt/../etc' is no absolute path"),
        ("{kata: {prefix: ''}}", "spec.kata.prefix: '' is no absolute path"),
        ("{runtimes: kata-qemu}", "spec.runtimes: expected a list, got the text 'kata-qemu'"),
        ("{runtimes: [kata-qemu]}", "spec.runtimes: runc is missing"),
        ("{runtimes: [runc, kata-qmu]}", "did you mean kata-qemu?"),
        (
            "{gpu: {resourceName: pgpu}}",
            "spec.gpu.resourceName: 'pgpu' is no kind of CDI such as nvidia.com/pgpu: invalid vendor.",
        ),
        ("{gpu: {resourceName: nvidia.com/1gpu}}", "should start with letter"),
        ("{gpu: {resourceName: Nvidia.com/pgpu}}", "spec.gpu.resourceName: 'Nvidia.com/pgpu' is no extended resource"),
        (
            "{gpu: {resourceName: kubernetes.io/pgpu}}",
            "spec.gpu.resourceName: 'kubernetes.io/pgpu' is no extended resource",
        ),
        ("{gpu: {select: [{vendro: '10de'}]}}", "spec.gpu.select[0]: unknown key vendro, did you mean vendor?"),
        (
            "{boot: {iommu: off}, gpu: {passthrough: required}}",
            "spec.boot.iommu: off, but spec.gpu.passthrough: required",
        ),
        ("{gpu: {exclude: [garbage]}}", "spec.gpu.exclude[0]: 'garbage' is no address of one PCI function"),
        ("{gpu: {exclude: ['0000:65:00']}}", "spec.gpu.exclude[0]: '0000:65:00' is no address of one PCI function"),
        ("{gpu: {select: [{address: '*'}]}}", "spec.gpu.select[0].address: '*' is no address of one PCI function"),
        ("{gpu: {select: [{vendor: nvidia}]}}", "spec.gpu.select[0].vendor: 'nvidia' is not 4 hex digits"),
        ("{gpu: {select: [{vendor: '0x10de'}]}}", "is not 4 hex digits without 0x"),
        ("{gpu: {select: [{vendor: '10de', device: '233'}]}}", "spec.gpu.select[0].device: '233' is not 4 hex digits"),
        ("{gpu: {select: [{class: VGA}]}}", "spec.gpu.select[0].class: 'VGA' is not 2 or 4 or 6 hex digits"),
        ("{gpu: {select: [{}]}}", "spec.gpu.select[0]: names nothing, and would take every PCI function"),
        ("{gpu: {select: [{vendor: ''}]}}", "spec.gpu.select[0]: names nothing"),
        ("{cilium: {mtu: big}}", "spec.cilium.mtu: expected a whole number above 0 or auto"),
        ("{waivers: [{check: os.swap}]}", "spec.waivers[0]"),
        ("{waivers: [{check: os.swap, reason: r, owner: o, expires: '2027-13-01'}]}", "spec.waivers[0].expires"),
        ("{waivers: [{check: os.swap, reason: '', owner: o, expires: '2027-01-01'}]}", "needs a reason and an owner"),
    ],
)
def test_what_is_wrong_is_named_by_its_key_path(tmp_path: Path, spec: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _load(tmp_path, f"{HEAD}spec: {spec}\n")
    assert said in caught.value.problem
    assert caught.value.fix


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        _load(tmp_path, HEAD + "spec: {rolle: x, network: {nodeCIDRMaskSize: x}, boot: {iommu: maybe}}\n")
    assert len(caught.value.problem.splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML at line"),
        ("just text", "holds the text 'just text', not a mapping"),
        ("", "holds nothing, not a mapping"),
        ("- 1", "holds a list"),
        (HEAD.replace("single-node", "no-such"), "'no-such' is no shipped profile"),
        (HEAD + "spec: {role: worker}\nspec: {role: worker}\n", "key 'spec' is given twice"),
        ("kind: NodeProfile\n", "key apiVersion is missing"),
        ("a: !!python/object/apply:os.system [reboot]\n", "not valid YAML"),
        ("? [a]\n: b\n", "is invalid|not valid YAML"),
        ("when: 2027-13-45\n", "not valid YAML: month must be in 1..12"),
        (f"count: {'9' * 5000}\n", "not valid YAML: Exceeds the limit"),
        ("[" * 20_000, "is nested too deeply"),
    ],
)
def test_what_is_no_profile_at_all_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CaasError, match=said) as caught:
        _load(tmp_path, text)
    assert caught.value.exit_code in (2, 3)


def test_a_value_that_aliases_blow_up_is_not_repeated_whole(tmp_path: Path) -> None:
    text, last = HEAD + "spec:\n  boot: {kernelArgs: &a [x, x, x, x, x, x, x, x, x, x]}\n", "a"
    for name in "bcdef":
        text, last = text + f"  {name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n", name
    with pytest.raises(ProfileError) as caught:
        _load(tmp_path, text + "  runtimes: *f\n")
    assert "spec.runtimes[0]: [[" in caught.value.problem
    assert len(caught.value.problem) < 10_000


def test_a_profile_error_is_a_usage_error_with_exit_code_2(tmp_path: Path) -> None:
    for text in ("a: [", "1", HEAD + "spec: {x: 1}\n"):
        with pytest.raises(CaasError) as caught:
            _load(tmp_path, text)
        assert caught.value.exit_code == 2


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        profile_load.load("single-nod")
    assert "did you mean single-node?" in caught.value.fix


@pytest.mark.parametrize("setting", ["x", "=1", "a..b=1"])
def test_a_setting_that_is_none_is_said(setting: str) -> None:
    with pytest.raises(UsageError, match="not KEY=VALUE"):
        profile_load.load("single-node", [setting])


@pytest.mark.parametrize("setting", ["runtimes=[runc", "metadata.name={", "network.avoid=2027-13-45"])
def test_a_setting_whose_value_is_no_yaml_is_a_usage_error(setting: str) -> None:
    with pytest.raises(UsageError, match=r"the value of --set .* is not valid YAML") as caught:
        profile_load.load("single-node", [setting])
    assert caught.value.exit_code == 2


def test_the_complete_profile_is_yaml_that_loads_again(tmp_path: Path) -> None:
    text = formats.dump_yaml(profile_load.complete("gpu-worker"))
    assert _load(tmp_path, text) == profile_load.load("gpu-worker")


@pytest.mark.parametrize("domain", ["''", "a..b", "-a", "Cluster.Local", "cluster.local.", "corp_x"])
def test_a_domain_that_kubeadm_refuses_is_refused(domain: str) -> None:
    with pytest.raises(ProfileError, match=r"spec\.network\.dnsDomain"):
        profile_load.load("single-node", [f"network.dnsDomain={domain}"])


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://api",
        "api:99999",
        "'api:'",
        "API.example:6443",
        "api_1:6443",
        "'[fd00::1]'",
        "'[api]:6443'",
        "'api:6443:1'",
    ],
)
def test_an_endpoint_that_kubeadm_refuses_is_refused(endpoint: str) -> None:
    with pytest.raises(ProfileError, match=r"spec\.kubernetes\.controlPlaneEndpoint"):
        profile_load.load("single-node", [f"kubernetes.controlPlaneEndpoint={endpoint}"])


@pytest.mark.parametrize(
    "endpoint", ["api.example", "api.example:6443", "192.0.2.1:443", "'[fd00::1]:6443'", "'fd00::1'"]
)
def test_every_form_of_an_endpoint_that_kubeadm_takes_is_taken(endpoint: str) -> None:
    profile = profile_load.load("single-node", [f"kubernetes.controlPlaneEndpoint={endpoint}"])
    assert profile.spec.kubernetes.controlPlaneEndpoint == endpoint.strip("'")


SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["kata.source=/srv/k.tar.zst"], ("spec.kata.sha256: missing", "digest", "api.github.com")),
        (["kata.source=/srv/k.tar.zst", "kata.sha256=sha256:abc"], ("spec.kata.sha256", "64 hex digits")),
        (["kata.source=k.tar.zst", f"kata.sha256={SHA}"], ("neither an absolute path nor an https://",)),
        (["kata.source=http://m/k.tar.zst", f"kata.sha256={SHA}"], ("neither an absolute path nor an https://",)),
        (["kata.source=https://me:secret@m/k.tar.zst", f"kata.sha256={SHA}"], ("an address with a user in it",)),
        (["kata.source=/k.tar.zst", f"kata.sha256={SHA}", "kata.prefix=/srv/kata"], ("is built for /opt/kata",)),
        (["kata.annotations=['.*']"], ("spec.kata.annotations[0]", "pattern")),
    ],
)
def test_a_tarball_of_kata_is_named_with_its_hash_or_not_at_all(settings: list[str], words: tuple[str, ...]) -> None:
    with pytest.raises(ProfileError) as refused:
        profile_load.load(settings=settings)
    assert all(word in refused.value.problem for word in words), refused.value.problem
    assert "secret" not in refused.value.problem
    assert (
        profile_load.load(settings=["kata.source=https://m/k.tar.zst", f"kata.sha256={SHA.upper()}"]).spec.kata.source
        == "https://m/k.tar.zst"
    )


SOURCES = (
    (["packages.install=no"], ("spec.packages.install: ", "is not one of auto, off")),
    (["packages.containerd.from=snap"], ("spec.packages.containerd.from: 'snap' is not one of distribution, docker, tarball",)),
    (["packages.containerd.frm=docker"], ("spec.packages.containerd: unknown key frm, did you mean from?",)),
    (["packages.kubernetes.fingerprint=DEADBEEF"], ("spec.packages.kubernetes.fingerprint: 'DEADBEEF'", "40 hex digits")),
    (["packages.kubernetes.fingerprint=1111222233334444555566667777888899990000"], ("spec.packages.kubernetes.fingerprint", "in quotes")),
    (["packages.kubernetes.uri=pkgs.k8s.io"], ("spec.packages.kubernetes.uri: 'pkgs.k8s.io' is no https:// or http:// address",)),
    (["packages.kubernetes.uri=file://srv/x"], ("spec.packages.kubernetes.uri",)),
    (["packages.kubernetes.uri=https://me:pw@m/"], ("spec.packages.kubernetes.uri: an address with a user in it", "auth.conf.d")),
    (["packages.kubernetes.uri='https://m/a b'"], ("spec.packages.kubernetes.uri",)),
    (["packages.kubernetes.uri=http://m/k"], ("spec.packages.kubernetes.key: missing with a uri of http://",)),
    (["packages.containerd.docker.key=http://m/gpg"], ("spec.packages.containerd.docker.key: 'http://m/gpg'",)),
    (["packages.containerd.version=latest"], ("spec.packages.containerd.version: 'latest' is no version such as 2.2.1",)),
    (["packages.containerd.from=tarball"], ("spec.packages.containerd.tarball.source: missing with `from: tarball`",)),
    (["packages.containerd.runc.source=/runc", f"packages.containerd.runc.sha256={SHA}"], ("it is for `from: tarball` only",)),
    (["packages.helm.source=/helm.tgz"], ("spec.packages.helm.sha256: missing; ", "github.com/helm/helm/releases")),
    (["packages.helm.source=helm.tgz", f"packages.helm.sha256={SHA}"], ("spec.packages.helm.source: 'helm.tgz' is neither",)),
    (["packages.helm.source=/helm.tgz", "packages.helm.sha256=abc"], ("spec.packages.helm.sha256: 'abc' is no SHA-256",)),
    (["proxy.https=http://me@proxy:3128"], ("spec.proxy.https: a proxy with a user needs a password too",)),
    (["proxy.https=http://me:a%20b@proxy:3128"], ("spec.proxy.https: a proxy with a user needs",)),
    (["proxy.http=proxy:3128"], ("spec.proxy.http: 'proxy:3128' is not of the form http://HOST:PORT",)),
    (["proxy.https=http://me:secret@proxy:3128/path"], ("spec.proxy.https: the value (hidden) is not of the form",)),
    (["proxy.https=http://proxy:99999"], ("spec.proxy.https",)),
    (["proxy.noProxy=['a,b']"], ("spec.proxy.noProxy[0]: 'a,b' is no host",)),
    (["containerd.registries={docker.io: [https://m]}"], ("spec.containerd.registries.docker.io: expected a mapping, got a list",)),
    (["containerd.registries={docker.io: {mirror: []}}"], ("spec.containerd.registries", "unknown key mirror, did you mean mirrors?")),
    (["containerd.registries={https://docker.io: {mirrors: [https://m]}}"], ("spec.containerd.registries: 'https://docker.io' is no registry",)),
    (["containerd.registries={docker.io: {mirrors: [m]}}"], ("spec.containerd.registries.docker.io.mirrors[0]: 'm' is no https:// address",)),
    (["containerd.registries={docker.io: {}}"], ("spec.containerd.registries.docker.io: neither mirrors nor ca",)),
    (["containerd.registries={docker.io: {ca: ca.crt}}"], ("spec.containerd.registries.docker.io.ca: 'ca.crt' is no absolute path",)),
)  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), SOURCES, ids=[" ".join(s) for s, _ in SOURCES])
def test_where_things_come_from_is_judged(settings: list[str], said: tuple[str, ...]) -> None:
    with pytest.raises(ProfileError) as refused:
        profile_load.load(settings=settings)
    assert [part for part in said if part not in refused.value.problem] == []
    assert "pw" not in refused.value.problem


@pytest.mark.parametrize(
    "setting",
    [
        "proxy.http=me:hunter2@proxy:3128",
        "proxy.http=http://me:hun/ter2hunter2@proxy:3128",
        "proxy.https='http://me:hunter2 x@proxy:3128'",
        "proxy.https=http://me:hunter2%40proxy:x",
        "proxy.noProxy=['me:hunter2@proxy']",
        "proxy=http://me:hunter2@proxy:3128",
        "packages.kubernetes.uri=me:hunter2@mirror",
        "containerd.registries={docker.io: {mirrors: ['me:hunter2@m']}}",
    ],
)
def test_an_address_that_is_wrong_is_not_repeated_with_its_password(setting: str) -> None:
    with pytest.raises(ProfileError) as refused:
        profile_load.load(settings=[setting])
    assert "hunter2" not in refused.value.problem
    assert "the value (hidden)" in refused.value.problem


def test_where_things_come_from_is_read() -> None:
    spec = profile_load.load(
        settings=[
            f"packages.containerd={{from: tarball, version: 2.2.1, tarball: {{source: /c.tgz, sha256: {SHA}}}}}",
            "packages.kubernetes={uri: 'file:///srv/repo', key: /srv/key, fingerprint: 'abcd 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88'}",
            "containerd.registries={docker.io: {mirrors: ['https://m/v2/p'], overridePath: true}, 'r:5000': {ca: /etc/ca.crt}}",
            "proxy={http: 'http://proxy:3128', noProxy: [.example.org, 10.0.0.0/8, '::1']}",
        ]
    ).spec
    assert (spec.packages.containerd.from_, spec.packages.containerd.version) == ("tarball", "2.2.1")
    assert spec.packages.kubernetes.digits == "ABCD58229FC7DD38854AE2D88D81803C0EBFCD88"
    assert spec.containerd.registries["docker.io"] == RegistrySpec(("https://m/v2/p",), overridePath=True)
    assert spec.proxy.noProxy == (".example.org", "10.0.0.0/8", "::1")
    assert profile_load.load().spec.packages == PackagesSpec()
