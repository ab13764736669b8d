//! What a rule's filters change on the way.

use http::{HeaderName, HeaderValue};

use super::{
    super::Reason,
    destination,
    raw::{self, Filter, Fraction, HeaderModifier, PathModifier, RequestMirror, UrlRewrite},
};
use crate::dataplane::{
    matching::PathMatch,
    rewrite::{HeaderChanges, HostRewrite, PathRewrite, Rewrite},
    settings,
    table::Mirror,
};

/// The filters of a rule, as far as a table can express them.
#[derive(Default)]
pub(super) struct Filters {
    pub(super) headers: HeaderChanges,
    pub(super) mirrors: Vec<Mirror>,
    url: Option<UrlRewrite>,
}

impl Filters {
    /// A type that cannot be applied is refused, and so is one that is given twice, but for mirrors.
    pub(super) fn read(filters: Vec<Filter>, namespace: &str) -> Result<Self, Reason> {
        let (mut headers, mut url, mut mirrors) = (None, None, Vec::new());
        for filter in filters {
            if let ("RequestMirror", Some(mirror)) = (filter.r#type.as_str(), filter.request_mirror) {
                mirrors.push(copies(mirror, namespace)?);
                continue;
            }
            let earlier = match (filter.r#type.as_str(), filter.request_header_modifier, filter.url_rewrite) {
                ("RequestHeaderModifier", Some(modifier), _) => headers.replace(changes(modifier)?).is_some(),
                ("URLRewrite", _, Some(rewrite)) => url.replace(rewrite).is_some(),
                ("RequestHeaderModifier", None, _) => {
                    return Err(Reason::Missing("requestHeaderModifier in its filter"));
                }
                ("URLRewrite", _, None) => return Err(Reason::Missing("urlRewrite in its filter")),
                ("RequestMirror", _, _) => return Err(Reason::Missing("requestMirror in its filter")),
                _ => return Err(Reason::Filter(filter.r#type)),
            };
            if earlier {
                return Err(Reason::Conflict("a filter can be given only once"));
            }
        }
        Ok(Self { headers: headers.unwrap_or_default(), mirrors, url })
    }

    /// The rewrite of what a match has taken.
    pub(super) fn rewrite(&self, matched: &PathMatch) -> Result<Rewrite, Reason> {
        let (hostname, path) = self.url.as_ref().map_or((&None, &None), |url| (&url.hostname, &url.path));
        let host = hostname.clone().map_or(HostRewrite::Keep, HostRewrite::Exact);
        let path = match (path, matched) {
            (None, _) => PathRewrite::Keep,
            (Some(PathModifier::ReplaceFullPath { replace_full_path: to }), _) => {
                PathRewrite::Exact(settings::absolute("replaceFullPath", to.clone())?)
            }
            (
                Some(PathModifier::ReplacePrefixMatch { replace_prefix_match: to }),
                PathMatch::Elements(from),
            ) => {
                let to = if to.is_empty() {
                    String::new()
                } else {
                    settings::absolute("replacePrefixMatch", to.clone())?
                };
                PathRewrite::Prefix { from: from.clone(), to }
            }
            (Some(PathModifier::ReplacePrefixMatch { .. }), _) => {
                return Err(Reason::Conflict("replacePrefixMatch needs a match of type PathPrefix"));
            }
        };
        Ok(Rewrite { path, host })
    }
}

/// All requests, where nothing says how many.
fn copies(mirror: RequestMirror, namespace: &str) -> Result<Mirror, Reason> {
    let RequestMirror { backend_ref, percent, fraction } = mirror;
    let to = destination(backend_ref, namespace)?;
    let Some(Fraction { numerator, denominator }) = fraction else {
        return Ok(Mirror::percent(to, percent.unwrap_or(100)));
    };
    if percent.is_some() {
        return Err(Reason::Conflict("a mirror has percent or fraction, not both"));
    }
    let of = u64::from(denominator.unwrap_or(100).max(1));
    let millionths = u64::from(numerator) * u64::from(Mirror::ALL) / of;
    Ok(Mirror { to, millionths: u32::try_from(millionths).unwrap_or(Mirror::ALL).min(Mirror::ALL) })
}

fn changes(modifier: HeaderModifier) -> Result<HeaderChanges, Reason> {
    let pairs = |list: Vec<raw::HeaderValue>| list.into_iter().map(pair).collect::<Result<_, _>>();
    Ok(HeaderChanges {
        set: pairs(modifier.set)?,
        add: pairs(modifier.add)?,
        remove: modifier.remove.into_iter().map(header).collect::<Result<_, _>>()?,
    })
}

fn pair(raw: raw::HeaderValue) -> Result<(HeaderName, HeaderValue), Reason> {
    let value = HeaderValue::from_str(&raw.value).map_err(|_| Reason::Header(raw.value))?;
    Ok((header(raw.name)?, value))
}

fn header(name: String) -> Result<HeaderName, Reason> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Reason::Header(name))
}
