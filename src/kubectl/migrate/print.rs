//! Notes as YAML comments.

use super::{super::out::wrap, ledger::Note};

/// How wide comments may be.
const WIDTH: usize = 100;

/// The comments above a Rollout. Fields of which the same is to be said share one.
pub(super) fn comments(notes: &[Note]) -> Vec<String> {
    let mut grouped: Vec<(&Note, Vec<&str>)> = vec![];
    for note in notes {
        match grouped.iter_mut().find(|(first, _)| first.kind == note.kind && first.message == note.message) {
            Some((_, fields)) => fields.push(&note.field),
            None => grouped.push((note, vec![&note.field])),
        }
    }
    grouped.iter().flat_map(|(note, fields)| comment(note, fields)).collect()
}

fn comment(note: &Note, fields: &[&str]) -> Vec<String> {
    let text = format!("{}: {}: {}", note.kind.words(), fields.join(", "), note.message);
    let mut lines = wrap(&text, "#   ", Some(WIDTH));
    if let Some(first) = lines.first_mut() {
        *first = format!("# {}", first.trim_start_matches(['#', ' ']));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{super::ledger::Kind, *};

    #[test]
    fn comments_are_wrapped_and_the_same_is_said_once() {
        let note =
            |kind, field: &str, message: &str| Note { kind, field: field.into(), message: message.into() };
        let long = "word ".repeat(30);
        let lines = comments(&[
            note(Kind::NotCarried, "spec.a", "no"),
            note(Kind::ToDo, "spec.b", &long),
            note(Kind::NotCarried, "spec.c", "no"),
        ]);
        assert_eq!(lines[0], "# Not carried over: spec.a, spec.c: no");
        assert!(lines[1].starts_with("# To do: spec.b: word word"), "{}", lines[1]);
        assert!(lines[2].starts_with("#   word"), "{}", lines[2]);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
    }
}
