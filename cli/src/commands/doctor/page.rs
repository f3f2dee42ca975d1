//! The checks as people read them.

use super::{Builds, Check, Status};
use crate::{output::Meaning, text};

/// Columns of a mark.
const MARK: usize = 7;

/// One line or more a check, none longer than `width` where words allow it.
pub(super) fn text(checks: &[&Check], builds: Builds, width: usize) -> String {
    let names = checks.iter().map(|check| check.name.len());
    let names = names.max().unwrap_or(0);
    let indent = MARK + 2 + names + 2;
    let room = width.saturating_sub(indent);
    let mut lines = Vec::new();
    for check in checks {
        let (mark, meaning) = match check.status {
            Status::Ok => ("ok", Some(Meaning::Good)),
            Status::Warn => ("warn", Some(Meaning::Warning)),
            Status::Missing => ("MISSING", Some(Meaning::Bad)),
            Status::Absent => ("-", None),
        };
        let mark = format!("{mark:<MARK$}");
        let mark = meaning.map_or(mark.clone(), |meaning| meaning.paint(mark).to_string());
        let mut detail = wrapped(&check.detail, "", room).into_iter();
        let first = detail.next().unwrap_or_default();
        lines.push(format!("{mark}  {:<names$}  {first}", check.name));
        let notes = check.notes.iter().flat_map(|note| wrapped(note, "", room));
        let steps = check.next_steps.iter();
        let steps = steps.flat_map(|step| wrapped(step, "-> ", room));
        let rest = detail.chain(notes).chain(steps);
        lines.extend(rest.map(|line| format!("{:indent$}{line}", "")));
    }
    lines.push(String::new());
    let names = builds.names();
    lines.push(match names.as_slice() {
        [] => Meaning::Bad
            .paint("no step of a build can run on this machine".to_owned())
            .to_string(),
        ["native"] => "steps run in the sandbox of this machine (--executor native)".to_owned(),
        names => format!(
            "steps can run in: --executor {}",
            names.join(", --executor ")
        ),
    });
    lines.join("\n")
}

/// The words of `text` in lines of at most `width`; `mark` is before the first.
fn wrapped(text: &str, mark: &str, width: usize) -> Vec<String> {
    let text = text::one_line(text);
    let mut lines = vec![mark.to_owned()];
    for word in text.split(' ') {
        let line = lines.last().map_or("", String::as_str);
        let is_first = line.trim().is_empty() || line == mark;
        let length = line.chars().count() + usize::from(!is_first) + word.chars().count();
        if length > width && !is_first {
            lines.push(format!("{:1$}{word}", "", mark.len()));
        } else if let Some(line) = lines.last_mut() {
            if !is_first {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Group;

    #[test]
    fn lines_are_no_longer_than_the_screen_and_say_all() {
        let check = Check {
            notes: vec!["unix:///run/user/1000/podman/podman.sock: nobody listens on it".into()],
            ..Check::new(Group::Engines, "podman", Status::Missing, "none answers")
        }
        .next(["start it: `systemctl --user start podman.socket`, or `podman system service`"]);
        let builds = Builds {
            native: false,
            docker: false,
            podman: false,
        };
        let text = text(&[&check], builds, 60);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "\
MISSING  podman  none answers
                 unix:///run/user/1000/podman/podman.sock:
                 nobody listens on it
                 -> start it: `systemctl --user start
                    podman.socket`, or `podman system
                    service`

no step of a build can run on this machine"
        );
        assert!(plain.lines().all(|line| line.len() <= 60), "{plain}");
    }
}
