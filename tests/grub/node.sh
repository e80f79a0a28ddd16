#!/bin/sh
# Makes this mount namespace a host with Debian's real GRUB tools and a /boot of its own, then runs a command in it.
# Usage: unshare -m node.sh TREE COMMAND...
set -eu
tree=$1
shift
mount --make-rprivate /
work=$(mktemp -d) boot=$(mktemp -d) # grub-probe knows no tmpfs: /boot is a folder of the root file system
trap 'umount /boot; rm -rf "$boot"; umount -l "$work"; rmdir "$work"' EXIT
mount -t tmpfs tmpfs "$work"
mkdir "$work/etc" "$work/etc.work" "$work/lib" "$work/lib.work"
mount -t overlay overlay -o "lowerdir=$tree/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$tree/etc:/etc,upperdir=$work/etc,workdir=$work/etc.work" /etc
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$work/lib,workdir=$work/lib.work" /var/lib
rm -rf /var/lib/caasctl
mount --bind "$boot" /boot
mount -t tmpfs tmpfs /run
rm -rf /etc/default/grub /etc/default/grub.d
mkdir -p /boot/grub
for version in 6.1.0-40-amd64 6.1.0-41-amd64; do
  echo kernel >"/boot/vmlinuz-$version"
  echo initrd >"/boot/initrd.img-$version"
done
if ! grub-probe --target=device / >/dev/null; then exit 77; fi
"$@"
