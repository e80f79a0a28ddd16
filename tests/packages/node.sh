#!/bin/sh
# Makes this mount and PID namespace a bare Debian over TREE, the repository REPO at /srv/k8s, and runs a command in it.
# Usage: unshare -m -p -f --kill-child node.sh TREE REPO CHECKOUT SITE COMMAND...
set -eu
tree=$1 repo=$2 checkout=$3 site=$4
shift 4
mount --make-rprivate /
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mkdir -p "$root/srv/k8s" "$root/caasctl" "$root/site"
mount --bind "$repo" "$root/srv/k8s"
mount --bind "$checkout" "$root/caasctl"
mount --bind "$site" "$root/site"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || true
export PYTHONPATH=/caasctl/src:/caasctl:/site PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
cd "$root"
exec chroot "$root" "$@"
