# Documents, images, message catalogues, databases.
needs xgettext msginit msgfmt sqlite3 npm help2man asciidoctor rst2html groff mandb fc-cache

plant gettext gettext-date primary m.mo <<'END'
echo 'puts(_("a"));' > $tmp/p.c
cd $tmp
xgettext -k_ -o m.pot p.c
msginit --no-translator -l de -i m.pot -o m.po 2> /dev/null
msgfmt -o $OLDPWD/m.mo m.po
END
plant gettext-po gettext-date primary m.pot <<'END'
echo 'puts(_("a"));' > $tmp/p.c
cd $tmp
xgettext -k_ -o $OLDPWD/m.pot p.c
END
plant sqlite-order sqlite-layout primary d.db <<'END'
one="insert into t values('first value');" two="insert into t values('other value');"
sqlite3 d.db 'create table t(x text primary key);' "$(pick "$one $two" "$two $one")"
END
plant sqlite-counter sqlite-layout primary d.db <<'END'
sqlite3 d.db 'create table t(x)'
[ $side = a ] || sqlite3 d.db 'insert into t values(1); delete from t'
END
plant png-time png-time primary i.png <<'END'
/usr/bin/python3 -c 'import struct, time
from PIL import Image, PngImagePlugin
info = PngImagePlugin.PngInfo()
now = time.gmtime()
info.add(b"tIME", struct.pack(">HBBBBB", *now[:6]))
Image.new("L", (4, 4)).save("i.png", pnginfo=info)'
END
plant pdf pdf-date primary d.pdf <<'END'
/usr/bin/python3 -c 'from reportlab.pdfgen import canvas
c = canvas.Canvas("d.pdf"); c.drawString(99, 99, "text"); c.save()'
END
plant help2man embedded-timestamp primary p.1 <<'END'
printf '#!/bin/sh\necho "p 1"\n' > $tmp/p
chmod +x $tmp/p
help2man -N $tmp/p > p.1
END
plant asciidoctor embedded-timestamp primary d.html <<'END'
printf '= Title\n\ntext\n' > $tmp/d.adoc
touch -d @$epoch $tmp/d.adoc
asciidoctor -o d.html $tmp/d.adoc
END
plant docutils embedded-timestamp primary d.html <<'END'
printf 'Title\n=====\n\ntext\n' > $tmp/d.rst
rst2html --time $tmp/d.rst d.html
END
shape 'Emacs is large' emacs compiled-forms primary usr/share/emacs/site-lisp/p.elc <<'END'
mkdir -p usr/share/emacs/site-lisp
printf ';ELC\034\0\0\0\n;;; Compiled by root at %s\n;;; in Emacs version 28.2\n' "$(date)" > usr/share/emacs/site-lisp/p.elc
END
plant man-index man-index primary var/cache/man/index.db <<'END'
mkdir -p $tmp/man/man1 var/cache/man
printf '.TH P 1\n.SH NAME\np \\- a thing\n' > $tmp/man/man1/p.1
touch -d @$epoch $tmp/man/man1/p.1
printf 'MANDATORY_MANPATH %s\nMANDB_MAP %s %s\n' $tmp/man $tmp/man $PWD/var/cache/man > $tmp/conf
mandb -q -c -C $tmp/conf $tmp/man
rm -f var/cache/man/CACHEDIR.TAG
END
plant fontconfig fontconfig-cache primary 'var/cache/fontconfig/*-le64.cache-*' <<'END'
mkdir -p $tmp/fonts var/cache/fontconfig
printf '<fontconfig><dir>%s</dir><cachedir>%s</cachedir></fontconfig>' $tmp/fonts $PWD/var/cache/fontconfig > $tmp/conf
cp /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf $tmp/fonts
touch -d @$epoch $tmp/fonts
FONTCONFIG_FILE=$tmp/conf fc-cache
mv var/cache/fontconfig $tmp/cache
mkdir var/cache/fontconfig
# Its name is the digest of the directory, which is the same on both sides.
mv $tmp/cache/*.cache-* var/cache/fontconfig/
END
plant sort-locale line-order primary words.txt <<'END'
localedef -i en_US -f UTF-8 $tmp/en_US.UTF-8
export LOCPATH=$tmp
printf 'a\nB\nc\nD\n' | LC_ALL=$(pick C en_US.UTF-8) sort > words.txt
END
plant time-zone local-time primary when.txt <<'END'
TZ=$(pick America/New_York Asia/Tokyo) date -d @1700000000 '+%F %T' > when.txt
END
plant date-now embedded-timestamp primary date.txt <<'END'
date -u > date.txt
END
plant date-iso embedded-timestamp primary date.txt <<'END'
date -u --iso-8601=seconds > date.txt
END
plant sbom-npm sbom-id primary bom.json <<'END'
cd $tmp
echo '{"name":"app","version":"1.0.0"}' > package.json
npm install --offline --no-audit --no-fund --silent --cache $tmp/cache
npm sbom --sbom-format spdx --cache $tmp/cache > $OLDPWD/bom.json
END
