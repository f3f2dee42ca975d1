//! A process that is killed while it writes leaves a sound store behind.
//!
//! A test without the usual harness: the process that is killed is this program itself, called
//! with [`VICTIM`].

#![expect(
    clippy::unwrap_used,
    reason = "a test; only functions marked as one are exempt"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _, stdout},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use repro_core::{
    build::InvocationId,
    event::NoEvents,
    image::{ImageConfig, StoredImage, write_image},
    layer::LayerBuilder,
    ruleset::Ruleset,
    store::{GcError, Store},
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

/// First argument of the process that is killed; the second is the store.
const VICTIM: &str = "write-until-killed";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, root] if word == VICTIM => write_until_killed(root.as_ref()),
        _ => a_killed_process_leaves_a_sound_store(),
    }
}

fn image(store: &Store, content: &[u8]) -> StoredImage {
    let mut layer = LayerBuilder::new(store.blobs(), Ruleset::V1);
    let entry = Entry {
        path: TreePath::parse(b"x").unwrap(),
        kind: EntryKind::File {
            size: content.len() as u64,
        },
        meta: Meta::default(),
    };
    layer.entry(&entry, &mut &content[..]).unwrap();
    let layer = layer.finish().unwrap().unwrap().descriptor();
    let config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
    write_image(store.blobs(), &config, &[layer]).unwrap()
}

fn write_until_killed(root: &Path) {
    let store = Store::open(root).unwrap();
    let id = format!("victim-{}", std::process::id());
    let invocation = InvocationId::try_from(id).unwrap();
    let _run = store.create_run(&invocation).unwrap();
    for round in 0_u64.. {
        let image = image(&store, &round.to_le_bytes().repeat(40_000));
        let name = format!("victim:{}", round % 3);
        store
            .tag(&name.parse().unwrap(), &image.descriptor)
            .unwrap();
        let mut progress = stdout();
        writeln!(progress, "{round}").unwrap();
    }
}

fn a_killed_process_leaves_a_sound_store() {
    let dir = tempfile::tempdir().unwrap();
    for wait in [0, 3, 11, 23, 42] {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .arg(VICTIM)
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // After its first image, and then at another point of its work each time.
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "0");
        sleep(Duration::from_millis(wait));
        victim.kill().unwrap();
        victim.wait().unwrap();

        let mut store = Store::open(dir.path()).unwrap();
        let report = store.verify(&NoEvents).unwrap();
        assert!(report.damage.is_empty(), "{report:?}");
        assert!(report.tags > 0);
        let stale = store.stale_runs().unwrap();
        assert_eq!(stale.len(), 1, "the victim's run directory");
        for run in stale {
            run.remove().unwrap();
        }
        store.gc::<GcError>(|_, _| Ok(())).unwrap();
        assert!(store.verify(&NoEvents).unwrap().leftovers.is_empty());
        image(&store, b"the next build works");
    }
}
