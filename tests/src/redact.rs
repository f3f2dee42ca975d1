//! Makes output comparable: what differs between two runs of a test becomes a placeholder.

use std::path::Path;

/// Replaces the paths of a test, digests, durations and times by placeholders.
#[must_use]
pub(crate) fn redact(text: &str, paths: &[(&Path, &str)]) -> String {
    let mut text = text.to_owned();
    for (path, name) in paths {
        text = text.replace(&path.display().to_string(), name);
    }
    let lines: Vec<String> = text.lines().map(redact_line).collect();
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn redact_line(line: &str) -> String {
    let mut redacted = String::new();
    let mut word = String::new();
    // Word by word, a word being what digests and times are written in.
    for c in line.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '.' | '+') {
            word.push(c);
            continue;
        }
        redacted.push_str(placeholder(&word).unwrap_or(&word));
        word.clear();
        if c != '\0' {
            redacted.push(c);
        }
    }
    redacted
}

fn placeholder(word: &str) -> Option<&'static str> {
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(digest) = word.strip_prefix("sha256:") {
        return (hex(digest) && matches!(digest.len(), 12 | 64)).then_some("[DIGEST]");
    }
    if word.len() == 64 && hex(word) {
        return Some("[HEX]");
    }
    let bytes = word.as_bytes();
    let is_time = bytes.len() >= 20
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && word.ends_with('Z');
    is_time.then_some("[TIME]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_hidden_and_nothing_else() {
        let digest = "0123456789abcdef".repeat(4);
        let text = format!(
            "a sha256:{digest}, sha256:0123456789ab at /tmp/x/store\n\"{digest}\" \
             2026-11-23T22:20:38Z sha256:zz 12\n"
        );
        assert_eq!(
            redact(&text, &[(Path::new("/tmp/x"), "[ROOT]")]),
            "a [DIGEST], [DIGEST] at [ROOT]/store\n\"[HEX]\" [TIME] sha256:zz 12\n"
        );
        assert_eq!(redact("", &[]), "");
    }
}
