//! Placeholders of their queries, as ours or as plain text. Ours only stand within quotes, where the controller escapes
//! what it puts in.

use std::collections::BTreeSet;

/// What a placeholder of theirs stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    /// What changes from release to release, by our placeholders: `{{canary}}`, `{{stable}}`, `{{namespace}}`.
    pub(super) ours: Option<String>,
    /// What it is in this manifest, where that is known.
    pub(super) text: Option<String>,
}

impl Filling {
    /// The same in every release.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { ours: None, text: Some(text.into()) }
    }

    /// Another in each release, or each place.
    pub(super) fn ours(ours: impl Into<String>, text: Option<String>) -> Self {
        Self { ours: Some(ours.into()), text }
    }
}

/// A query with our placeholders.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// The query.
    pub(super) text: String,
    /// Which of theirs it had.
    pub(super) used: BTreeSet<String>,
}

/// Fills the placeholders of a query, or says which can't be filled.
pub(super) fn fill(query: &str, known: impl Fn(&str) -> Option<Filling>) -> Result<Filled, String> {
    let mut filled = Filled::default();
    let mut rest = query.trim();
    let mut quote: Option<char> = None;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{") {
            let (name, after) =
                after.split_once("}}").ok_or("its query opens {{ and never closes it".to_owned())?;
            rest = after;
            let name = name.trim();
            let filling =
                known(name).ok_or_else(|| format!("nothing says what {{{{{name}}}}} in its query is"))?;
            filled.used.insert(name.to_owned());
            filled.put(name, filling, quote)?;
            continue;
        }
        filled.text.push(c);
        rest = &rest[c.len_utf8()..];
        match quote {
            Some(open) if c == open => quote = None,
            Some(open) if c == '\\' && open != '`' => {
                if let Some(escaped) = rest.chars().next() {
                    filled.text.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
            }
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            Some(_) | None => {}
        }
    }
    Ok(filled)
}

impl Filled {
    fn put(&mut self, name: &str, filling: Filling, quote: Option<char>) -> Result<(), String> {
        // In backticks nothing can be escaped, so the controller takes no placeholder there that could need it.
        let quoted = quote.is_some_and(|quote| quote != '`');
        match (filling.ours, filling.text) {
            (Some(ours), _) if quoted => {
                self.text.push_str(&ours);
                Ok(())
            }
            (_, Some(text)) if text.contains("{{") => {
                Err(format!("{{{{{name}}}}} in its query is another placeholder"))
            }
            (_, Some(text)) => {
                self.text.push_str(&text);
                Ok(())
            }
            (_, None) => Err(format!("{{{{{name}}}}} in its query stands outside quotes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> String {
        let known = |name: &str| match name {
            "service" => Some(Filling::ours("{{canary}}", Some("shop-canary".into()))),
            "hash" => Some(Filling::ours("{{canary}}", None)),
            "window" => Some(Filling::text("5m")),
            "odd" => Some(Filling::text("{{x}}")),
            _ => None,
        };
        fill(query, known).map_or_else(|why| why, |filled| filled.text)
    }

    #[test]
    fn theirs_become_ours_or_text() {
        let cases = [
            (r#"rate(a{s="{{ service }}"}[{{window}}])"#, r#"rate(a{s="{{canary}}"}[5m])"#),
            ("a{s=~'{{service}}-.*'}", "a{s=~'{{canary}}-.*'}"),
            ("a_{{service}}", "a_shop-canary"),
            ("a{s=`{{service}}`}", "a{s=`shop-canary`}"),
            (r#"a{s="\"{{service}}"}"#, r#"a{s="\"{{canary}}"}"#),
            (r#"a{s="{{hash}}"}"#, r#"a{s="{{canary}}"}"#),
            ("a_{{hash}}", "{{hash}} in its query stands outside quotes"),
            (r#"a{s="{{odd}}"}"#, "{{odd}} in its query is another placeholder"),
            ("a{s=\"{{other}}\"}", "nothing says what {{other}} in its query is"),
            ("a{{", "its query opens {{ and never closes it"),
            ("up\n", "up"),
        ];
        for (query, want) in cases {
            assert_eq!(told(query), want, "{query}");
        }
    }
}
