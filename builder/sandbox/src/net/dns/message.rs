//! The little of the DNS message format (RFC 1035, section 4) that a refusal needs.

/// Bytes before the question.
const HEADER: usize = 12;
/// Longest name on the wire (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;
/// Rcode 5: the server refuses.
const REFUSED: u8 = 5;

/// A question and its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Labels joined by dots, lower case; `.` for the root.
    pub(super) name: Vec<u8>,
    /// The message to send back.
    pub(super) refusal: Vec<u8>,
}

/// The first question of a message; `None` if it is none.
pub(super) fn question(message: &[u8]) -> Option<Question> {
    let header = message.get(..HEADER)?;
    let is_response = header[2] & 0x80 != 0;
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if is_response || questions == 0 {
        return None;
    }
    let mut name = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            // Longer ones are pointers, which have no place in a first question.
            1..=63 => {
                let label = message.get(at..at + length)?;
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                at += length;
            }
            _ => return None,
        }
        if name.len() > MAX_NAME {
            return None;
        }
    }
    if name.is_empty() {
        name.push(b'.');
    }
    let end = at + 4;
    let mut refusal = message.get(..end)?.to_vec();
    // The same id and operation, recursion as asked for; a response, no other sections.
    refusal[2] = header[2] & 0x79 | 0x80;
    refusal[3] = REFUSED;
    refusal[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    Some(Question { name, refusal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &[u8]) -> Vec<u8> {
        let header = [0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], name, &[0, 1, 0, 1]].concat()
    }

    #[test]
    fn a_question_is_refused_with_its_own_id() {
        let question = question(&ask(b"\x03WWW\x07example\0")).unwrap();
        assert_eq!(question.name, b"www.example");
        assert_eq!(question.refusal[..4], [0x12, 0x34, 0x81, 5]);
        assert_eq!(question.refusal.len(), ask(b"\x03www\x07example\0").len());
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        assert_eq!(question(&[]), None);
        assert_eq!(question(&ask(b"\xc0\x0c")), None);
        assert_eq!(question(&ask(b"\x3fshort\0")), None);
        let mut response = ask(b"\0");
        response[2] |= 0x80;
        assert_eq!(question(&response), None);
        let endless = b"\x3f".repeat(1000);
        assert_eq!(question(&ask(&endless)), None);
    }

    #[test]
    fn every_cut_is_survived() {
        let whole = ask(b"\x03www\x07example\0");
        for end in 0..whole.len() {
            assert_eq!(question(&whole[..end]), None, "{end}");
        }
    }
}
