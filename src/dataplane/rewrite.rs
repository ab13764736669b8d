//! How path and host change between the gateway and a destination.

use std::borrow::Cow;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The host goes through as it came.
    Keep,
    /// The host becomes the full name of the chosen virtual service.
    Target,
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

/// `/app` to `/` must turn `/app/x` into `/x`, not `//x`; `/app/` to `/v2` must give `/v2/x`, not `/v2x`.
fn join(from: &str, to: &str, rest: &str) -> String {
    let at_boundary = from.ends_with('/') || to.ends_with('/') || rest.starts_with('/');
    let rest = if at_boundary { rest.trim_start_matches('/') } else { rest };
    let gap = if at_boundary && !rest.is_empty() && !to.ends_with('/') { "/" } else { "" };
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
