#!/bin/sh
# Plants pairs of files that differ for a known cause, each made by the tool that is known to make
# it: plant.sh DIR FAMILY... writes DIR/a and DIR/b, a directory for each case of the families, which
# are files beside this one (`blind/archives` too), and DIR/expected, a line for each case.
set -eu
out=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out/a" "$out/b"
out=$(cd "$out" && pwd)
clock=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1)
[ -e "$clock" ] || {
    echo "corpus: faketime is missing; tests/run installs what the corpus needs" >&2
    exit 1
}
# Debian's own tools first, and nobody's settings.
RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}"
PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
home=$out/home
mkdir -p "$home"
umask 022
. "$here/lib.sh"

# The families do not wait for each other.
running=
for family in "$@"; do
    (
        file=$here/$family.sh
        family=$(echo "$family" | tr / -)
        tmp=$out/tmp.$family
        . "$file"
    ) &
    running="$running $!"
done
failed=0
for process in $running; do
    wait "$process" || failed=1
done
[ $failed -eq 0 ] || exit 1
cat "$out"/expected.* > "$out/expected"

# Where nothing differs no cause may be named.
for side in a b; do
    mkdir -p "$out/$side/equal"
    (cd "$out/$side/equal" && date -u -d @1700000000 > date.txt && seq 1000 | gzip -n > s.gz \
        && echo '{"serialNumber":"x"}' > bom.json && hostname > host.txt)
done

# Times of the files themselves are another matter.
find "$out/a" "$out/b" -exec touch -hcd @1700000000 {} +
