//! One line of comma-separated values.

/// The fields of a line; `None` where a quote is not closed or stands inside a field. A field in
/// double quotes may hold commas, and a doubled quote stands for one.
#[must_use]
pub fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        if !rest.starts_with('"') && field.contains('"') {
            return None;
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn quoted_field(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let quote = rest.find('"')?;
        field.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas() {
        for (line, expected) in [
            ("a=b,c", Some(vec!["a=b", "c"])),
            ("\"a=b,c\",d", Some(vec!["a=b,c", "d"])),
            ("\"a=\"\"b\"\"\"", Some(vec!["a=\"b\""])),
            ("a,", Some(vec!["a", ""])),
            ("", Some(vec![""])),
            ("\"a", None),
            ("\"a\"b", None),
            ("a\"b\"", None),
        ] {
            let found = fields(line);
            let found: Option<Vec<&str>> = found
                .as_ref()
                .map(|fields| fields.iter().map(String::as_str).collect());
            assert_eq!(found, expected, "{line}");
        }
    }
}
