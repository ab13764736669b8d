//! Placeholders in queries. A value is only ever put inside a quoted string, escaped for that string's quotes
//! and, behind `=~` or `!~`, for the regular expression too: no name can end the string it stands in.

use std::collections::BTreeMap;

use super::presets::ArmScope;
use crate::engine::look::LookRequest;

/// Those of a Rollout whose analysis names no template.
pub(super) static NO_ARGS: BTreeMap<String, String> = BTreeMap::new();

/// What placeholders stand for.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    named: Vec<(&'static str, &'a str)>,
    args: &'a BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    /// Those of a query that is asked for each arm.
    pub(super) fn of_arm(scope: ArmScope<'a>) -> Self {
        let named =
            vec![("target", scope.target), ("namespace", scope.namespace), ("rollout", scope.rollout)];
        Self { named, args: scope.args }
    }

    /// Those of a query that is asked once.
    pub(super) fn of_both(request: &'a LookRequest) -> Self {
        let named = vec![
            ("canary", request.canary.as_str()),
            ("stable", &request.stable),
            ("namespace", &request.namespace),
            ("rollout", &request.rollout),
        ];
        Self { named, args: &request.args }
    }

    /// Those of a test.
    #[cfg(test)]
    pub(super) fn named(named: &[(&'static str, &'a str)]) -> Self {
        Self { named: named.to_vec(), args: &NO_ARGS }
    }

    /// One more.
    #[cfg(feature = "cloudwatch")]
    pub(super) fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.named.push((name, value));
        self
    }

    fn get(&self, role: &str, name: &str) -> Result<&'a str, String> {
        let named = || self.named.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let arg = || self.args.get(name.strip_prefix("args.")?).map(String::as_str);
        named().or_else(arg).ok_or_else(|| {
            let named = self.named.iter().map(|(known, _)| format!("{{{{{known}}}}}"));
            let args = self.args.keys().map(|known| format!("{{{{args.{known}}}}}"));
            let known: Vec<String> = named.chain(args).collect();
            format!(
                "the query {role} has the unknown placeholder {{{{{name}}}}}; it may have {}",
                known.join(", ")
            )
        })
    }
}

/// Fills the placeholders of a PromQL query. `role` is what errors call the query.
pub(super) fn fill(role: &str, query: &str, values: &Values<'_>) -> Result<String, String> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    let mut within: Option<Quoted> = None;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| {
                format!("the query {role} opens {{{{ and never closes it; write }}}} behind the name")
            })?;
            let value = values.get(role, name.trim())?;
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
    values: &Values<'_>,
    escape: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| {
            format!("the query {role} opens {{{{ and never closes it; write }}}} behind the name")
        })?;
        filled.push_str(before);
        filled.push_str(&escape(values.get(role, name.trim())?)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Whether a query has a placeholder of that name.
pub(super) fn mentions(query: &str, name: &str) -> bool {
    query.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).any(|(found, _)| found.trim() == name)
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

    fn target(target: &str) -> Values<'_> {
        Values::named(&[("target", target)])
    }

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
            assert_eq!(fill("errors", query, &target(value)).unwrap(), want, "{query}");
        }
    }

    #[test]
    fn args_are_escaped_as_names_are() {
        let args = BTreeMap::from([("job".to_owned(), "a\"b|c".to_owned())]);
        let values = Values { named: vec![("target", "v2")], args: &args };
        let query = "x{a=\"{{target}}\",job=\"{{ args.job }}\",re=~\"{{args.job}}\"}";
        let want = "x{a=\"v2\",job=\"a\\\"b|c\",re=~\"a\\\"b\\\\|c\"}";
        assert_eq!(fill("errors", query, &values).unwrap(), want);
        let error = fill("errors", "x{a=\"{{args.other}}\"}", &values).unwrap_err();
        assert!(error.contains("{{args.other}}; it may have {{target}}, {{args.job}}"), "{error}");
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
            let error = fill("errors", query, &target("a`b")).unwrap_err();
            assert!(error.contains(want) && error.contains("errors"), "{query}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_ends_its_string(value in ".{0,20}", quote in proptest::sample::select(vec!['"', '\''])) {
            let query = format!("x{{a={quote}{{{{target}}}}{quote}}} END");
            let filled = fill("errors", &query, &target(&value)).unwrap();
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
