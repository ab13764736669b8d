//! What Kubernetes allows as a name: of objects, of labels, of their values.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
     must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
     end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The rule that the names of a kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    Subdomain,
    /// One part without dots, of at most 63 letters.
    Label,
}

impl NameRule {
    /// What is wrong with a name, or with the prefix of a generated one.
    pub fn refusal(self, name: &str, is_prefix: bool) -> Option<String> {
        // A prefix may end as only the middle of a name may.
        let name = if is_prefix && name.ends_with('-') {
            format!("{}a", &name[..name.len() - 1])
        } else {
            name.to_owned()
        };
        match self {
            Self::Subdomain => subdomain(&name),
            Self::Label => label(&name),
        }
    }
}

fn lowercase(letter: u8) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    text.bytes().all(|letter| lowercase(letter) || letter == b'-') && ends(text, lowercase)
}

fn ends(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(&fits) && text.bytes().last().is_some_and(&fits)
}

/// What is wrong with a DNS subdomain.
pub(super) fn subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with a DNS label.
pub(super) fn label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    if name.contains('.') {
        return Some("must not contain dots".to_owned());
    }
    (!is_label(name)).then(|| LABEL.to_owned())
}

/// What is wrong with the key of a label or annotation, or with the name of a finalizer.
pub(super) fn qualified(name: &str) -> Option<String> {
    let part = match name.split_once('/') {
        None => name,
        Some((_, part)) if part.contains('/') => {
            return Some(format!(
                "a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
        Some(("", _)) => return Some("prefix part must be non-empty".to_owned()),
        Some((prefix, part)) => match subdomain(prefix) {
            Some(why) => return Some(format!("prefix part {why}")),
            None => part,
        },
    };
    if part.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if part.len() > 63 {
        return Some("name part must be no more than 63 bytes".to_owned());
    }
    (!is_word(part)).then(|| format!("name part {QUALIFIED}"))
}

/// What is wrong with the value of a label.
pub(super) fn label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!value.is_empty() && !is_word(value)).then(|| LABEL_VALUE.to_owned())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
        && ends(text, |letter| letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_limits() {
        let long = "a".repeat(63);
        for (name, as_subdomain, as_label, as_key, as_value) in [
            ("", false, false, false, true),
            ("a", true, true, true, true),
            ("a.b", true, false, true, true),
            ("A", false, false, true, true),
            ("a_b", false, false, true, true),
            ("-a", false, false, false, false),
            ("a/b", false, false, true, false),
            ("A.b/c", false, false, false, false),
            ("a/b/c", false, false, false, false),
            ("/a", false, false, false, false),
            (long.as_str(), true, true, true, true),
            (&format!("{long}a"), true, false, false, false),
        ] {
            let allowed =
                [subdomain(name), label(name), qualified(name), label_value(name)].map(|why| why.is_none());
            assert_eq!(allowed, [as_subdomain, as_label, as_key, as_value], "{name:?}");
        }
        assert_eq!(NameRule::Subdomain.refusal("gen-", true), None);
        assert!(NameRule::Subdomain.refusal("gen-", false).is_some());
    }
}
