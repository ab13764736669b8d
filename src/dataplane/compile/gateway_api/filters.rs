//! What a rule's filters change on the way.

use http::{HeaderName, HeaderValue};

use super::{
    super::Reason,
    raw::{self, Filter, HeaderModifier, PathModifier, UrlRewrite},
};
use crate::dataplane::{
    matching::PathMatch,
    rewrite::{HeaderChanges, HostRewrite, PathRewrite, Rewrite},
    settings,
};

/// The filters of a rule, as far as a table can express them.
#[derive(Default)]
pub(super) struct Filters {
    pub(super) headers: HeaderChanges,
    url: Option<UrlRewrite>,
}

impl Filters {
    /// A type that cannot be applied is refused, and so is one that is given twice.
    pub(super) fn read(filters: Vec<Filter>) -> Result<Self, Reason> {
        let (mut headers, mut url) = (None, None);
        for filter in filters {
            let earlier = match (filter.r#type.as_str(), filter.request_header_modifier, filter.url_rewrite) {
                ("RequestHeaderModifier", Some(modifier), _) => headers.replace(changes(modifier)?).is_some(),
                ("URLRewrite", _, Some(rewrite)) => url.replace(rewrite).is_some(),
                ("RequestHeaderModifier", None, _) => {
                    return Err(Reason::Missing("requestHeaderModifier in its filter"));
                }
                ("URLRewrite", _, None) => return Err(Reason::Missing("urlRewrite in its filter")),
                _ => return Err(Reason::Filter(filter.r#type)),
            };
            if earlier {
                return Err(Reason::Conflict("a filter can be given only once"));
            }
        }
        Ok(Self { headers: headers.unwrap_or_default(), url })
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
