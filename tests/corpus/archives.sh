# Archives and compressors.
needs gzip xz bzip2 zstd tar zip cpio jar dpkg-deb shar python3

plant gzip-name gzip-header primary f.gz <<'END'
seq 99 > $tmp/$other
touch -d @1 $tmp/$other
gzip -c $tmp/$other > f.gz
END
plant gzip-time gzip-header primary f.gz <<'END'
seq 99 > $tmp/f
touch -d @$epoch $tmp/f
gzip -c $tmp/f > f.gz
END
plant gzip-level compression-form+gzip-header primary f.gz <<'END'
seq 20000 | gzip -n $(pick -1 -9) > f.gz
END
plant python-gzip gzip-header primary f.gz <<'END'
python3 -c 'import gzip; gzip.open("f.gz", "wb").write(b"text\n" * 99)'
END
plant xz-form compression-form primary f.xz <<'END'
seq 20000 | xz $(pick -0 -9) > f.xz
END
plant bzip2-form compression-form primary f.bz2 <<'END'
seq 200000 | bzip2 $(pick -1 -9) > f.bz2
END
plant zstd-form compression-form primary f.zst <<'END'
seq 20000 | zstd $(pick -1 -15) > f.zst
END
plant tar-time archive-time primary f.tar <<'END'
echo x > $tmp/x
touch -d @$epoch $tmp/x
tar -cf f.tar -C $tmp x
END
plant tar-owner archive-owner primary f.tar <<'END'
echo x > $tmp/x
tar -cf f.tar --mtime=@1 --owner=$other:$(pick 1000 1001) -C $tmp x
END
plant tar-mode archive-owner primary f.tar <<'END'
echo x > $tmp/x
chmod $(pick 644 664) $tmp/x
tar -cf f.tar --mtime=@1 -C $tmp x
END
plant tar-order archive-order primary f.tar <<'END'
echo x > $tmp/x
echo y > $tmp/y
tar -cf f.tar --mtime=@1 -C $tmp $(pick 'x y' 'y x')
END
plant tar-gz-time archive-time primary f.tgz <<'END'
echo x > $tmp/x
touch -d @$epoch $tmp/x
tar -c -C $tmp x | gzip -n > f.tgz
END
plant tar-format tar-format primary f.tar <<'END'
echo x > $tmp/x
tar -cf f.tar --mtime=@1 --format=$(pick ustar gnu) -C $tmp x
END
plant tar-pax pax-header primary f.tar <<'END'
echo x > $tmp/x
touch -m -d @1.5 $tmp/x
touch -a -d @$epoch.25 $tmp/x
tar -cf f.tar --format=pax --pax-option=delete=ctime -C $tmp x
END
plant zip-time archive-time primary f.zip <<'END'
echo x > $tmp/x
touch -d @$epoch $tmp/x
zip -qXj f.zip $tmp/x
END
plant zip-order archive-order primary f.zip <<'END'
echo x > $tmp/x
echo y > $tmp/y
touch -d @1700000000 $tmp/x $tmp/y
zip -qXj f.zip $(pick "$tmp/x $tmp/y" "$tmp/y $tmp/x")
END
plant zip-mode archive-owner primary f.zip <<'END'
echo x > $tmp/x
chmod $(pick 600 644) $tmp/x
touch -d @1700000000 $tmp/x
zip -qXj f.zip $tmp/x
END
plant zip-extra archive-extra primary f.zip <<'END'
echo x > $tmp/x
touch -m -d @1700000000 $tmp/x
touch -a -d @$epoch $tmp/x
zip -qj f.zip $tmp/x
END
plant python-zip archive-time primary f.zip <<'END'
python3 -c 'import zipfile; zipfile.ZipFile("f.zip", "w").writestr("x", "text")'
END
plant jar-time archive-time primary f.jar <<'END'
unset LD_PRELOAD
echo x > $tmp/x
touch -d @$epoch $tmp/x
jar cf f.jar -C $tmp x
END
plant jar-manifest manifest-date primary f.jar <<'END'
printf 'Build-Time: %s\nBuilt-By: %s\n' "$(date)" $other > $tmp/m
unset LD_PRELOAD
mkdir $tmp/jar
jar --create --file=f.jar --manifest=$tmp/m --date=2024-01-01T00:00:00Z -C $tmp/jar .
END
plant cpio-time archive-time primary f.cpio <<'END'
cd $tmp
echo x > x
touch -d @$epoch x
echo x | cpio -o -H newc --reproducible > $OLDPWD/f.cpio
END
plant cpio-inode archive-extra primary f.cpio <<'END'
cd $tmp
[ $side = a ] || echo y > y
echo x > x
touch -d @1 x
echo x | cpio -o -H newc > $OLDPWD/f.cpio
END
plant deb-time archive-time primary p.deb <<'END'
mkdir -p $tmp/p/DEBIAN
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n' > $tmp/p/DEBIAN/control
echo x > $tmp/p/x
dpkg-deb --root-owner-group -b $tmp/p p.deb
END
plant shar embedded-timestamp+embedded-process-id+unknown primary f.shar <<'END'
cd $tmp
echo x > x
touch -d @1700000000 x
shar x > $OLDPWD/f.shar
END
plant wheel archive-time primary p-1-py3-none-any.whl <<'END'
mkdir $tmp/p
cd $tmp
printf 'from setuptools import setup\nsetup(name="p", version="1", packages=["p"])\n' > setup.py
touch p/__init__.py
touch -d @$epoch p/__init__.py setup.py
/usr/bin/python3 setup.py -q bdist_wheel -d $OLDPWD
END
