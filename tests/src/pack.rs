//! An evidence pack, as a reader of the documentation takes it apart.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use repro_core::fs::sorted_names;
use serde_json::Value;

use crate::{succeeds, tool};

/// Every file below `dir`.
#[must_use]
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_names(dir).expect("a directory can be listed") {
        let path = dir.join(name);
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The statement in a bundle, decoded by a program that is none of ours.
#[must_use]
pub fn statement(bundle: &Path) -> Value {
    let script = "import base64, json, sys; bundle = json.load(open(sys.argv[1])); \
                  payload = bundle['dsseEnvelope']['payload']; \
                  sys.stdout.buffer.write(base64.b64decode(payload, validate=True))";
    let mut python = std::process::Command::new(tool("python3"));
    let text = succeeds(python.args(["-c", script]).arg(bundle));
    serde_json::from_str(&text).expect("a statement is JSON")
}

/// A pack on disk.
#[derive(Debug)]
pub struct Pack {
    dir: PathBuf,
    /// `report.json`.
    pub report: Value,
}

impl Pack {
    /// Reads the report of the pack in `dir`.
    #[track_caller]
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let path = dir.join("reproducibility/report.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let report: Value = serde_json::from_slice(&text).expect("the report is JSON");
        assert_eq!(
            report["schema"], "https://intelgraph.io/repro/report/v1",
            "{report}"
        );
        Self {
            dir: dir.to_owned(),
            report,
        }
    }

    /// The verdict.
    #[track_caller]
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.report["verdict"]
            .as_str()
            .expect("a report has a verdict")
    }

    /// Digest of the image's manifest.
    #[track_caller]
    #[must_use]
    pub fn digest(&self) -> &str {
        self.report["image"]["manifestDigest"]
            .as_str()
            .expect("the report names the image")
    }

    /// The codes of the causes.
    #[must_use]
    pub fn causes(&self) -> Vec<&str> {
        self.list("causes", "code")
    }

    /// One field of each difference.
    #[must_use]
    pub fn differences(&self, field: &str) -> Vec<&str> {
        self.list("differences", field)
    }

    fn list(&self, list: &str, field: &str) -> Vec<&str> {
        self.report[list]
            .as_array()
            .expect("the report has the list")
            .iter()
            .map(|value| value[field].as_str().expect("the field is a text"))
            .collect()
    }

    /// One run.
    #[track_caller]
    #[must_use]
    pub fn run(&self, id: &str) -> &Value {
        let runs = self.report["runs"].as_array().expect("a report has runs");
        runs.iter()
            .find(|run| run["id"] == id)
            .unwrap_or_else(|| panic!("there is no run {id} in {runs:?}"))
    }

    /// The steps of one run, with their network and logs.
    #[track_caller]
    #[must_use]
    pub fn steps(&self, run: &str) -> &[Value] {
        self.run(run)["steps"].as_array().expect("a run has steps")
    }

    /// What the step at `line` of the Dockerfile printed; a step that printed nothing has no log.
    #[track_caller]
    #[must_use]
    pub fn log(&self, run: &str, line: u64) -> String {
        let step = self
            .steps(run)
            .iter()
            .find(|step| step["line"] == line)
            .unwrap_or_else(|| panic!("no step at line {line}: {}", self.report));
        let index = step["index"].as_u64().expect("a step has an index");
        let path = self.dir.join(format!("logs/run-{run}/{index:02}.log"));
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }
}
