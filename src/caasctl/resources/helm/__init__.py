"""HelmRelease: Cilium by Helm, watched until it is up, taken back where the host's own network is lost."""
