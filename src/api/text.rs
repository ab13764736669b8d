//! Texts of others, as one line.

/// A text as one line that shows as it is written: at most so many characters, without line breaks, other control characters
/// and those that change how what is around them shows.
pub fn one_line(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let plain = plain.trim();
    match plain.char_indices().nth(most) {
        Some(_) => plain.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => plain.to_owned(),
    }
}

/// Why something can't be read, in a few words: the reader repeats words of what it read, however long they are.
pub fn why_unreadable(error: &serde_json::Error) -> String {
    one_line(&error.to_string(), 300)
}

fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !turns && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_no_longer() {
        let cases = [
            ("", 3, ""),
            (" \n\t", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ééé", 2, "é…"),
            ("abc", 1, "…"),
            ("\u{7}a\r\nb\u{2028}c\u{202e}d\t", 9, "a  b c d"),
        ];
        for (text, most, want) in cases {
            assert_eq!(one_line(text, most), want, "{text:?}");
        }
    }
}
