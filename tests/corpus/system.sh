# The file system itself, and what distributions leave in an image.
needs ldconfig dpkg dpkg-deb apt-get update-alternatives useradd usermod openssl ssh-keygen gpg git \
    dbus-uuidgen rpm rpmbuild rpmdb setcap sha256sum

plant umask mode-umask primary f <<'END'
umask $(pick 022 002)
echo x > f
END
plant setgid setgid-directory primary d/e <<'END'
mkdir -p d/e
[ $side = a ] || chmod g+s d/e
END
plant attribute extended-attribute primary f <<'END'
echo x > f
python3 -c 'import os; os.setxattr("f", "user.from", os.environ["other"].encode())'
END
plant link-broken hardlink-broken primary g <<'END'
echo x > f
[ $side = a ] && ln f g || cp f g
END
plant link-target embedded-path primary link <<'END'
ln -s /build/$other/lib.so link
END
plant missing missing-file primary only <<'END'
[ $side = a ] || echo x > only
END
plant leftover temporary-file primary tmp/build.log <<'END'
mkdir tmp
date > tmp/build.log
END
plant wget-hsts temporary-file primary root/.wget-hsts <<'END'
mkdir root
printf 'host.example\t0\t1\t%s\t31536000\n' $(date +%s) > root/.wget-hsts
END
plant urandom random-content primary r.bin <<'END'
head -c 64 /dev/urandom > r.bin
END
plant mktemp random-content primary m.txt <<'END'
mktemp -u tmp.XXXXXXXXXX > m.txt
END
plant machine-id machine-id primary etc/machine-id <<'END'
mkdir etc
dbus-uuidgen --ensure=$PWD/etc/machine-id
END
plant ssh-key generated-key primary id <<'END'
ssh-keygen -q -t ed25519 -N '' -f id
rm id.pub
END
plant ssh-host-key ssh-host-key primary etc/ssh/ssh_host_ed25519_key.pub <<'END'
mkdir -p etc/ssh
ssh-keygen -A -f $PWD > /dev/null
END
plant openssl-key generated-key primary k.pem <<'END'
openssl genpkey -algorithm ed25519 -out k.pem
END
plant openssl-cert generated-key primary c.pem <<'END'
openssl req -x509 -newkey ed25519 -nodes -keyout $tmp/k -out c.pem -subj /CN=x 2> /dev/null
END
plant snakeoil snakeoil-certificate primary etc/ssl/certs/ssl-cert-snakeoil.pem <<'END'
mkdir -p etc/ssl/certs
# As make-ssl-cert calls it; that one writes to /etc only.
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout $tmp/k -subj "/CN=$(uname -n)" \
    -out etc/ssl/certs/ssl-cert-snakeoil.pem 2> /dev/null
END
plant gpg generated-key primary root/.gnupg/pubring.kbx <<'END'
mkdir -m 700 -p root/.gnupg $tmp/gpg
gpg --homedir $tmp/gpg --batch --quiet --passphrase '' --quick-gen-key x ed25519 2> /dev/null
gpgconf --homedir $tmp/gpg --kill all
cp $tmp/gpg/pubring.kbx root/.gnupg/
END
plant git-index git-state primary .git/index <<'END'
git init -q .
echo x > f
git add f
mkdir $tmp/git
mv .git/index $tmp/git
rm -r .git f
mv $tmp/git .git
END
plant git-log git-state primary .git/logs/HEAD <<'END'
git init -q $tmp/r
git -C $tmp/r -c user.name=x -c user.email=x commit -q --allow-empty -m x
mkdir -p .git/logs
cp $tmp/r/.git/logs/HEAD .git/logs/
END
plant checksums derived-checksum derived SHA256SUMS <<'END'
echo "built in $other" > f
sha256sum f > SHA256SUMS
END

# Debian's package managers, on a root of their own.
package='mkdir -p $tmp/p/DEBIAN $tmp/p/usr/share/p
printf "Package: p\nVersion: ${version:-1}\nArchitecture: all\nMaintainer: m\nDescription: d\n" > $tmp/p/DEBIAN/control
echo ${content:-x} > $tmp/p/usr/share/p/x
(cd $tmp/p && md5sum usr/share/p/x > DEBIAN/md5sums)
touch -d @1 $tmp/p/usr/share/p/x
dpkg-deb --root-owner-group -b $tmp/p $tmp/p.deb > /dev/null
mkdir -p var/lib/dpkg/info var/lib/dpkg/updates var/log
touch var/lib/dpkg/status var/lib/dpkg/available
install() { dpkg --root=$PWD --log=$PWD/var/log/dpkg.log --force-not-root --force-script-chrootless -i $tmp/p.deb > /dev/null; }
'
plant dpkg-log dpkg-log primary var/log/dpkg.log <<END
$package
install
END
plant dpkg-version package-version primary var/lib/dpkg/status <<END
version=1.\$(pick 2 3)
$package
install
END
plant dpkg-md5sums derived-checksum derived var/lib/dpkg/info/p.md5sums <<END
content="made in /build/\$other"
$package
install
END
apt='mkdir -p var/lib/apt/lists/partial var/cache/apt/archives/partial var/log/apt etc/apt/apt.conf.d etc/apt/preferences.d
touch etc/apt/sources.list
apt() {
    program=$1
    shift
    $program -q -q -o Dir=$PWD -o Dir::State::status=$PWD/var/lib/dpkg/status -o DPkg::Options::=--root=$PWD \
    -o DPkg::Options::=--log=$PWD/var/log/dpkg.log -o DPkg::Options::=--force-script-chrootless -o Dir::Cache::pkgcache=pkgcache.bin \
    -o DPkg::Options::=--force-not-root -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
'
plant apt-history apt-log primary var/log/apt/history.log <<END
$package$apt
apt apt-get install -y \$tmp/p.deb > /dev/null
END
plant apt-cache apt-cache primary var/cache/apt/pkgcache.bin <<END
$package
$apt
apt apt-cache gencaches
END
plant alternatives alternatives-log primary var/log/alternatives.log <<'END'
mkdir -p var/log usr/bin $tmp/alt $tmp/admin
touch $tmp/editor
update-alternatives --quiet --altdir $tmp/alt --admindir $tmp/admin --log $PWD/var/log/alternatives.log \
    --install $tmp/link editor $tmp/editor 1
END
users='mkdir -p etc
echo root:x:0:0:root:/root:/bin/sh > etc/passwd
echo root:x:0: > etc/group
echo "root:*:19000:0:99999:7:::" > etc/shadow
echo "root:*::" > etc/gshadow
'
plant shadow-day shadow-day primary etc/shadow <<END
$users
useradd --prefix \$PWD --no-create-home u
END
plant shadow-backup account-backup primary etc/shadow- <<END
$users
useradd --prefix \$PWD --no-create-home u
useradd --prefix \$PWD --no-create-home v
END
plant password password-hash primary etc/shadow <<END
$users
unset LD_PRELOAD
useradd --prefix \$PWD --no-create-home -p "\$(openssl passwd -6 x)" u
END
plant rpm-database rpm-database primary usr/lib/sysimage/rpm/rpmdb.sqlite <<'END'
printf 'Name: p\nVersion: 1\nRelease: 1\nSummary: s\nLicense: l\nBuildArch: noarch\n%%description\nd\n%%files\n' > $tmp/p.spec
rpmbuild --quiet -bb --define "_topdir $tmp/rpm" $tmp/p.spec
mkdir -p usr/lib/sysimage/rpm
rpm --dbpath $PWD/usr/lib/sysimage/rpm --nodeps --justdb --nosignature -i $tmp/rpm/RPMS/noarch/p-1-1.noarch.rpm
END
if [ "$(id -u)" -eq 0 ]; then
    # Only root may.
    plant capability file-capability primary f <<'END'
cp /bin/true f
[ $side = a ] || setcap cap_net_raw+ep f
END
    plant ldconfig ldconfig-cache primary var/cache/ldconfig/aux-cache <<'END'
mkdir -p etc lib var/cache/ldconfig
touch etc/ld.so.conf
cp -L /lib/x86_64-linux-gnu/libm.so.6 lib/ 2> /dev/null || cp -L /lib/*/libm.so.6 lib/
ldconfig -r $PWD
END
fi
shape 'apk is no package of Debian' apk-virtual apk-virtual primary etc/apk/world <<'END'
mkdir -p etc/apk
date +.build-deps=%Y%m%d.%H%M%S > etc/apk/world
END
shape 'apk is no package of Debian' apk-scripts apk-scripts primary lib/apk/db/scripts.tar <<'END'
mkdir -p lib/apk/db
echo 'exit 0' > $tmp/p.post-install
touch -d @$epoch $tmp/p.post-install
tar -cf lib/apk/db/scripts.tar -C $tmp p.post-install
END
shape 'pacman manages no root here' pacman pacman-state primary var/lib/pacman/local/p-1-1/desc <<'END'
mkdir -p var/lib/pacman/local/p-1-1
printf '%%NAME%%\np\n\n%%INSTALLDATE%%\n%s\n' $(date +%s) > var/lib/pacman/local/p-1-1/desc
END
shape 'dnf manages no root here' dnf dnf-log primary var/log/dnf.log <<'END'
mkdir -p var/log
echo "$(date -u '+%FT%TZ')" INFO --- logging initialized --- > var/log/dnf.log
END
shape 'a kernel is large' kernel-signature embedded-signature primary lib/modules/6.1.0/m.ko <<'END'
mkdir -p lib/modules/6.1.0
echo 'int f;' > $tmp/m.c
gcc -c -o lib/modules/6.1.0/m.ko $tmp/m.c
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $tmp/k -out $tmp/c -subj /CN=x 2> /dev/null
openssl cms -sign -binary -noattr -signer $tmp/c -inkey $tmp/k -in lib/modules/6.1.0/m.ko -outform DER -out $tmp/s -md sha512
cat $tmp/s >> lib/modules/6.1.0/m.ko
size=$(stat -c %s $tmp/s)
printf '\0\0\2\0\0\0\0\0\0\0%b~Module signature appended~\n' "$(printf '\\0%03o\\0%03o' $((size / 256)) $((size % 256)))" >> lib/modules/6.1.0/m.ko
END
shape 'the hook of apt needs a kernel' kernels kernel-list primary etc/apt/apt.conf.d/01autoremove-kernels <<'END'
mkdir -p etc/apt/apt.conf.d
printf '// DO NOT EDIT! File autogenerated by /etc/kernel/postinst.d/apt-auto-removal\n# Running kernel: %s\nAPT\n{\n};\n' $(pick 6.1.0-18-amd64 2.6.61) > etc/apt/apt.conf.d/01autoremove-kernels
END
