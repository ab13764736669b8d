//! Gates, resolved: each has an address and is not asked without a pause.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Url;
use serde_saphyr::Spanned;

use super::{
    Entry, HttpConfig, Problem,
    file::GateEntry,
    http::{Written, resolve_url},
};
use crate::api::units::spell;

/// The shortest time between two questions of one run to one gate.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateConfig {
    /// Where questions are sent.
    pub url: Url,
    /// How soon it is asked again, where it said wait or nothing that counts, and while a step lasts; at least 1 s.
    pub interval: Duration,
    /// How it is reached.
    pub http: HttpConfig,
}

pub(super) fn resolve(
    written: BTreeMap<String, Spanned<GateEntry>>,
) -> Result<BTreeMap<String, GateConfig>, Problem> {
    let resolve = |(name, entry): (String, Spanned<GateEntry>)| {
        let key = format!("gates.{name}");
        Entry { what: "a gate", line: entry.referenced.line(), key: &key }.check_name(&name)?;
        Ok((name, resolve_entry(entry.value, &key)?))
    };
    written.into_iter().map(resolve).collect()
}

fn resolve_entry(entry: GateEntry, key: &str) -> Result<GateConfig, Problem> {
    let url = resolve_url(&entry.url, &format!("{key}.url"))?;
    let interval = match entry.interval {
        None => Duration::from_secs(10),
        Some(interval) if interval.value.span() >= SHORTEST_INTERVAL => interval.value.span(),
        Some(interval) => {
            let text = format!("interval must be at least {}; lengthen it", spell(SHORTEST_INTERVAL));
            return Err(Problem::new(interval.referenced.line(), format!("{key}.interval"), text));
        }
    };
    let written =
        Written { timeout: entry.timeout, tls: entry.tls, auth: entry.auth, headers: entry.headers };
    Ok(GateConfig { interval, http: written.resolve(5, std::slice::from_ref(&url), key)?, url })
}
