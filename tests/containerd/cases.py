"""Configurations as they are met on hosts, by name: path -> text. `default` is filled from the containerd itself."""

from __future__ import annotations

import subprocess

from caasctl.facts.kata import KataTree
from caasctl.needs.containerd import handler
from caasctl.syntax.containerd.merge import MergeMain
from caasctl.syntax.containerd.wanted import Wanted

MAIN = "/etc/containerd/config.toml"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
DOCKER = """\
#   Copyright 2018-2022 Docker Inc.

#   Licensed under the Apache License, Version 2.0 (the "License");

disabled_plugins = ["cri"]

#root = "/var/lib/containerd"
#[grpc]
#  address = "/run/containerd/containerd.sock"
"""
VERSION_ONLY = "version = 2\n"
PAUSE_ONLY = f"""\
version = 2
[{CRI}]
  sandbox_image = "registry.k8s.io/pause:3.9"
"""
USER = f"""\
# our own node image, do not edit by hand
version = 2
oom_score = -999 # never the first to go

[{CRI}]
  # streaming from everywhere
  stream_idle_timeout = "2h0m0s"
  [{CRI}.registry]
    config_path = "/etc/containerd/certs.d" # hosts.toml
  [{CRI}.containerd.runtimes.runsc] # sandboxed
    runtime_type = "io.containerd.runsc.v1"
    [{CRI}.containerd.runtimes.runsc.options]
      TypeUrl = "io.containerd.runsc.v1.options"

[proxy_plugins.stargz]
  type = "snapshot"
  address = "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock"
"""
VERSION_1 = """\
# from an old node
oom_score = -999
disabled_plugins = ["restart"]

[plugins.cri] # the CRI
  stream_idle_timeout = "2h0m0s"
  [plugins.cri.containerd.runtimes.runsc]
    runtime_type = "io.containerd.runsc.v1"
[plugins.opt]
  path = "/opt/containerd"
"""
WITHOUT_VERSION = f"""\
# 2025-08-01T21:20:07+00:00: Added by kata-manager.sh
[plugins]
  [{CRI}]
    [{CRI}.containerd]
      default_runtime_name = "kata"
      [{CRI}.containerd.runtimes]
        [{CRI}.containerd.runtimes.kata]
          runtime_type = "io.containerd.kata.v2"
"""
IMPORTS = {
    MAIN: 'version = 2\nimports = ["/etc/containerd/more/*.toml"]\n' + USER.partition("version = 2\n")[2],
    "/etc/containerd/more/10-debug.toml": 'version = 2\n[debug]\n  level = "warn"\n',
}
REPLACING = {
    MAIN: IMPORTS[MAIN],
    "/etc/containerd/more/50-kata.toml": f'version = 2\n[{CRI}.containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n',
}
NVIDIA = {
    MAIN: 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
    "/etc/containerd/conf.d/99-nvidia.toml": """\
version = 3
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "nvidia"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia.options]
      BinaryName = "/usr/bin/nvidia-container-runtime"
      SystemdCgroup = true
""",
}
# The CRI is off, so nobody notices that it could not start: the dump does not look at base_runtime_spec.
CRI_FAILS = {
    MAIN: f'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[{CRI}.containerd.runtimes.mine]\n'
    'runtime_type = "io.containerd.runc.v2"\nbase_runtime_spec = "/etc/containerd/gone.json"\n'
}
DANGLING = {MAIN: 'imports = ["/etc/containerd/gone.toml"]\n' + USER}
BROKEN = {MAIN: USER + "[plugins\n"}


def files(name: str) -> dict[str, str]:
    single = {
        "docker": DOCKER,
        "version-only": VERSION_ONLY,
        "pause-only": PAUSE_ONLY,
        "user": USER,
        "version-1": VERSION_1,
        "without-version": WITHOUT_VERSION,
    }
    several = {"none": {}, "imports": IMPORTS, "replacing": REPLACING, "dangling": DANGLING, "broken": BROKEN,
               "cri-fails": CRI_FAILS, "nvidia": NVIDIA}  # fmt: skip
    if name == "from-1x":  # what caasctl made of Docker's file before containerd was upgraded, CDI off by hand since
        tree = KataTree("/opt/kata", "", "", "", ())
        old = Wanted("old/pause:1", "runc", (handler("kata-qemu", tree), handler("kata-clh", tree)))
        return {MAIN: MergeMain((1, 7, 24), old)(DOCKER).replace("enable_cdi = true", "enable_cdi = false")}
    if name == "default":
        said = subprocess.run(("containerd", "config", "default"), capture_output=True, text=True, check=True)
        return {MAIN: said.stdout}
    return several[name] if name in several else {MAIN: single[name]}
