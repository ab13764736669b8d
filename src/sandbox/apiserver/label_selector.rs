//! The language of label selectors, read as upstream reads it.

use serde_json::Value;

use super::names;

/// What one label must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Requirement {
    pub fn holds(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.iter().any(|wanted| wanted == value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Reads a selector such as `app=color,tier in (web,api),!old`.
pub(super) fn parse(selector: &str) -> Result<Vec<Requirement>, String> {
    let mut tokens = Tokens { rest: selector.trim_start() };
    let mut requirements = Vec::new();
    if tokens.peek().is_none() {
        return Ok(requirements);
    }
    loop {
        requirements.push(requirement(&mut tokens)?);
        match tokens.next() {
            None => return Ok(requirements),
            Some(",") => {}
            Some(other) => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

/// Words, and the signs between them.
struct Tokens<'s> {
    rest: &'s str,
}

const SIGNS: &str = "=!(),<>";

impl<'s> Tokens<'s> {
    fn split(&self) -> Option<(&'s str, &'s str)> {
        let first = self.rest.chars().next()?;
        let end = if SIGNS.contains(first) {
            // Only these signs have two letters.
            if self.rest.starts_with("==") || self.rest.starts_with("!=") { 2 } else { first.len_utf8() }
        } else {
            let ends = |letter: char| letter.is_ascii_whitespace() || SIGNS.contains(letter);
            self.rest.find(ends).unwrap_or(self.rest.len())
        };
        let (token, rest) = self.rest.split_at(end);
        Some((token, rest.trim_start()))
    }

    fn peek(&self) -> Option<&'s str> {
        self.split().map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<&'s str> {
        let (token, rest) = self.split()?;
        self.rest = rest;
        Some(token)
    }

    fn word(&mut self, expected: &str) -> Result<&'s str, String> {
        match self.next() {
            Some(word) if !word.starts_with(|letter| SIGNS.contains(letter)) => Ok(word),
            other => Err(format!("found '{}', expected: {expected}", other.unwrap_or_default())),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let absent = tokens.peek() == Some("!");
    if absent {
        tokens.next();
    }
    let key = tokens.word("!, identifier, or 'end of string'")?.to_owned();
    if let Some(why) = names::qualified(&key) {
        return Err(format!("unable to parse requirement: <nil>: Invalid value: {key:?}: {why}"));
    }
    if absent {
        return Ok(Requirement { key, test: Test::Absent });
    }
    let test = match tokens.peek() {
        None | Some(",") => return Ok(Requirement { key, test: Test::Exists }),
        Some(operator) => {
            tokens.next();
            test(operator, tokens)?
        }
    };
    if let Test::In(values) | Test::NotIn(values) = &test
        && let Some(why) = values.iter().find_map(|value| names::label_value(value))
    {
        return Err(format!("unable to parse requirement: values[0][{key}]: Invalid value: {why}"));
    }
    Ok(Requirement { key, test })
}

fn test(operator: &str, tokens: &mut Tokens<'_>) -> Result<Test, String> {
    Ok(match operator {
        "in" => Test::In(list(tokens)?),
        "notin" => Test::NotIn(list(tokens)?),
        "=" | "==" => Test::In(vec![value(tokens)?]),
        "!=" => Test::NotIn(vec![value(tokens)?]),
        ">" | "<" => {
            let text = value(tokens)?;
            let bound = text.parse().map_err(|_| {
                format!("unable to parse requirement: values[0]: Invalid value: {text:?}: for 'Gt', 'Lt' operators, the value must be an integer")
            })?;
            if operator == ">" { Test::Above(bound) } else { Test::Below(bound) }
        }
        other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
    })
}

/// A value, which may be empty.
fn value(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek() {
        None | Some(",") => Ok(String::new()),
        Some(_) => tokens.word("identifier").map(str::to_owned),
    }
}

/// Values in parentheses; between commas there may be nothing, which is the empty value.
fn list(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    if tokens.next() != Some("(") {
        return Err("expected: '('".to_owned());
    }
    let mut values = Vec::new();
    loop {
        let value = match tokens.peek() {
            Some("," | ")") => String::new(),
            _ => tokens.word("',', ')' or identifier")?.to_owned(),
        };
        values.push(value);
        match tokens.next() {
            Some(",") => {}
            Some(")") => return Ok(values),
            other => return Err(format!("found '{}', expected: ',' or ')'", other.unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_selectors_select() {
        let labels = json!({"app": "color", "tier": "web", "rank": "3", "empty": ""});
        for (selector, want) in [
            ("", true),
            (" ", true),
            ("app=color", true),
            ("app==color,tier=web", true),
            (" app = color , tier", true),
            ("app!=color", false),
            ("app!=other", true),
            ("absent!=x", true),
            ("app in (a, color)", true),
            ("app in (a,b),tier=web", false),
            ("app notin (a,b)", true),
            ("tier notin (web)", false),
            ("app", true),
            ("!app", false),
            ("!absent", true),
            ("rank>2", true),
            ("rank<3", false),
            ("app>2", false),
            ("empty=", true),
            ("empty in (,x)", true),
            ("empty in ()", true),
        ] {
            let all = parse(selector).unwrap();
            assert_eq!(all.iter().all(|one| one.holds(&labels)), want, "{selector}");
        }
        for broken in [
            "app in color",
            "=x",
            "a b",
            "a,",
            ",",
            "a,,b",
            "!a=b",
            "a=b=c",
            "a>b",
            "-a",
            "a=_",
            "a in (b",
            "a notin",
            "!",
        ] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
