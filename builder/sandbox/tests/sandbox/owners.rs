//! Who owns what, and who is who: as the kernel has it, and where a step has one id as the supervisor
//! does.

use repro_core::{
    build::{StepAction, Variation},
    tree::Entry,
};

use crate::bench::{Bench, Layer, sh};

crate::trials![
    owners_are_shown_as_they_were_given,
    a_change_of_owner_takes_the_set_id_bits,
    a_deleted_file_leaves_its_owner_to_nobody,
    new_files_belong_to_whoever_made_them,
    directories_hand_their_group_on,
    who_gave_root_up_cannot_take_it_again,
    an_orphan_stays_who_it_was,
    only_root_gives_files_away,
    paths_are_those_of_a_changed_root,
    ids_beyond_those_of_a_step_are_refused,
    owners_go_from_step_to_step,
];

/// What a script prints.
fn output(script: &str) -> String {
    Bench::new().sh(script).output
}

fn owners_are_shown_as_they_were_given() {
    let seen = output(
        "mkdir d; echo > d/f; ln -s f d/l; ln d/f d/h; chown 7:8 d/f; chown -h 9:10 d/l; \
         stat -c '%n %u:%g' d d/f d/l d/h; stat -L -c '%u:%g' d/l; stat -L -c '%u:%g' /dev/stdin < d/f",
    );
    assert_eq!(seen, "d 0:0\nd/f 7:8\nd/l 9:10\nd/h 7:8\n7:8\n7:8\n");
}

fn a_change_of_owner_takes_the_set_id_bits() {
    let seen = output("echo > f; chmod 6755 f; chown 7 f; stat -c '%a %u:%g' f");
    assert_eq!(seen, "755 7:0\n");
}

fn a_deleted_file_leaves_its_owner_to_nobody() {
    let seen = output(
        "for i in 1 2 3 4 5 6 7 8 9; do echo > f; stat -c %u f; chown 7 f; rm f; done | sort -u",
    );
    assert_eq!(seen, "0\n");
}

fn new_files_belong_to_whoever_made_them() {
    let seen = output(
        "mkdir d; chmod 1777 d; su ann -s /bin/sh -c 'umask 027; cd d; id -u; echo > f; mkdir e; \
         ln -s gone l; mkfifo p; echo > l'; stat -c '%n %U %a' d/f d/e d/l d/p d/gone",
    );
    let expected = "1000\nd/f ann 640\nd/e ann 750\nd/l ann 777\nd/p ann 640\nd/gone ann 640\n";
    assert_eq!(seen, expected);
}

fn directories_hand_their_group_on() {
    let seen = output(
        "mkdir d; chown 0:50 d; chmod 2755 d; echo > d/f; mkdir d/e; echo > d/e/f; \
         stat -c '%g %a' d/f d/e d/e/f",
    );
    assert_eq!(seen, "50 644\n50 2755\n50 644\n");
}

fn who_gave_root_up_cannot_take_it_again() {
    let seen = output("su ann -s /bin/sh -c 'id -u; id -g; su root -c id 2>&1 || echo refused'");
    assert!(seen.ends_with("refused\n"), "{seen}");
    assert!(!seen.contains("uid=0"), "{seen}");
}

/// Its parent is gone when it asks for the first time.
fn an_orphan_stays_who_it_was() {
    let seen = output(
        "mkdir d; chmod 777 d; su ann -s /bin/sh -c '(sleep 1; id -u > d/id) & exit'; sleep 2; cat d/id; \
         stat -c %U d/id",
    );
    assert_eq!(seen, "1000\nann\n");
}

fn only_root_gives_files_away() {
    let seen = output(
        "mkdir d; chmod 777 d; su ann -s /bin/sh -c 'cd d; echo > f; chown 0 f 2>/dev/null || echo refused; \
         chown ann f && echo kept'; stat -c %U d/f",
    );
    assert_eq!(seen, "refused\nkept\nann\n");
}

fn paths_are_those_of_a_changed_root() {
    let seen = output(
        "mkdir -p r/bin r/d; cp /bin/busybox r/bin; echo > d; chown 3 d; echo > r/d/f; ln -s /d/f r/l; \
         /bin/busybox chroot r /bin/busybox chown 5 /l; stat -c %u r/d/f d; \
         cd r/d; /bin/busybox chroot .. /bin/busybox stat -c %u d/../../../d/f",
    );
    assert_eq!(seen, "5\n3\n5\n");
}

fn ids_beyond_those_of_a_step_are_refused() {
    let seen = output(
        "echo > f; chown 65536 f 2>/dev/null || echo refused; chown 65535 f && stat -c %u f",
    );
    assert_eq!(seen, "refused\n65535\n");
}

fn owners_go_from_step_to_step() {
    let bench = Bench::new();
    let first = bench.spec(StepAction::Run(sh(
        "mkdir /x; echo > /x/f; ln -s f /x/l; chown -hR 7:8 /x",
    )));
    let variation = Variation::run_a();
    let seen = bench.run_spec(&first, &variation).unwrap();
    assert_eq!(owners(&seen.layer), ["x 7:8", "x/f 7:8", "x/l 7:8"]);
    let mut second = bench.spec(StepAction::Run(sh("stat -c %u:%g /x/l; chmod 600 /x/f")));
    second.parents.push(first.output);
    let seen = bench.run_spec(&second, &variation).unwrap();
    assert_eq!(seen.output, "7:8\n");
    assert_eq!(owners(&seen.layer), ["x/f 7:8"]);
}

fn owners(layer: &Layer) -> Vec<String> {
    let owner = |(entry, _): &(Entry, Vec<u8>)| {
        format!("{} {}:{}", entry.path, entry.meta.uid, entry.meta.gid)
    };
    layer.0.iter().map(owner).collect()
}
