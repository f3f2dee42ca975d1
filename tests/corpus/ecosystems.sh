# Node, Java, Ruby, PHP, Perl and others with a package manager of their own.
needs npm node java javac javadoc keytool gem ruby composer perl

plant npm-cache npm-cache primary 'root/.npm/_cacache/index-v5/*/*/*' <<'END'
mkdir -p $tmp/p $tmp/app
echo '{"name":"p","version":"1.0.0"}' > $tmp/p/package.json
echo '{"name":"app","version":"1.0.0"}' > $tmp/app/package.json
options="--offline --cache $PWD/root/.npm --no-audit --no-fund --logs-max=0 --loglevel=error"
cd $tmp/p
npm pack $options > /dev/null
npm cache add $options ./p-1.0.0.tgz
END
plant npm-log npm-cache primary 'root/.npm/_logs/*-debug-0.log' <<'END'
npm config get cache --cache $PWD/root/.npm > /dev/null
END
shape 'the Node.js of Debian is too old for it' \
    node-compile-cache node-compile-cache primary tmp/node-compile-cache/v22-x64/aa <<'END'
mkdir -p tmp/node-compile-cache/v22-x64
head -c 200 /dev/urandom > tmp/node-compile-cache/v22-x64/aa
END
shape 'pnpm is no package of Debian' pnpm node-modules-state primary app/node_modules/.modules.yaml <<'END'
mkdir -p app/node_modules
printf 'layoutVersion: 5\nprunedAt: %s\n' "$(date -u '+%a, %d %b %Y %T GMT')" > app/node_modules/.modules.yaml
END
shape 'Next.js is large' bundler bundler-id primary app/.next/BUILD_ID <<'END'
mkdir -p app/.next
node -e 'process.stdout.write(require("crypto").randomBytes(16).toString("base64url").slice(0, 21))' > app/.next/BUILD_ID
END
# A Java machine takes ten times as long where the clock is preloaded: a second goes by instead.
plant java-properties java-properties-date primary v.properties <<'END'
unset LD_PRELOAD
[ $side = a ] || sleep 1.1
echo 'import java.io.*; import java.util.*;
class P { public static void main(String[] a) throws IOException {
    Properties p = new Properties(); p.setProperty("k", "v");
    p.store(new FileWriter("v.properties"), null); } }' > $tmp/P.java
java -Xshare:auto -XX:TieredStopAtLevel=1 $tmp/P.java
END
plant javadoc javadoc-date primary doc/P.html <<'END'
unset LD_PRELOAD
[ $side = a ] || sleep 1.1
echo '/** A class. */ public class P {}' > $tmp/P.java
javadoc -quiet -d doc $tmp/P.java > /dev/null
END
plant keytool java-keystore primary etc/ssl/certs/java/cacerts <<'END'
unset LD_PRELOAD
mkdir -p etc/ssl/certs/java
openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -out $tmp/c.pem -subj /CN=x 2> /dev/null
keytool -importcert -noprompt -storetype jks -storepass changeit -alias x -file $tmp/c.pem \
    -keystore etc/ssl/certs/java/cacerts 2> /dev/null
END
plant jar-signed embedded-signature+archive-time primary f.jar <<'END'
unset LD_PRELOAD
echo x > $tmp/x
jar --create --file=f.jar --date=2024-01-01T00:00:00Z -C $tmp x
keytool -genkeypair -storetype pkcs12 -storepass changeit -alias k -dname CN=x -keyalg EC -keystore $tmp/k 2> /dev/null
jarsigner -keystore $tmp/k -storepass changeit f.jar k > /dev/null
END
shape 'Maven is large' maven maven-state primary root/.m2/repository/p/_remote.repositories <<'END'
mkdir -p root/.m2/repository/p
printf '#NOTE: This is a Maven Resolver internal implementation file\n#%s\np-1.jar>central=\n' "$(date)" > root/.m2/repository/p/_remote.repositories
END
shape 'Gradle is no package of Debian that runs' gradle gradle-state primary root/.gradle/caches/journal-1/file-access.properties <<'END'
mkdir -p root/.gradle/caches/journal-1
printf '#%s\ninceptionTimestamp=%s\n' "$(date)" $(date +%s%3N) > root/.gradle/caches/journal-1/file-access.properties
END
gem='mkdir -p $tmp/g/ext
cd $tmp/g
echo "all:" > ext/Makefile.in
printf "#!/bin/sh\necho built in \$PWD at \$(date)\nprintf \"all clean install:\\\\n\\\\t@echo done\\\\n\" > Makefile\n" > ext/configure
chmod +x ext/configure
cat > p.gemspec <<G
Gem::Specification.new do |s|
  s.name = "p"; s.version = "1"; s.summary = "s"; s.authors = ["a"]; s.files = ["ext/configure"]
  s.extensions = ["ext/configure"] if ENV["EXT"]
end
G
gem build -q p.gemspec > /dev/null 2>&1
'
plant gem-date gem-date primary gems/specifications/p-1.gemspec <<END
to=\$PWD
$gem
gem install -q --local --no-document --install-dir \$to/gems p-1.gem > /dev/null
END
plant gem-package gem-date+archive-time+derived-checksum+gzip-header primary p-1.gem <<END
to=\$PWD
$gem
cp p-1.gem \$to
END
plant gem-extension gem-log primary 'gems/extensions/*/*/p-1/gem_make.out' <<END
to=\$PWD
export EXT=1
$gem
gem install -q --local --no-document --install-dir \$to/gems p-1.gem > /dev/null
END
plant composer composer-suffix primary vendor/composer/autoload_real.php <<'END'
echo '{"name":"a/b","autoload":{"psr-4":{"":"src/"}}}' > composer.json
COMPOSER_ALLOW_SUPERUSER=1 composer dump-autoload -q
END
plant perl-hash-order line-order primary hash.txt <<'END'
export PERL_HASH_SEED=$(pick 1 7)
perl -e '%h = map { $_ => 1 } "aa" .. "az"; print "$_\n" for keys %h' > hash.txt
END
plant pod2man embedded-timestamp primary p.3 <<'END'
printf '=head1 NAME\n\np - a thing\n' > $tmp/p.pod
pod2man < $tmp/p.pod > p.3
END
shape 'R is large' r-description r-package-date primary usr/lib/R/site-library/p/DESCRIPTION <<'END'
mkdir -p usr/lib/R/site-library/p
printf 'Package: p\nVersion: 1\nBuilt: R 4.2.2; ; %s UTC; unix\n' "$(date '+%F %T')" > usr/lib/R/site-library/p/DESCRIPTION
END
shape 'conda is no package of Debian' conda conda-history primary opt/conda/conda-meta/history <<'END'
mkdir -p opt/conda/conda-meta
printf '==> %s <==\n# cmd: conda install x\n' "$(date '+%F %T')" > opt/conda/conda-meta/history
END
shape 'GHC is large' haskell haskell-interface primary usr/lib/haskell/P.hi <<'END'
mkdir -p usr/lib/haskell
printf '\1\372\316\144' > usr/lib/haskell/P.hi
head -c 60 /dev/urandom >> usr/lib/haskell/P.hi
END
