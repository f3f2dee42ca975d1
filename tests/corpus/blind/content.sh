# Held-out cases: written, with what is expected of them, before any detector saw them.
needs openssl groff sqlite3 gcc help2man perl python3 xmllint

plant date-only embedded-timestamp primary version.txt <<'END'
echo "built on $(date +%F)" > version.txt
END
plant date-words embedded-timestamp primary page.html <<'END'
echo "<p>Generated on $(date '+%d %B %Y')</p>" > page.html
END
plant date-compact embedded-timestamp primary version.txt <<'END'
echo "1.4.2-build$(date +%Y%m%d)" > version.txt
END
plant date-minutes embedded-timestamp primary about.txt <<'END'
echo "compiled $(date '+%b %d %Y %H:%M') by make" > about.txt
END
plant date-us embedded-timestamp primary about.txt <<'END'
echo "Date: $(date +%m/%d/%Y)" > about.txt
END
plant epoch-json embedded-timestamp primary build.json <<'END'
echo "{\"version\":\"1.2\",\"buildTime\":$(date +%s)}" > build.json
END
plant epoch-python embedded-timestamp primary meta.py <<'END'
python3 -c 'import time; print(f"BUILD_TIME = {time.time()}")' > meta.py
END
plant date-xml embedded-timestamp primary site.xml <<'END'
echo "<site generated=\"$(date --iso-8601=ns)\"><a/></site>" | xmllint - > site.xml
END
plant date-log embedded-timestamp primary opt/app/install.log <<'END'
mkdir -p opt/app
echo "[$(date '+%a %b %e %T.%N %Y')] [notice] configured" > opt/app/install.log
END
plant yaml-block embedded-timestamp primary release.yaml <<'END'
printf 'name: app\nversion: 1.2.3\ncreated: %s\nfiles: []\n' "$(date -Iseconds)" > release.yaml
END
plant file-listing embedded-timestamp primary manifest.txt <<'END'
touch $tmp/one
touch -d @$epoch $tmp/one
ls -l --full-time $tmp > manifest.txt
END
plant date-in-c embedded-timestamp primary version.h <<'END'
echo "#define BUILD_DATE \"$(date -R)\"" > version.h
END
plant timestamp-macro compiled-date primary p.o <<'END'
echo 'const char *t(void) { return __TIMESTAMP__; }' > $tmp/p.c
touch -d @$epoch $tmp/p.c
gcc -c -o p.o $tmp/p.c
END
plant row-time embedded-timestamp+sqlite-layout primary d.db <<'END'
sqlite3 d.db 'create table t(x, at text default current_timestamp); insert into t(x) values(1)'
END
plant set-repr line-order primary words.py <<'END'
export PYTHONHASHSEED=$(pick 3 4)
python3 -c 'print("WORDS =", {"alpha", "beta", "gamma", "delta", "epsilon"})' > words.py
END
plant dumper-order line-order primary data.pl <<'END'
export PERL_HASH_SEED=$(pick 1 7)
perl -MData::Dumper -e 'print Dumper({ map { $_ => 1 } "aa" .. "ap" })' > data.pl
END
plant json-array list-order+line-order+json-order primary files.json <<'END'
export PYTHONHASHSEED=$(pick 5 6)
python3 -c 'import json; print(json.dumps({"files": list({"a.c", "b.c", "c.c", "d.c", "e.c"})}))' > files.json
END
plant base64-token random-content primary app.env <<'END'
echo "SESSION_SECRET=$(openssl rand -base64 48)" > app.env
END
plant hex-token random-content primary app.env <<'END'
echo "APP_KEY=$(openssl rand -hex 16)" > app.env
END
plant temp-name random-content primary config.status <<'END'
echo "work directory $(mktemp -u -d /tmp/configure.XXXXXX)" > config.status
END
plant groff-date embedded-timestamp primary d.ps <<'END'
printf '.TH P 1\ntext\n' > $tmp/p.1
groff -man -Tps $tmp/p.1 > d.ps
END
plant cmake-path embedded-path primary CMakeCache.txt <<'END'
printf '# For build in directory: /home/%s/build\nCMAKE_HOME_DIRECTORY:INTERNAL=/home/%s\nCMAKE_C_COMPILER:STRING=/usr/bin/cc\n' $other $other > CMakeCache.txt
END
plant pkgconfig-path embedded-path primary lib/pkgconfig/p.pc <<'END'
mkdir -p lib/pkgconfig
printf 'prefix=/tmp/tmp.%s/out\nName: p\nLibs: -L${prefix}/lib\n' $other > lib/pkgconfig/p.pc
END
plant coverage-path embedded-path primary p.gcno <<'END'
mkdir $tmp/$other
to=$PWD
cd $tmp/$other
echo 'int f(int x) { return x ? 1 : 2; }' > p.c
gcc --coverage -c -o p.o p.c
cp p.gcno $to
END
plant heap-address embedded-address primary repr.txt <<'END'
unset LD_PRELOAD
python3 -c 'print(object())' > repr.txt
END
