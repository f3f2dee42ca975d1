#!/bin/sh
# Plants pairs of files that differ for a known cause, each made by the tool that is known to make
# it: plant.sh DIR writes DIR/a and DIR/b, a directory for each case, and DIR/expected, which has a
# line of case, cause and path for each case whose tool is there, and DIR/skipped for the rest.
set -eu
out=$1
mkdir -p "$out/a" "$out/b"
: > "$out/expected"
: > "$out/skipped"
export LC_ALL=C TZ=UTC

# case NAME CAUSE PATH TOOL...: begins a case; false if a tool is missing.
case_of() {
    name=$1 cause=$2 path=$3
    shift 3
    for tool in "$@"; do
        if ! command -v "$tool" > /dev/null; then
            echo "$name $tool" >> "$out/skipped"
            return 1
        fi
    done
    echo "$name $cause $path" >> "$out/expected"
    mkdir -p "$out/a/$name/$(dirname "$path")" "$out/b/$name/$(dirname "$path")"
}

# both COMMAND: runs it for each side, in its directory, with $side, $epoch (a time of its own)
# and $other (text of its own).
both() {
    for side in a b; do
        if [ $side = a ]; then epoch=1700000000 other=one; else epoch=1734567890 other=two; fi
        export side epoch other
        (cd "$out/$side/$name" && eval "$1") > "$out/log" 2>&1 || {
            echo "$name, $side:" >&2
            cat "$out/log" >&2
            exit 1
        }
    done
}

text='for n in 1 2 3 4 5 6 7 8 9; do echo "line $n of some text"; done'

# Archives and compressors.
case_of gzip-name gzip-header f.gz gzip && both "($text) > \$other; gzip -k -c \$other > f.gz; rm \$other"
case_of gzip-time gzip-header f.gz gzip && both "($text) > f; touch -d @\$epoch f; gzip -c f > f.gz; rm f"
case_of xz-form compression-form f.xz xz && both "seq 20000 | xz \$([ \$side = a ] && echo -0 || echo -9) > f.xz"
case_of bzip2-form compression-form f.bz2 bzip2 && both "seq 200000 | bzip2 \$([ \$side = a ] && echo -1 || echo -9) > f.bz2"
case_of zstd-form compression-form f.zst zstd && both "seq 20000 | zstd \$([ \$side = a ] && echo -1 || echo -15) > f.zst"
case_of tar-time archive-time f.tar tar && both "echo x > x; touch -d @\$epoch x; tar cf f.tar x; rm x"
case_of tar-owner archive-owner f.tar tar && both "echo x > x; tar c --mtime=@1 --owner=\$other:\${#epoch} f.tar --file=f.tar x || tar cf f.tar --mtime=@1 --owner=\$other x; rm x"
case_of tar-order archive-order f.tar tar && both "echo x > x; echo y > y; tar cf f.tar --mtime=@1 \$([ \$side = a ] && echo x y || echo y x); rm x y"
case_of tar-gz-time archive-time f.tgz tar && both "echo x > x; touch -d @\$epoch x; tar c x | gzip -n > f.tgz; rm x"
case_of zip-time archive-time f.zip zip && both "echo x > x; touch -d @\$epoch x; zip -qX f.zip x; rm x"
case_of zip-order archive-order f.zip zip && both "echo x > x; echo y > y; touch -d @1700000000 x y; zip -qX f.zip \$([ \$side = a ] && echo x y || echo y x); rm x y"
case_of zip-mode archive-owner f.zip zip && both "echo x > x; chmod \$([ \$side = a ] && echo 600 || echo 755) x; touch -d @1700000000 x; zip -qX f.zip x; rm x"
case_of zip-extra archive-extra f.zip zip && both "echo x > x; touch -m -d @1700000000 x; touch -a -d @\$epoch x; zip -q f.zip x; rm x"
case_of cpio-time archive-time f.cpio cpio && both "echo x > x; touch -d @\$epoch x; echo x | cpio -o -H newc --reproducible > f.cpio; rm x"
case_of cpio-inode archive-extra f.cpio cpio && both "echo x > x; [ \$side = a ] || { mv x y; echo x > x; }; touch -d @1 x; echo x | cpio -o -H newc > f.cpio; rm -f x y"
case_of jar-manifest manifest-date f.jar zip && both "mkdir META-INF; printf 'Manifest-Version: 1.0\nBuilt-By: %s\n' \$other > META-INF/MANIFEST.MF; touch -d @1700000000 META-INF META-INF/MANIFEST.MF; zip -qX f.jar META-INF/MANIFEST.MF; rm -r META-INF"
case_of deb-time archive-time p.deb dpkg-deb && both "mkdir -p p/DEBIAN; printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n' > p/DEBIAN/control; echo x > p/x; SOURCE_DATE_EPOCH=\$epoch dpkg-deb --root-owner-group -b p p.deb; rm -r p"

# Compilers and binutils.
case_of c-date compiled-date prog gcc && both "echo '#include <stdio.h>
int main(void){puts(__DATE__ \" \" __TIME__);}' > p.c; SOURCE_DATE_EPOCH=\$epoch gcc -Wl,--build-id=none -o prog p.c; rm p.c"
case_of c-debug-path debug-path prog.o gcc && both "mkdir \$other; cd \$other; echo 'int f(void){return 1;}' > p.c; gcc -g -c -o ../prog.o p.c; cd ..; rm -r \$other"
case_of c-build-id linker-build-id prog gcc && both "echo 'int main(void){return 0;}' > p.c; gcc -Wl,--build-id=0x\$([ \$side = a ] && echo 11223344 || echo 55667788) -o prog p.c; rm p.c"
case_of c-file-path embedded-path out.txt gcc && both "echo '\"/build/'\$other'/x.c\"' > out.txt"
case_of c-lto lto-symbol prog.o gcc && both "echo 'static int g; int f(void){return g++;}' > p.c; gcc -flto -c -frandom-seed=\$epoch -o prog.o p.c; rm p.c"
case_of ar-time archive-time lib.a gcc ar && both "echo 'int f;' > p.c; gcc -c p.c; touch -d @\$epoch p.o; ar qcU lib.a p.o; rm p.c p.o"
case_of ar-order archive-order lib.a gcc ar && both "echo 'int f;' > p.c; echo 'int g;' > q.c; gcc -c p.c q.c; ar qcD lib.a \$([ \$side = a ] && echo p.o q.o || echo q.o p.o); rm p.c q.c p.o q.o"
case_of ar-owner archive-owner lib.a gcc ar && both "echo 'int f;' > p.c; gcc -c p.c; touch -d @1 p.o; chmod \$([ \$side = a ] && echo 600 || echo 644) p.o; ar qcU lib.a p.o; rm p.c p.o"

# Interpreters.
case_of pyc-time pyc-source-time m.pyc python3 && both "echo 'x = 1' > m.py; touch -d @\$epoch m.py; env -u SOURCE_DATE_EPOCH python3 -c 'import py_compile; py_compile.compile(\"m.py\", cfile=\"m.pyc\")'; rm m.py"
case_of pyc-path pyc-code m.pyc python3 && both "echo 'x = 1' > m.py; python3 -c \"import py_compile; py_compile.compile('m.py', cfile='m.pyc', dfile='/build/\$other/m.py', invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)\"; rm m.py"
case_of python-hash-order line-order set.txt python3 && both "PYTHONHASHSEED=\$([ \$side = a ] && echo 1 || echo 2) python3 -c 'for w in {\"alpha\",\"beta\",\"gamma\",\"delta\",\"epsilon\",\"zeta\"}: print(w)' > set.txt"
case_of perl-hash-order line-order hash.txt perl && both "PERL_HASH_SEED=\$([ \$side = a ] && echo 1 || echo 7) perl -e '%h=map{\$_=>1}\"aa\"..\"az\"; print \"\$_\n\" for keys %h' > hash.txt"
case_of python-json-order json-order o.json python3 && both "python3 -c 'import json,os; k=[\"x\",\"y\"]; k=k if os.environ[\"side\"]==\"a\" else k[::-1]; json.dump({n: 1 for n in k}, open(\"o.json\",\"w\"))'"
case_of python-uuid random-content id.txt python3 && both "python3 -c 'import uuid; print(uuid.uuid4())' > id.txt"
case_of cyclonedx sbom-id bom.json python3 && both "python3 -c 'import json,uuid; json.dump({\"bomFormat\":\"CycloneDX\",\"serialNumber\":\"urn:uuid:\"+str(uuid.uuid4())}, open(\"bom.json\",\"w\"))'"
case_of date-now embedded-timestamp date.txt date && both "date -u -d @\$epoch > date.txt"
case_of date-iso embedded-timestamp date.txt date && both "date -u -d @\$epoch --iso-8601=seconds > date.txt"

# Other tools.
case_of gettext gettext-date m.mo msgfmt && both "printf 'msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\\\nPO-Revision-Date: 2026-01-0%s\\\\n\"\nmsgid \"a\"\nmsgstr \"b\"\n' \$([ \$side = a ] && echo 1 || echo 2) > m.po; msgfmt -o m.mo m.po; rm m.po"
case_of gettext-po gettext-date m.po date && both "echo '\"POT-Creation-Date: '\$(date -d @\$epoch +%F)'\\n\"' > m.po"
case_of sqlite-order sqlite-layout d.db sqlite3 && both "sqlite3 d.db 'create table t(x text primary key)' \"\$([ \$side = a ] && echo \"insert into t values('first value'); insert into t values('other value')\" || echo \"insert into t values('other value'); insert into t values('first value')\")\""
case_of sqlite-counter sqlite-layout d.db sqlite3 && both "sqlite3 d.db 'create table t(x)'; [ \$side = a ] || sqlite3 d.db 'insert into t values(1); delete from t'"
case_of ssh-key generated-key id ssh-keygen && both "ssh-keygen -q -t ed25519 -N '' -f id; rm id.pub"
case_of ssh-host-key ssh-host-key ssh_host_ed25519_key.pub ssh-keygen && both "ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key; rm ssh_host_ed25519_key"
case_of openssl-key generated-key k.pem openssl && both "openssl genpkey -algorithm ed25519 -out k.pem"
case_of openssl-cert generated-key c.pem openssl && both "openssl req -x509 -newkey ed25519 -nodes -keyout k -out c.pem -subj /CN=x; rm k"
case_of git-index git-state .git/index git && both "git init -q .; echo x > f; git add f; find .git -type f ! -name index -delete; rm f"
case_of checksums derived-checksum SHA256SUMS sha256sum && both "echo \$other > f; sha256sum f > SHA256SUMS"
case_of urandom random-content r.bin head && both "head -c 64 /dev/urandom > r.bin"
case_of mktemp random-content m.txt mktemp && both "mktemp -u tmp.XXXXXXXXXX > m.txt"
case_of properties java-properties-date v.properties date && both "(echo \"#\$(date -d @\$epoch)\"; echo k=v) > v.properties"
case_of javadoc javadoc-date i.html date && both "echo \"<!-- Generated by javadoc (17) on \$(date -d @\$epoch) -->\" > i.html"
case_of gemspec gem-date g.gemspec date && both "echo \"  s.date = \\\"\$(date -d @\$epoch +%F)\\\"\" > g.gemspec"
case_of r-description r-package-date DESCRIPTION date && both "(echo Package: p; echo \"Built: R 4; \$(date -d @\$epoch)\") > DESCRIPTION"
case_of composer composer-suffix vendor/autoload.php md5sum && both "echo \"return ComposerAutoloaderInit\$(echo \$other | md5sum | cut -c-32)::getLoader();\" > vendor/autoload.php"
case_of npm npm-cache .npm/_cacache/index-v5/aa date && both "echo '{\"time\":'\$epoch'000}' > .npm/_cacache/index-v5/aa"
case_of pip-cache pip-cache root/.cache/pip/x date && both "echo \$epoch > root/.cache/pip/x"
case_of wheel wheel-metadata p.dist-info/direct_url.json date && both "echo '{\"url\":\"file:///tmp/'\$other'\"}' > p.dist-info/direct_url.json"
case_of venv venv-path pyvenv.cfg python3 && both "python3 -m venv --without-pip /tmp/repro-corpus-\$other; cp /tmp/repro-corpus-\$other/pyvenv.cfg .; rm -r /tmp/repro-corpus-\$other"

# The file system itself, and what packages leave.
case_of umask mode-umask f sh && both "umask \$([ \$side = a ] && echo 022 || echo 002); echo x > f"
case_of setgid setgid-directory d/e mkdir && both "mkdir -p d/e; [ \$side = a ] || chmod g+s d/e"
# Only root may set one.
if [ "$(id -u)" -eq 0 ]; then
    case_of capability file-capability f setcap && both "cp /bin/true f; [ \$side = a ] || setcap cap_net_raw+ep f"
fi
case_of attribute extended-attribute f python3 && both "echo x > f; python3 -c 'import os; os.setxattr(\"f\", \"user.from\", os.environ[\"other\"].encode())'"
case_of link-broken hardlink-broken g ln && both "echo x > f; [ \$side = a ] && ln f g || cp f g"
case_of missing missing-file only ls && both "[ \$side = a ] || echo x > only"
case_of leftover temporary-file tmp/x date && both "date -d @\$epoch > tmp/x"
case_of history temporary-file root/.bash_history date && both "echo '#'\$epoch > root/.bash_history"
case_of machine-id machine-id etc/machine-id tr && both "tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id"
case_of password password-hash etc/shadow openssl && both "echo \"u:\$(openssl passwd -6 x):20000:0:99999:7:::\" > etc/shadow"
case_of shadow-day shadow-day etc/shadow date && both "echo \"u:!:\$((epoch / 86400)):0:99999:7:::\" > etc/shadow"
case_of dpkg-log dpkg-log var/log/dpkg.log date && both "echo \"\$(date -d @\$epoch '+%F %T') startup archives unpack\" > var/log/dpkg.log"
case_of apt-log apt-log var/log/apt/history.log date && both "echo \"Start-Date: \$(date -d @\$epoch '+%F  %T')\" > var/log/apt/history.log"
case_of backup account-backup etc/group- date && both "echo \"x:x:\$other:\" > etc/group-"
case_of status package-version var/lib/dpkg/status date && both "printf 'Package: p\\nVersion: 1.%s\\n' \${#other}\$epoch > var/lib/dpkg/status"
case_of apk apk-virtual etc/apk/world date && both "date -d @\$epoch +.build-deps=%Y%m%d.%H%M%S > etc/apk/world"
case_of png png-time i.png python3 && both "python3 -c 'import zlib,struct,os
def c(t,d): return struct.pack(\">I\",len(d))+t+d+struct.pack(\">I\",zlib.crc32(t+d))
open(\"i.png\",\"wb\").write(b\"\\x89PNG\\r\\n\\x1a\\n\"+c(b\"IHDR\",struct.pack(\">IIBBBBB\",1,1,8,0,0,0,0))+c(b\"tIME\",bytes([7,232,1,len(os.environ[\"other\"])+ord(os.environ[\"other\"][0])%9,1,1,1]))+c(b\"IDAT\",zlib.compress(b\"\\0\\0\"))+c(b\"IEND\",b\"\"))'"
case_of pdf pdf-date d.pdf date && both "printf '%%PDF-1.4\\n/CreationDate (D:%s)\\n%%%%EOF\\n' \$epoch > d.pdf"

# Where nothing differs no cause may be named.
mkdir -p "$out/a/equal" "$out/b/equal"
for side in a b; do
    (cd "$out/$side/equal" && date -u -d @1700000000 > date.txt && seq 1000 | gzip -n > s.gz \
        && echo '{"serialNumber":"x"}' > bom.json && hostname > host.txt)
done

# Times of the files themselves are another matter.
find "$out/a" "$out/b" -exec touch -hcd @1700000000 {} +
