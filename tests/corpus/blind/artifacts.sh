# Held-out cases: written, with what is expected of them, before any detector saw them.
needs openssl gpg ssh-keygen gcc git rustc zip tar dpkg-deb

plant pkcs12 generated-key primary store.p12 <<'END'
openssl req -x509 -newkey rsa:2048 -nodes -keyout $tmp/k -out $tmp/c -subj /CN=x 2> /dev/null
openssl pkcs12 -export -inkey $tmp/k -in $tmp/c -passout pass:x -out store.p12
END
plant certificate-der generated-key primary cert.der <<'END'
openssl req -x509 -newkey rsa:2048 -nodes -keyout $tmp/k -subj /CN=x -outform DER -out cert.der 2> /dev/null
END
plant known-hosts random-content primary root/.ssh/known_hosts <<'END'
mkdir -p root/.ssh
ssh-keygen -q -t ed25519 -N '' -f $tmp/k
echo "host.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGh5cG90aGV0aWNhbGtleXRoYXRpc25vdG9uZWF0YWxs" > root/.ssh/known_hosts
ssh-keygen -H -f root/.ssh/known_hosts > /dev/null 2>&1
rm -f root/.ssh/known_hosts.old
END
plant split-debug debug-path primary p.dwo <<'END'
mkdir $tmp/$other
to=$PWD
cd $tmp/$other
echo 'int f(int x) { return x; }' > p.c
gcc -g -gsplit-dwarf -c p.c
cp p.dwo $to
END
plant packed-debug debug-path primary p.o <<'END'
mkdir $tmp/$other-longer
to=$PWD
cd $tmp/$other-longer
echo 'int f(int x) { return x; }' > p.c
gcc -g -gz -c -o $to/p.o p.c
END
plant rust-library debug-path primary libp.rlib <<'END'
unset LD_PRELOAD
mkdir $tmp/$other
to=$PWD
cd $tmp/$other
echo 'pub fn f<T: Clone>(x: &T) -> T { x.clone() }' > p.rs
rustc -g --crate-type=rlib -C codegen-units=1 -o $to/libp.rlib p.rs
END
plant nested-gzip gzip-header primary p.deb <<'END'
mkdir -p $tmp/p/DEBIAN $tmp/p/usr/share/doc/p
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n' > $tmp/p/DEBIAN/control
echo x > $tmp/p/usr/share/doc/p/changelog
touch -d @$epoch $tmp/p/usr/share/doc/p/changelog
gzip -9 $tmp/p/usr/share/doc/p/changelog
find $tmp/p -exec touch -d @1700000000 {} +
SOURCE_DATE_EPOCH=1700000000 dpkg-deb --root-owner-group -b $tmp/p p.deb
END
plant book archive-time+embedded-timestamp primary book.epub <<'END'
mkdir $tmp/b
cd $tmp/b
echo "<package><meta property=\"dcterms:modified\">$(date -u +%FT%TZ)</meta></package>" > content.opf
touch -d @$epoch content.opf
zip -qX $OLDPWD/book.epub content.opf
END
plant jar-in-tar archive-time primary dist.tar.gz <<'END'
mkdir $tmp/d
cd $tmp/d
echo x > x
touch -d @$epoch x
zip -qX app.jar x
tar -c --mtime=@1 --sort=name --owner=0 --group=0 app.jar | gzip -n > $OLDPWD/dist.tar.gz
END
plant zip-zone archive-time primary f.zip <<'END'
echo x > $tmp/x
touch -d @1700000000 $tmp/x
TZ=$(pick America/New_York Asia/Tokyo) zip -qXj f.zip $tmp/x
END
plant git-clone git-state primary src/.git/logs/refs/heads/main <<'END'
git init -q -b main $tmp/r
git -C $tmp/r -c user.name=x -c user.email=x commit -q --allow-empty -m x
mkdir src
cp -r $tmp/r/.git src/.git
find src/.git -type f ! -path '*/logs/refs/heads/main' -delete
END
plant list-512 derived-checksum derived app.tar.gz.sha512 <<'END'
echo "from $other" > $tmp/x
touch -d @1700000000 $tmp/x
tar -c --mtime=@1 --owner=0 --group=0 -C $tmp x | gzip -n > app.tar.gz
sha512sum app.tar.gz > app.tar.gz.sha512
END
plant png-text png-time primary i.png <<'END'
/usr/bin/python3 -c 'import time
from PIL import Image, PngImagePlugin
info = PngImagePlugin.PngInfo()
info.add_text("Creation Time", time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()))
Image.new("RGB", (4, 4)).save("i.png", pnginfo=info)'
END
plant directory-umask mode-umask primary opt/app <<'END'
umask $(pick 022 002)
mkdir -p opt/app
END
plant logrotate embedded-timestamp primary var/lib/logrotate/status <<'END'
mkdir -p var/lib/logrotate
printf 'logrotate state -- version 2\n"/var/log/dpkg.log" %s\n' "$(date +%Y-%-m-%-d-%-H:%-M:%-S)" > var/lib/logrotate/status
END
plant bash-history temporary-file primary root/.bash_history <<'END'
mkdir root
printf '#%s\nmake\n' $(date +%s) > root/.bash_history
END
