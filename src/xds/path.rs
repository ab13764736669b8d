//! Paths as Envoy rewrites them and tests them.
//!
//! A route of a virtual router tests the path as the gateway's route has rewritten it, and Envoy knows only the path that came. So
//! such a test is turned round: into one of the path that came which holds when the other would.

use envoy_types::pb::envoy::{
    config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    r#type::matcher::v3::{
        RegexMatchAndSubstitute, RegexMatcher, StringMatcher, string_matcher::MatchPattern,
    },
};

use crate::dataplane::{PathMatch, PathRewrite};

/// The pseudo-header of the path, its query included.
const PATH: &str = ":path";
/// What may follow a path in it.
const QUERY: &str = r"(\?.*)?";

/// A test of the path that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// It always holds.
    Always,
    /// It never does.
    Never,
    /// The path and its query match this as a whole.
    Matches(String),
    /// It cannot be turned round.
    Unknown,
}

/// Envoy's pattern.
pub(super) fn regex(pattern: impl Into<String>) -> RegexMatcher {
    RegexMatcher { regex: pattern.into(), engine_type: None }
}

/// The rewriting of the path, if it changes. What it does is [`PathRewrite::apply`], slashes and all.
pub(super) fn rewrite(rewrite: &PathRewrite) -> Option<RegexMatchAndSubstitute> {
    let (pattern, to) = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Exact(path) => ("^.*$".to_owned(), substitute(path)),
        PathRewrite::Prefix { from, to } => match Joint::of(from, to) {
            Joint::Slashed => (format!("^{}/*", regex::escape(from)), substitute(to)),
            Joint::Bare => {
                let bare = from.strip_suffix('/').unwrap_or(from);
                (format!("^{}(?:/$|(/)/*)", regex::escape(bare)), format!(r"{}\1", substitute(to)))
            }
            Joint::Open => (format!("^{}(?:(/)/*)?", regex::escape(from)), format!(r"{}\1", substitute(to))),
        },
    };
    Some(RegexMatchAndSubstitute { pattern: Some(regex(pattern)), substitution: to })
}

/// How the two parts of a rewritten path meet.
enum Joint {
    /// What is put there ends with a slash: those of the rest go.
    Slashed,
    /// What is taken away ends with one, what is put there does not: one comes between, where there is a rest.
    Bare,
    /// Neither does: one of the rest stays, where it begins with any.
    Open,
}

impl Joint {
    fn of(from: &str, to: &str) -> Self {
        if to.ends_with('/') {
            Self::Slashed
        } else if from.ends_with('/') {
            Self::Bare
        } else {
            Self::Open
        }
    }
}

/// A text that stands for itself in a substitution.
fn substitute(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// Turns a test of the rewritten path round.
pub(super) fn onward(test: &PathMatch, rewrite: &PathRewrite) -> Onward {
    match test {
        PathMatch::Any | PathMatch::Grpc { service: None, method: None } => Onward::Always,
        PathMatch::Prefix(wanted) => literal(wanted, rewrite, false),
        PathMatch::Exact(wanted) => literal(wanted, rewrite, true),
        PathMatch::Regex(pattern) => match rewrite {
            PathRewrite::Keep => Onward::Matches(format!("(?:{}){QUERY}", pattern.source())),
            PathRewrite::Exact(path) => constant(pattern.matches(path)),
            PathRewrite::Prefix { .. } => Onward::Unknown,
        },
        PathMatch::Elements(elements) => match rewrite {
            PathRewrite::Keep => Onward::Matches(format!(r"{}(/[^?]*)?{QUERY}", regex::escape(elements))),
            PathRewrite::Exact(_) | PathRewrite::Prefix { .. } => Onward::Unknown,
        },
        // Nothing rewrites the path of a gRPC call, and it has no query.
        PathMatch::Grpc { service, method } => {
            let part = |part: &Option<String>, any: &str| match part {
                Some(part) => regex::escape(part),
                None => any.to_owned(),
            };
            Onward::Matches(format!("/{}/{}", part(service, "[^/]*"), part(method, ".*")))
        }
    }
}

/// The same for a path that begins with `wanted`, or is it as a whole.
fn literal(wanted: &str, rewrite: &PathRewrite, whole: bool) -> Onward {
    let end = if whole { QUERY } else { ".*" };
    let found = match rewrite {
        PathRewrite::Keep => Some(regex::escape(wanted)),
        PathRewrite::Exact(path) if whole => return constant(path == wanted),
        PathRewrite::Exact(path) => return constant(path.starts_with(wanted)),
        PathRewrite::Prefix { to, .. } if !whole && to.starts_with(wanted) => return Onward::Always,
        PathRewrite::Prefix { from, to } => {
            rest(wanted, from, to, whole).map(|rest| format!("{}{rest}", regex::escape(from)))
        }
    };
    found.map_or(Onward::Never, |pattern| Onward::Matches(format!("{pattern}{end}")))
}

/// What must follow `from` for the rewritten path to begin with `wanted`, or to be it as a whole; none where nothing can.
fn rest(wanted: &str, from: &str, to: &str, whole: bool) -> Option<String> {
    let tail = wanted.strip_prefix(to)?;
    // Where the parts meet at a slash, none is left at the start of the rest.
    let trimmed = |tail: &str| (!tail.starts_with('/')).then(|| regex::escape(tail));
    match (Joint::of(from, to), tail.strip_prefix('/')) {
        (Joint::Slashed, _) => Some(format!("/*{}", trimmed(tail)?)),
        (Joint::Bare | Joint::Open, None) if tail.is_empty() => Some(String::new()),
        (Joint::Bare, None) => None,
        (Joint::Bare, Some("")) if whole => Some("/+".to_owned()),
        (Joint::Bare, Some("")) => Some("[^?]".to_owned()),
        (Joint::Bare, Some(tail)) => Some(format!("/*{}", trimmed(tail)?)),
        (Joint::Open, None) => Some(regex::escape(tail)),
        (Joint::Open, Some(tail)) => Some(format!("/+{}", trimmed(tail)?)),
    }
}

fn constant(holds: bool) -> Onward {
    if holds { Onward::Always } else { Onward::Never }
}

/// A test of the path and its query by a pattern.
pub(super) fn path_header(pattern: String) -> HeaderMatcher {
    let matcher =
        StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(pattern))), ignore_case: false };
    HeaderMatcher {
        name: PATH.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
        ..HeaderMatcher::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn prefix(from: &str, to: &str) -> PathRewrite {
        PathRewrite::Prefix { from: from.into(), to: to.into() }
    }

    /// What RE2 makes of a path.
    fn replaced(made: &RegexMatchAndSubstitute, path: &str) -> String {
        let pattern = Regex::new(&made.pattern.as_ref().unwrap().regex).unwrap();
        let to = made.substitution.replace('$', "$$").replace(r"\1", "${1}");
        pattern.replace_all(path, to).into_owned()
    }

    fn holds(onward: &Onward, path: &str) -> bool {
        match onward {
            Onward::Always => true,
            Onward::Never => false,
            Onward::Matches(pattern) => Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(path),
            Onward::Unknown => panic!("{path}"),
        }
    }

    proptest! {
        #[test]
        fn a_path_is_rewritten_as_the_table_says(
            from in "/[ab.]{0,2}/?", to in "/([ab$]{1,2}/?)?", rest in "[ab/]{0,4}",
        ) {
            let path = format!("{from}{rest}");
            let rewritten = prefix(&from, &to);
            prop_assert_eq!(replaced(&rewrite(&rewritten).unwrap(), &path), rewritten.apply(&path));
            let exact = PathRewrite::Exact(to);
            prop_assert_eq!(replaced(&rewrite(&exact).unwrap(), &path), exact.apply(&path));
        }

        #[test]
        fn a_test_of_the_rewritten_path_holds_for_the_path_that_came(
            from in "/[ab]{0,2}/?", to in "/([ab]{1,2}/?)?", rest in "[ab/]{0,4}", wanted in "/[ab/]{0,4}",
            query in prop::option::of("[a/=]{0,3}"),
        ) {
            let path = format!("{from}{rest}");
            let came = query.map_or(path.clone(), |query| format!("{path}?{query}"));
            for rewrite in [PathRewrite::Keep, PathRewrite::Exact(to.clone()), prefix(&from, &to)] {
                let rewritten = rewrite.apply(&path);
                let begins = onward(&PathMatch::Prefix(wanted.clone()), &rewrite);
                prop_assert_eq!(holds(&begins, &came), rewritten.starts_with(&wanted), "{:?} {:?}", &rewrite, &begins);
                let is = onward(&PathMatch::Exact(wanted.clone()), &rewrite);
                prop_assert_eq!(holds(&is, &came), rewritten == wanted, "{:?} {:?}", &rewrite, &is);
            }
        }
    }

    #[test]
    fn what_is_put_there_stands_for_itself() {
        let made = rewrite(&PathRewrite::Exact(r"/a\1".into())).unwrap();
        assert_eq!(made.substitution, r"/a\\1");
        assert_eq!(rewrite(&PathRewrite::Keep), None);
    }
}
