#!/bin/sh
# Makes the keys and signed texts beside it, with GnuPG. They are committed, so that the tests need
# no GnuPG and no randomness; the secret keys are thrown away.
set -eu
cd "$(dirname "$0")"
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
# Everything happens in 2026, but for what is said to be older.
now=20260711T101637
g() { gpg --batch --quiet --no-tty --pinentry-mode loopback --passphrase '' --faked-system-time "$now!" "$@"; }

# key NAME ALGORITHM EXPIRY [USAGE]
key() { g --quick-generate-key "$1@keys.example" "$2" "${4-sign}" "$3"; }

key good ed25519 never
key other rsa3072 never
key weak rsa1024 never
key stranger ed25519 never
key revoked ed25519 never
now=20250101T000000
key expired ed25519 2025-06-01
now=20260711T101637
key parent ed25519 never cert
fingerprint=$(g --with-colons --list-keys parent@keys.example | awk -F: '/^fpr/ {print $10; exit}')
g --quick-add-key "$fingerprint" ed25519 sign never

cat >text <<'TEXT'
Origin: Example
Suite: stable
Codename: moon
Date: Sat, 11 Jul 2026 10:16:37 UTC
Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC
Acquire-By-Hash: yes
SHA256:
 00000000000000000000000000000000000000000000000000000000000000ff 12 main/binary-amd64/Packages
TEXT

# sign FILE KEY...
sign() {
    file=$1
    shift
    users=
    for one in "$@"; do users="$users --local-user $one@keys.example"; done
    # shellcheck disable=SC2086
    g $users ${digest:+--digest-algo $digest} ${extra-} --armor --clearsign --output - text >"$file.asc"
}

sign good good
sign subkey parent
sign two good other
sign stranger stranger
sign mixed stranger good
sign weak weak
sign revoked revoked
digest=SHA1 extra=--allow-weak-digest-algos sign sha1 other
digest=SHA512 sign sha512 other
extra='--default-sig-expire 2026-08-01' sign short good
now=20250201T000000 sign expired expired
now=20300101T000000 sign future good

# A revocation that its owner would publish.
home=$GNUPGHOME/openpgp-revocs.d
revoked=$(g --with-colons --list-keys revoked@keys.example | awk -F: '/^fpr/ {print $10; exit}')
sed 's/^:-----/-----/' "$home/$revoked.rev" | g --import
g --armor --export good@keys.example other@keys.example weak@keys.example expired@keys.example \
    parent@keys.example revoked@keys.example >keyring.asc
rm text

# An archive of one package, whose release names its index as it is and compressed.
cat >Packages <<'TEXT'
Package: tool
Version: 1.0-1
Architecture: all
Filename: pool/main/t/tool/tool_1.0-1_all.deb
Size: 100
SHA256: 00000000000000000000000000000000000000000000000000000000000000ff
TEXT
gzip --no-name --best --keep --force Packages
# release NAME DIGEST-OF-Packages
release() {
    {
        printf 'Suite: stable\nCodename: moon\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n'
        printf 'Acquire-By-Hash: yes\nSHA256:\n'
        printf ' %s %s main/binary-%s/Packages\n' "$2" "$(stat -c %s Packages)" amd64
        printf ' %s %s main/binary-%s/Packages.gz\n' \
            "$(sha256sum <Packages.gz | cut -c-64)" "$(stat -c %s Packages.gz)" amd64
    } >text
    now=20260711T101637 digest='' extra='' sign "$1" good
    rm text
}
release archive "$(sha256sum <Packages | cut -c-64)"
release other 00000000000000000000000000000000000000000000000000000000000000ff
rm Packages
