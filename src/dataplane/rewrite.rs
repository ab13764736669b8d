//! How path, host and headers change between the gateway and a destination.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Both rewrites of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The path.
    pub path: PathRewrite,
    /// The host.
    pub host: HostRewrite,
}

/// A change of the path; the query is never touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// The path goes through as it came.
    Keep,
    /// The prefix `from` becomes `to`; the slashes where they meet are made one.
    Prefix {
        /// The prefix taken away.
        from: String,
        /// What stands in its place.
        to: String,
    },
    /// The whole path is replaced.
    Exact(String),
}

/// A change of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The host goes through as it came.
    Keep,
    /// The host becomes the full name of the chosen virtual service.
    Target,
    /// The host becomes this.
    Exact(String),
}

/// Changes of a request's headers; the first list is done first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// These take the place of what was there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// These come beside what was there.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// These go.
    pub remove: Vec<HeaderName>,
}

impl HeaderChanges {
    /// Changes the headers.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

impl PathRewrite {
    /// The path that a destination sees.
    pub fn apply<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        match self {
            Self::Keep => Cow::Borrowed(path),
            Self::Exact(exact) => Cow::Borrowed(exact),
            Self::Prefix { from, to } => match path.strip_prefix(from.as_str()) {
                Some(rest) => Cow::Owned(join(from, to, rest)),
                None => Cow::Borrowed(path),
            },
        }
    }
}

/// `/app` to `/` must turn `/app/x` into `/x`, not `//x`; `/app/` to `/v2` must give `/v2/x`, not `/v2x`. A slash at the
/// end of the path stays one.
fn join(from: &str, to: &str, rest: &str) -> String {
    let at_boundary = from.ends_with('/') || to.ends_with('/') || rest.starts_with('/');
    let gap = if at_boundary && !rest.is_empty() && !to.ends_with('/') { "/" } else { "" };
    let rest = if at_boundary { rest.trim_start_matches('/') } else { rest };
    let joined = format!("{to}{gap}{rest}");
    if joined.is_empty() { "/".to_owned() } else { joined }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_replaced_at_one_slash() {
        let cases = [
            ("/app", "/", "/app", "/"),
            ("/app", "/", "/app/x", "/x"),
            ("/app", "/", "/app//x", "/x"),
            ("/app/", "/", "/app/x", "/x"),
            ("/app/", "/v2", "/app/x", "/v2/x"),
            ("/app", "/v2/", "/app/x", "/v2/x"),
            ("/app", "/v2", "/app", "/v2"),
            ("/app", "/v2", "/app/", "/v2/"),
            ("/app", "", "/app/x", "/x"),
            ("/app", "", "/app/", "/"),
            ("", "/v2", "/x", "/v2/x"),
            ("/app", "/v2", "/application", "/v2lication"),
            ("/app", "/", "/other", "/other"),
            ("/", "/", "/x", "/x"),
        ];
        for (from, to, path, want) in cases {
            let rewrite = PathRewrite::Prefix { from: from.into(), to: to.into() };
            assert_eq!(rewrite.apply(path), want, "{from} to {to}: {path}");
        }
        assert_eq!(PathRewrite::Exact("/y".into()).apply("/x"), "/y");
        assert_eq!(PathRewrite::Keep.apply("//x"), "//x");
    }

    proptest! {
        #[test]
        fn a_rewritten_path_starts_with_exactly_one_slash(
            from in "/[a-z]{0,3}/?", to in "/([a-z]{1,3}/?)?", rest in "[a-z/]{0,8}",
        ) {
            let path = format!("{from}{rest}");
            let rewrite = PathRewrite::Prefix { from, to };
            let seen = rewrite.apply(&path);
            prop_assume!(!path.starts_with("//"));
            prop_assert!(seen.starts_with('/') && !seen.starts_with("//"), "{path} became {seen}");
        }
    }
}
