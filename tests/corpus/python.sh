# Python and its package managers.
needs python3 git

venv=$tmp.venv
/usr/bin/python3 -m venv --system-site-packages "$venv"

plant pyc-time pyc-source-time primary m.pyc <<'END'
echo 'x = 1' > m.py
touch -d @$epoch m.py
python3 -m compileall -q -b m.py
rm m.py
END
plant pyc-path pyc-code primary m.pyc <<'END'
echo 'x = 1' > m.py
python3 -m compileall -q -b --invalidation-mode checked-hash -d /build/$other m.py
rm m.py
END

# A package of which pip records where it came from, and how it was installed.
package='venv=$tmp.venv
mkdir -p $tmp/$other/p
printf "from setuptools import setup\nsetup(name=\"p\", version=\"1\", packages=[\"p\"], entry_points={\"console_scripts\": [\"p=p:main\"]})\n" > $tmp/$other/setup.py
echo "def main(): pass" > $tmp/$other/p/__init__.py
touch -d @1700000000 $tmp/$other/p/__init__.py
install() { $venv/bin/pip install -q --no-index --no-deps --no-build-isolation --root-user-action=ignore --disable-pip-version-check --root=$tmp/root --prefix=/opt "$@"; cp -a $tmp/root/opt .; }
'
site='opt/lib/python3*/site-packages'
plant pip-compiled pyc-source-time primary "$site/p/__pycache__/__init__*.pyc" <<END
$package
# pip gives the files the time of their installation.
[ \$side = a ] || sleep 1.1
install --no-cache-dir \$tmp/\$other
END
plant pip-origin wheel-metadata primary "$site/p-1.dist-info/direct_url.json" <<END
$package
install --no-cache-dir --no-compile \$tmp/\$other
END
plant pip-record derived-checksum derived "$site/p-1.dist-info/RECORD" <<END
$package
install --no-cache-dir --no-compile \$tmp/\$other
END
plant pip-cache pip-cache primary 'root/.cache/pip/wheels/*/*/*/*/*.whl' <<END
$package
mkdir \$tmp/clone
mv \$tmp/\$other \$tmp/clone/p
cd \$tmp/clone/p
git init -q .
git add .
export GIT_AUTHOR_DATE=@1700000000 GIT_COMMITTER_DATE=@1700000000
git -c user.name=x -c user.email=x commit -q -m x
cd \$OLDPWD
\$venv/bin/pip wheel -q --no-index --no-deps --no-build-isolation --disable-pip-version-check \\
    --cache-dir \$PWD/root/.cache/pip -w \$tmp "git+file://\$tmp/clone/p@\$(git -C \$tmp/clone/p rev-parse HEAD)"
END
plant venv-config venv-path primary pyvenv.cfg <<'END'
/usr/bin/python3 -m venv --without-pip $tmp/$other
cp $tmp/$other/pyvenv.cfg .
END
plant venv-activate venv-path primary bin/activate <<'END'
/usr/bin/python3 -m venv --without-pip $tmp/$other
mkdir bin
cp $tmp/$other/bin/activate bin/
END
plant python-hash-order line-order primary set.txt <<'END'
export PYTHONHASHSEED=$(pick 1 2)
python3 -c 'for w in {"alpha","beta","gamma","delta","epsilon","zeta"}: print(w)' > set.txt
END
plant python-json-order json-order primary o.json <<'END'
export PYTHONHASHSEED=$(pick 1 2)
python3 -c 'import json; json.dump({n: 1 for n in {"x", "y", "z", "t", "u"}}, open("o.json", "w"))'
END
plant python-uuid random-content primary id.txt <<'END'
python3 -c 'import uuid; print(uuid.uuid4())' > id.txt
END
plant python-token random-content primary config.py <<'END'
python3 -c 'import secrets; print(f"SECRET_KEY = {secrets.token_urlsafe(32)!r}")' > config.py
END
plant sdist archive-time+gzip-header primary p-1.tar.gz <<'END'
cd $tmp
mkdir p
echo 'from setuptools import setup; setup(name="p", version="1", packages=["p"])' > setup.py
touch p/__init__.py
touch -d @$epoch p/__init__.py setup.py
/usr/bin/python3 setup.py -q sdist -d $OLDPWD
END
plant cyclonedx sbom-id primary bom.json <<'END'
python3 -c 'import datetime, json, uuid
now = datetime.datetime.now(datetime.timezone.utc).isoformat()
json.dump({"bomFormat": "CycloneDX", "serialNumber": uuid.uuid4().urn, "metadata": {"timestamp": now}}, open("bom.json", "w"))'
END
shape 'uv is no package of Debian' uv-cache wheel-metadata primary p.dist-info/uv_cache.json <<'END'
mkdir p.dist-info
echo '{"timestamp":{"secs_since_epoch":'$(date +%s)',"nanos_since_epoch":1}}' > p.dist-info/uv_cache.json
END
