//! What may have been meant by a field that is unknown: the known one that is nearest in spelling.

use serde_json::Value;

/// So many letters may differ at most.
const MOST_ODD: usize = 2;

/// The field beside an unknown one that is spelled most like it, by the schema that both stand in.
pub(super) fn meant(schema: &Value, path: &str) -> Option<String> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut known = schema;
    for step in parent.split('.').filter(|step| !step.is_empty()) {
        let (name, lists) =
            step.split_once('[').map_or((step, 0), |(name, rest)| (name, rest.matches(']').count()));
        known = &known["properties"][name];
        for _ in 0..lists {
            known = &known["items"];
        }
    }
    let fields = known.get("properties")?.as_object()?.keys();
    let odd = |field: &String| distance(&field.to_lowercase(), &name.to_lowercase());
    fields
        .map(|field| (odd(field), field))
        .filter(|(odd, _)| *odd <= MOST_ODD)
        .min()
        .map(|(_, field)| field.clone())
}

/// How many letters must be put in, taken out or changed to make one word of another (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.chars().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        for (place, b) in other.iter().enumerate() {
            let above = row[place + 1];
            let changed = diagonal + usize::from(a != *b);
            row[place] = left;
            left = changed.min(above + 1).min(left + 1);
            diagonal = above;
        }
        row[other.len()] = left;
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_their_letters() {
        let cases = [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("maxhold", "maxhold", 0),
            ("wieght", "weight", 2),
            ("hold", "holds", 1),
            ("kitten", "sitting", 3),
        ];
        for (one, other, want) in cases {
            assert_eq!(distance(one, other), want, "{one} {other}");
        }
    }
}
