//! A user with no id but its own: who owns what is written down by a supervisor.

use repro_tests::{TestContext, User};

/// A package whose script makes a user and gives it files, installed by apt, whose own helper gives up
/// root and makes sure that it cannot get it back.
const PACKAGE: &str = "\
FROM c
RUN mkdir -p /b/DEBIAN /b/srv/app /repo
COPY <<control /b/DEBIAN/control
Package: app
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a user and its files
control
COPY --chmod=755 <<postinst /b/DEBIAN/postinst
#!/bin/sh
set -e
useradd --system --user-group app
chown -R app:app /srv/app
chmod 4755 /srv/app/tool
postinst
RUN echo x >/b/srv/app/tool && dpkg-deb --build --root-owner-group /b /repo/app.deb && rm -r /b && cd /repo && { dpkg-deb -f app.deb && echo 'Filename: ./app.deb' && stat -c 'Size: %s' app.deb && sha256sum app.deb | sed 's/^/SHA256: /; s/  .*//'; } >Packages
RUN rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] copy:/repo ./' >/etc/apt/sources.list && apt-get update && apt-get install -y app && rm -rf /var/lib/apt/lists /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY <<source /capable.c
#include <stdio.h>
#include <sys/xattr.h>
int main(int count, char **names) {
    unsigned char net_raw[20] = {1, 0, 0, 2, 0, 0x20}, seen[64] = {0};
    if (setxattr(names[1], \"security.capability\", net_raw, 20, 0)) return 1;
    ssize_t size = getxattr(names[1], \"security.capability\", seen, 64);
    return printf(\"capability of %zd bytes, version %d\\n\", size, seen[3]) < 0;
}
source
RUN gcc -o /capable /capable.c && cp /bin/true /usr/bin/raw && /capable /usr/bin/raw && rm /capable /capable.c
RUN dpkg --verify app && stat -c '%U:%G %a %n' /srv/app /srv/app/tool
RUN su -s /bin/sh app -c 'id -un && touch /srv/app/own && ! touch /srv/no && ! chown root /srv/app/own'
USER app
RUN id -u -n && touch /tmp/mine && ! echo x >>/etc/passwd && stat -c '%U %n' /tmp/mine
";

fn digest(context: &TestContext, ids: &str) -> String {
    let project = context.project("package", &[("Dockerfile", PACKAGE)]);
    let (ended, pack) = context.built(&project, 0);
    ended.says([
        "app:app 755 /srv/app",
        "app:app 4755 /srv/app/tool",
        "app /tmp/mine",
        "capability of 20 bytes, version 2",
    ]);
    assert_eq!(pack.run("a")["userIds"], ids);
    assert_eq!(pack.verdict(), "reproducible");
    pack.digest().to_owned()
}

#[test]
fn privileged_apt_and_dpkg_work_and_give_what_they_give_root() {
    let root = digest(&TestContext::new(), "range");
    let one = TestContext::with_packages_in_memory(User::with_one_id());
    assert_eq!(digest(&one, "one"), root);
}

#[test]
fn privileged_what_cannot_be_had_with_one_id_is_said() {
    let context = TestContext::with_empty_store(User::with_one_id());
    context.repro(["doctor"]).run().any().prints([
        "all users of a step are this user",
        "usermod --add-subuids",
        "plain copies",
    ]);
    let project = context.project("p", &[("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")]);
    let (build, _) = context.build(&project);
    build
        .args(["--snapshotter", "overlay"])
        .run()
        .exits(5)
        .says(["one id", "--snapshotter plain-copy"]);
    let pack = context.built(&project, 0).1;
    let finding = &pack.report["findings"][0];
    assert_eq!(finding["code"], "users-not-kept-apart", "{}", pack.report);
}
