# Pairs that look like a known cause and have another: written before any detector saw them.
# `unknown` is the honest answer where a person changed something.
needs gcc python3 sha256sum

plant version-date unknown primary VERSION <<'END'
pick 2023.11.14 2024.12.18 > VERSION
END
plant release-number unknown primary os-release <<'END'
printf 'NAME=thing\nVERSION_ID="%s"\n' $(pick 20.04 22.04) > os-release
END
plant pinned-digest unknown primary Dockerfile <<'END'
echo "FROM base@sha256:$(pick old new | sha256sum | cut -c-64)" > Dockerfile
END
plant one-more-line unknown primary words.txt <<'END'
printf 'alpha\nbeta\ngamma\n' > words.txt
[ $side = a ] || printf 'delta\n' >> words.txt
END
plant sorted-list-more unknown primary list.txt <<'END'
seq 100 199 | grep -v "$(pick 150 none)" > list.txt
END
plant port unknown primary app.conf <<'END'
printf 'listen %s\nworkers auto\n' $(pick 8080 9090) > app.conf
END
plant phone unknown primary contact.txt <<'END'
echo "call $(pick 4915112345 4917698765)" > contact.txt
END
plant source-change unknown+linker-build-id primary prog <<'END'
echo "int main(void) { return $(pick 3 4); }" > $tmp/p.c
gcc -Wl,--build-id=none -o prog $tmp/p.c
END
plant word-change unknown primary form.html <<'END'
echo "<input name=\"$(pick password username)\">" > form.html
END
plant moved-program unknown primary run.sh <<'END'
echo "exec $(pick /usr/bin /usr/sbin)/thing" > run.sh
END
plant year unknown primary LICENSE <<'END'
echo "Copyright (c) $(pick 2023 2024) the authors" > LICENSE
END
plant json-value unknown primary settings.json <<'END'
echo "{\"limit\": $(pick 10 20), \"name\": \"x\"}" > settings.json
END
plant made-executable unknown primary tool <<'END'
echo x > tool
chmod $(pick 644 755) tool
END
plant log-level unknown primary var/log/app.log <<'END'
mkdir -p var/log
echo "$(pick INFO WARN) started" > var/log/app.log
END
plant schedule unknown primary etc/cron.d/job <<'END'
mkdir -p etc/cron.d
echo "$(pick '10 3' '40 5') * * * root /usr/bin/job" > etc/cron.d/job
END
plant python-source pyc-code primary m.pyc <<'END'
echo "x = $(pick 1 2)" > m.py
python3 -m compileall -q -b --invalidation-mode unchecked-hash m.py
rm m.py
END
plant fixed-date unknown primary expiry.txt <<'END'
echo "valid until $(pick 2030-01-01 2035-06-30)" > expiry.txt
END
plant hex-colour unknown primary style.css <<'END'
echo "a { color: #$(pick 1a2b3c ff8800); }" > style.css
END
