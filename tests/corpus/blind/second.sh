# Held out a second time, after the detectors were mended by what the first cases showed.
needs gcc python3 openssl zip tar node perl

plant ruby-banner embedded-timestamp primary banner.rb <<'END'
ruby -e 'puts "# generated #{Time.now}", "VERSION = 1"' > banner.rb
END
plant node-date embedded-timestamp primary build-info.js <<'END'
node -e 'console.log("export const builtAt = " + JSON.stringify(new Date()))' > build-info.js
END
plant perl-time embedded-timestamp primary Config.pm <<'END'
perl -e 'print "package Config;\n# Config time: ", scalar(localtime), "\n1;\n"' > Config.pm
END
plant properties-number embedded-timestamp primary git.properties <<'END'
printf 'git.branch=main\ngit.build.time=%s\n' "$(date '+%Y-%m-%dT%H:%M:%S%z')" > git.properties
END
plant ini-epoch embedded-timestamp primary cache.ini <<'END'
printf '[cache]\ngenerated_at = %s\nsize = 20\n' $(date +%s) > cache.ini
END
plant css-date embedded-timestamp primary style.css <<'END'
printf '/*! theme v1.2 | build %s */\na{}\n' "$(date '+%Y-%m-%d %H:%M')" > style.css
END
plant nonce random-content primary csp.html <<'END'
echo "<script nonce=\"$(openssl rand -hex 12)\">" > csp.html
END
plant uuid-xml random-content primary project.xml <<'END'
echo "<project id=\"$(cat /proc/sys/kernel/random/uuid)\"/>" > project.xml
END
plant salt random-content primary wp-config.php <<'END'
printf "define('AUTH_SALT', '%s');\n" $(openssl rand -base64 33) > wp-config.php
END
plant python-dict-of-sets line-order primary table.py <<'END'
export PYTHONHASHSEED=$(pick 7 8)
python3 -c 'print("T =", {"keys": {"if", "else", "while", "for", "return", "yield"}})' > table.py
END
plant symbol-list line-order primary symbols.map <<'END'
export PERL_HASH_SEED=$(pick 1 7)
perl -e '%h = map { $_ => 1 } qw(open close read write seek); print "{ global: ", join("; ", keys %h), "; };\n"' > symbols.map
END
plant shared-rpath embedded-path primary lib.so <<'END'
echo 'int f(void) { return 1; }' > $tmp/p.c
gcc -shared -fPIC -Wl,--build-id=none -Wl,-rpath,/home/$other/lib -o lib.so $tmp/p.c
END
plant shebang embedded-path primary bin/tool <<'END'
mkdir bin
printf '#!/build/%s/venv/bin/python3\nimport p\n' $other > bin/tool
END
plant libtool embedded-path primary libp.la <<'END'
printf "# libp.la - a libtool library file\nlibdir='/tmp/%s/usr/lib'\ndependency_libs=' -L/tmp/%s/usr/lib -lm'\n" $other $other > libp.la
END
plant wheel-in-image archive-time primary dist/p.whl <<'END'
mkdir dist
echo 'x = 1' > $tmp/p.py
touch -d @$epoch $tmp/p.py
zip -qXj dist/p.whl $tmp/p.py
END
plant tar-in-xz archive-time primary src.tar.xz <<'END'
echo x > $tmp/x
touch -d @$epoch $tmp/x
tar -cJf src.tar.xz --owner=0 --group=0 -C $tmp x
END
plant decoy-timeout unknown primary app.yaml <<'END'
printf 'timeout: %s\nretries: 3\n' $(pick 1500000000 1800000000) > app.yaml
END
plant decoy-release unknown primary CHANGES <<'END'
printf '1.%s (unreleased)\n * change\n' $(pick 3 4) > CHANGES
END
plant decoy-url unknown primary sources.txt <<'END'
echo "https://host.example/$(pick stable testing)/Packages" > sources.txt
END
plant decoy-list unknown primary hosts.allow <<'END'
printf 'allow alice\nallow %s\nallow carol\n' $(pick bob dave) > hosts.allow
END
plant decoy-code unknown primary app.py <<'END'
printf 'def f(x):\n    return x %s 1\n' "$(pick + -)" > app.py
END
plant decoy-mode unknown primary bin/run <<'END'
mkdir bin
echo x > bin/run
chmod $(pick 755 700) bin/run
END
plant decoy-order-edit unknown primary steps.txt <<'END'
printf '1 %s\n2 %s\n' $(pick 'wash dry' 'dry wash') > steps.txt
END
