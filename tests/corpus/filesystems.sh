# Images of file systems, and what a kernel starts with.
needs mksquashfs mke2fs mkfs.vfat genisoimage cpio gzip

plant squashfs filesystem-image primary f.squashfs <<'END'
echo x > $tmp/x
touch -d @1700000000 $tmp/x $tmp
mksquashfs $tmp f.squashfs -quiet -no-progress
END
plant ext4 filesystem-image primary f.img <<'END'
mke2fs -q -t ext4 -O '^has_journal' f.img 200k
END
plant vfat filesystem-image primary f.img <<'END'
mkfs.vfat -C f.img 64
END
plant iso filesystem-image primary f.iso <<'END'
echo x > $tmp/x
touch -d @1700000000 $tmp/x $tmp
genisoimage -quiet -o f.iso $tmp/x
END
plant initramfs initramfs-image primary boot/initrd.img-6.1.0-1-amd64 <<'END'
mkdir boot
to=$PWD/boot
cd $tmp
echo x > init
touch -d @$epoch init
echo init | cpio -o -H newc --reproducible | gzip -n > $to/initrd.img-6.1.0-1-amd64
END
