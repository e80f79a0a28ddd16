#!/bin/sh
# Makes a bootable raw disk: a partition, Debian's packages, what MATERIAL brings, GRUB. Nothing of it is mounted when it ends.
# Usage: unshare -m disk.sh DISK ROOT.tar MATERIAL
set -eu
disk=$1 packages=$2 material=$3
mount --make-rprivate /
root=$(mktemp -d) loop=
finish() {
  umount -R "$root" 2>/dev/null || true
  rmdir "$root"
  if [ -n "$loop" ]; then
    partx -d "$loop" 2>/dev/null || true
    losetup -d "$loop"
  fi
}
trap finish EXIT
rm -f "$disk"
truncate -s 8G "$disk"
echo '2048,,83,*' | sfdisk -q "$disk"
loop=$(losetup --find --show -P "$disk")
partx -a "$loop" 2>/dev/null || true # where -P did not make the partition's node
mkfs.ext4 -q -F -E lazy_itable_init=0 "${loop}p1"
mount "${loop}p1" "$root"
tar -C "$root" -xf "$packages" --exclude ./dev/\*
for place in dev proc sys; do mount --bind "/$place" "$root/$place"; done
mkdir "$root/mnt/material"
mount --bind "$material" "$root/mnt/material"
uuid=$(blkid -s UUID -o value "${loop}p1")
chroot "$root" sh /mnt/material/setup.sh "$uuid"
chroot "$root" grub-install --target=i386-pc "$loop"
chroot "$root" update-grub
sed -i "s|root=${loop}p1|root=UUID=$uuid|" "$root/boot/grub/grub.cfg" # as update-grub writes it on the booted node
umount "$root/mnt/material"
rmdir "$root/mnt/material"
