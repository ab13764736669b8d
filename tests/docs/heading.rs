//! The headings of a Markdown page, and how links name them.

/// A heading.
pub struct Heading {
    /// How many `#` it has.
    pub level: usize,
    /// What it says.
    pub text: String,
    /// Whether anything is said below it, up to the next one.
    pub says: bool,
}

/// The headings of a page, in their order. What stands in a fence is none.
pub fn headings(page: &str) -> Vec<Heading> {
    let mut found: Vec<Heading> = vec![];
    let mut fence: Option<usize> = None;
    for line in page.lines() {
        let bare = line.trim_start();
        let ticks = bare.chars().take_while(|sign| *sign == '`').count();
        match fence {
            Some(opened) if ticks >= opened && bare[ticks..].trim().is_empty() => fence = None,
            None if ticks >= 3 => fence = Some(ticks),
            _ => {}
        }
        let level = line.chars().take_while(|sign| *sign == '#').count();
        match line[level..].strip_prefix(' ') {
            Some(text) if fence.is_none() && level > 0 => {
                found.push(Heading { level, text: text.trim().to_owned(), says: false });
            }
            _ => {
                if let Some(last) = found.last_mut() {
                    last.says |= !line.trim().is_empty();
                }
            }
        }
    }
    found
}

/// A heading as links name it. Of a link in it only the text is shown.
pub fn slug(heading: &str) -> String {
    let mut shown = String::new();
    let mut rest = heading.trim();
    while let Some((before, after)) = rest.split_once("](") {
        shown.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    let kept = shown.chars().filter_map(|sign| match sign {
        ' ' => Some('-'),
        '-' | '_' => Some(sign),
        _ => Some(sign).filter(|sign| sign.is_alphanumeric()),
    });
    kept.flat_map(char::to_lowercase).collect()
}
