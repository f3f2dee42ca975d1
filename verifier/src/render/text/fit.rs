//! Fits a report into the lines of a screen: what matters most is said first, and in full where
//! there is room.

use super::super::style::Line;

/// A part of the report, in forms from the shortest to the longest.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Each is a whole form of its own; the first may be empty.
    forms: Vec<Vec<Line>>,
}

impl Block {
    /// A block that is always there as it is.
    pub(super) fn fixed(lines: Vec<Line>) -> Self {
        Self { forms: vec![lines] }
    }

    /// A block that is left out where there is no room.
    pub(super) fn optional(forms: impl IntoIterator<Item = Vec<Line>>) -> Self {
        let forms = std::iter::once(Vec::new()).chain(forms);
        Self::forms(forms)
    }

    /// A block with these forms, shortest first.
    pub(super) fn forms(forms: impl IntoIterator<Item = Vec<Line>>) -> Self {
        Self {
            forms: forms.into_iter().collect(),
        }
    }

    /// Lines of the longest form.
    pub(super) fn most(&self) -> usize {
        self.forms.last().map_or(0, Vec::len)
    }

    fn lines(&self, form: usize) -> usize {
        self.forms.get(form).map_or(0, Vec::len)
    }
}

/// The lines of all blocks in their order, at most `height` where the shortest forms fit.
///
/// Room is given in turns: each block that can have its next form gets it, first those that come
/// first; so the first cause is not told at length while the second is not named.
pub(super) fn fit(blocks: Vec<Block>, height: Option<usize>) -> Vec<Line> {
    let mut chosen = vec![0; blocks.len()];
    let mut used: usize = blocks.iter().map(|block| block.lines(0)).sum();
    loop {
        let mut grown = false;
        for (block, form) in blocks.iter().zip(&mut chosen) {
            if *form + 1 >= block.forms.len() {
                continue;
            }
            let next = used - block.lines(*form) + block.lines(*form + 1);
            if height.is_none_or(|height| next <= height) {
                used = next;
                *form += 1;
                grown = true;
            }
        }
        if !grown {
            break;
        }
    }
    blocks
        .into_iter()
        .zip(chosen)
        .filter_map(|(mut block, form)| {
            (form < block.forms.len()).then(|| block.forms.swap_remove(form))
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::super::style::Style, *};

    fn lines(text: &str) -> Vec<Line> {
        text.split_whitespace()
            .map(|word| Line::new(Style::Plain, word))
            .collect()
    }

    fn fitted(height: Option<usize>) -> String {
        let blocks = vec![
            Block::fixed(lines("head")),
            Block::optional([lines("a"), lines("a a2 a3")]),
            Block::optional([lines("b"), lines("b b2")]),
        ];
        let lines = fit(blocks, height);
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        lines.join(" ")
    }

    #[test]
    fn room_is_given_in_turns() {
        for (height, expected) in [
            (Some(0), "head"),
            (Some(2), "head a"),
            (Some(3), "head a b"),
            (Some(4), "head a b b2"),
            (Some(5), "head a a2 a3 b"),
            (Some(6), "head a a2 a3 b b2"),
            (None, "head a a2 a3 b b2"),
        ] {
            assert_eq!(fitted(height), expected, "{height:?}");
        }
    }
}
