//! The event stream of `--progress json`.

use serde_json::Value;

use crate::Ended;

/// What a command reported while it worked, in order.
#[derive(Debug)]
pub struct Events(pub Vec<Value>);

impl Events {
    /// Reads the stream.
    ///
    /// # Panics
    /// If a line of standard error is no event of version 1.
    #[must_use]
    pub fn of(output: &Ended) -> Self {
        let read = |line: &str| {
            let event: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(event["version"], 1, "{line}");
            event
        };
        Self(output.stderr.lines().map(read).collect())
    }

    /// The events of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.0
            .iter()
            .filter(|event| event["event"] == kind)
            .collect()
    }
}

/// The titles of the tasks that were begun.
#[must_use]
pub fn tasks(events: &Events) -> Vec<String> {
    events
        .of_kind("task-started")
        .iter()
        .map(|event| {
            event["title"]
                .as_str()
                .expect("a task has a title")
                .to_owned()
        })
        .collect()
}
