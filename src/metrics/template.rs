//! Placeholders in queries. A value is only ever put inside a quoted string, escaped for that string's quotes
//! and, behind `=~` or `!~`, for the regular expression too: no name can end the string it stands in.

/// Fills the placeholders of a PromQL query. `role` is what errors call the query.
pub(super) fn fill(role: &str, query: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    let mut within: Option<Quoted> = None;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| {
                format!("the query {role} opens {{{{ and never closes it; write }}}} behind the name")
            })?;
            let value = lookup(role, name.trim(), values)?;
            let quoted = within.ok_or_else(|| {
                format!(
                    "the query {role} has {{{{{name}}}}} outside quotes; put it into a quoted label value"
                )
            })?;
            filled.push_str(&quoted.escape(role, value)?);
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match within {
            Some(quoted) if c == quoted.quote => within = None,
            Some(quoted) if c == '\\' && quoted.quote != '`' => {
                filled.push(c);
                let Some(escaped) = rest.chars().next() else { break };
                rest = &rest[escaped.len_utf8()..];
                filled.push(escaped);
                continue;
            }
            None if matches!(c, '"' | '\'' | '`') => {
                let before = filled.trim_end();
                let regex = before.ends_with("=~") || before.ends_with("!~");
                within = Some(Quoted { quote: c, regex });
            }
            Some(_) | None => {}
        }
        filled.push(c);
    }
    Ok(filled)
}

/// Fills the placeholders of a text that is no PromQL, wherever they stand. `escape` makes a value harmless there, or
/// refuses it.
pub(super) fn fill_with(
    role: &str,
    query: &str,
    values: &[(&str, &str)],
    escape: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| {
            format!("the query {role} opens {{{{ and never closes it; write }}}} behind the name")
        })?;
        filled.push_str(before);
        filled.push_str(&escape(lookup(role, name.trim(), values)?)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Whether a query has a placeholder of that name.
pub(super) fn mentions(query: &str, name: &str) -> bool {
    query.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).any(|(found, _)| found.trim() == name)
}

fn lookup<'a>(role: &str, name: &str, values: &[(&str, &'a str)]) -> Result<&'a str, String> {
    values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<String> = values.iter().map(|(known, _)| format!("{{{{{known}}}}}")).collect();
        format!(
            "the query {role} has the unknown placeholder {{{{{name}}}}}; it may have {}",
            known.join(", ")
        )
    })
}

/// The string that a placeholder stands in.
#[derive(Clone, Copy)]
struct Quoted {
    quote: char,
    regex: bool,
}

impl Quoted {
    fn escape(self, role: &str, value: &str) -> Result<String, String> {
        let mut literal = String::new();
        for c in value.chars() {
            if self.regex && r"\.+*?()|[]{}^$".contains(c) {
                literal.push('\\');
            }
            literal.push(c);
        }
        if self.quote == '`' {
            // A raw string has no escapes.
            return if literal.contains('`') {
                Err(format!("the query {role} has a placeholder in backticks; use double quotes"))
            } else {
                Ok(literal)
            };
        }
        let mut text = String::new();
        for c in literal.chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\\' => text.push_str("\\\\"),
                c if c == self.quote => text.extend(['\\', c]),
                c => text.push(c),
            }
        }
        Ok(text)
    }
}

/// A string in double quotes, as PromQL writes it.
pub(super) fn quote(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_inside_their_string() {
        let cases = [
            ("x{a=\"{{target}}\"}", "v2", "x{a=\"v2\"}"),
            ("x{a='{{ target }}'}", "it's", "x{a='it\\'s'}"),
            ("x{a=\"{{target}}\"}", "\"} or vector(1) # \\", "x{a=\"\\\"} or vector(1) # \\\\\"}"),
            ("x{a=~\"{{target}}-.*\"}", "v2.default", "x{a=~\"v2\\\\.default-.*\"}"),
            ("x{a=~`{{target}}.*`}", "v2.default", "x{a=~`v2\\.default.*`}"),
            ("x{a=\"\\\"{{target}}\"}", "v2", "x{a=\"\\\"v2\"}"),
        ];
        for (query, value, want) in cases {
            assert_eq!(fill("errors", query, &[("target", value)]).unwrap(), want, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_filled_says_why() {
        let cases = [
            ("{{target}}_total", "outside quotes"),
            ("x{a=\"{{pod}}\"}", "unknown placeholder {{pod}}; it may have {{target}}"),
            ("x{a=\"{{target\"}", "never closes"),
            ("x{a=`{{target}}`}", "use double quotes"),
        ];
        for (query, want) in cases {
            let error = fill("errors", query, &[("target", "a`b")]).unwrap_err();
            assert!(error.contains(want) && error.contains("errors"), "{query}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_ends_its_string(value in ".{0,20}", quote in proptest::sample::select(vec!['"', '\''])) {
            let query = format!("x{{a={quote}{{{{target}}}}{quote}}} END");
            let filled = fill("errors", &query, &[("target", &value)]).unwrap();
            let mut open = false;
            let mut escaped = false;
            let ends = filled.chars().filter(|c| {
                let ends = *c == quote && !escaped;
                escaped = *c == '\\' && !escaped && open;
                open ^= ends;
                ends
            }).count();
            proptest::prop_assert_eq!(ends, 2);
        }
    }
}
