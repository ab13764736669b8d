//! Envoys as their control plane lists them: they come and go, and each is read by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;

use super::exposition::{self, Sample};
use crate::{
    api::{EnvoyOf, ListedEnvoy, STATS_PATH},
    config::{EnvoyConfig, HttpConfig},
    engine::look::ReadError,
    outbound::Http,
};

/// What is asked of an Envoy: what presets read, of clusters that had requests, and how long it has run. All that a big one counts
/// would be many times as much.
const QUESTION: &[(&str, &str)] =
    &[("usedonly", ""), ("filter", r"^cluster\..*\.upstream_rq_([1-5]xx|retry|time)$|^server\.uptime$")];
/// How long an Envoy has run, in seconds.
const UPTIME: &str = "envoy_server_uptime";
/// So long the list is good for while it cannot be read.
const LIST: SignedDuration = SignedDuration::from_mins(1);
/// The list and what an Envoy says may be as big as this: each cluster that has traffic is some 5 KB.
const MOST: usize = 16 * 1024 * 1024;
/// Clocks and answers are so far apart at most, in seconds.
const SLACK: f64 = 2.0;

/// All samples of each Envoy, by its address.
pub(super) type Scraped = Vec<(String, Vec<Sample>)>;

/// The Envoys of one gateway, or of all, and of some nodes.
#[derive(Debug)]
pub(super) struct Registry {
    /// To the control plane.
    http: Http,
    /// To the Envoys, which get no credentials.
    envoys: Http,
    url: Url,
    gateway: Option<String>,
    nodes: BTreeSet<String>,
    known: BTreeMap<SocketAddr, Known>,
    /// When the list was read last.
    listed: Option<Timestamp>,
    /// When all were read last.
    last: Option<Timestamp>,
}

/// An Envoy.
#[derive(Debug, Default)]
struct Known {
    listed: bool,
    /// Whether it was read before.
    read: bool,
    /// What it had counted before anybody here had heard of it: that is of no present step.
    before: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Registry {
    pub(super) fn new(
        config: &EnvoyConfig,
        url: &Url,
        gateway: Option<&str>,
        nodes: &BTreeSet<String>,
    ) -> Result<Self, ReadError> {
        let bare = HttpConfig { timeout: config.http.timeout, tls: None, auth: None, headers: Vec::new() };
        Ok(Self {
            http: Http::new(&config.http, url.scheme() == "https")?,
            envoys: Http::new(&bare, false)?.reading_up_to(MOST),
            url: url.clone(),
            gateway: gateway.map(str::to_owned),
            nodes: nodes.clone(),
            known: BTreeMap::new(),
            listed: None,
            last: None,
        })
    }

    /// Reads every Envoy. One that is no longer listed and does not answer is gone; one that is listed must answer, for a part of
    /// the requests is no evidence.
    pub(super) async fn scrape(&mut self, now: Timestamp) -> Result<Scraped, ReadError> {
        match self.list().await {
            Ok(listed) => {
                self.listed = Some(now);
                for known in self.known.values_mut() {
                    known.listed = false;
                }
                for address in listed {
                    self.known.entry(address).or_default().listed = true;
                }
            }
            // A control plane that is gone for a moment leaves its Envoys as they are.
            Err(error) if self.listed.is_none_or(|at| now.duration_since(at) > LIST) => return Err(error),
            Err(error) => tracing::info!(%error, "the list of Envoys can't be read; the one before is used"),
        }
        let answers = join_all(self.known.keys().map(|address| read(&self.envoys, *address))).await;
        let (mut scraped, mut gone) = (Vec::new(), Vec::new());
        for ((address, known), answer) in self.known.iter_mut().zip(answers) {
            match answer {
                Ok(samples) => {
                    let late = self.last.filter(|_| !known.read);
                    scraped.push((address.to_string(), known.since_heard_of(samples, late, now)));
                }
                Err(error) if known.listed => return Err(error),
                Err(_) => gone.push(*address),
            }
        }
        for known in self.known.values_mut() {
            known.read = true;
        }
        for address in gone {
            self.known.remove(&address);
        }
        self.last = Some(now);
        Ok(scraped)
    }

    /// The addresses of the Envoys' statistics.
    async fn list(&self) -> Result<Vec<SocketAddr>, ReadError> {
        let body = self.http.send(|client| client.get(self.url.clone())).await?.success()?;
        let listed: Vec<ListedEnvoy> = serde_json::from_slice(&body).map_err(|_| ReadError::Malformed)?;
        let of = |envoy: &ListedEnvoy| match &envoy.of {
            EnvoyOf::Gateway(name) => self.gateway.as_ref().is_none_or(|gateway| gateway == name),
            EnvoyOf::VirtualNode(name) => self.nodes.contains(name),
        };
        let address = |envoy: ListedEnvoy| {
            let address = envoy.stats.filter(|address| may_be(address.ip()));
            address.ok_or_else(|| {
                ReadError::Unsupported(format!(
                    "an Envoy of {} opens no port for its statistics, and its requests would be missing: start it with what \
                     `tidegate gateway bootstrap` prints",
                    envoy.of
                ))
            })
        };
        let addresses: Vec<SocketAddr> =
            listed.into_iter().filter(of).map(address).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(ReadError::Empty { query: "envoys".to_owned() });
        }
        Ok(addresses)
    }
}

/// Whether an Envoy may be there: the list names pods, and no machine's metadata.
fn may_be(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
    }
}

async fn read(http: &Http, address: SocketAddr) -> Result<Vec<Sample>, ReadError> {
    let url = format!("http://{address}{STATS_PATH}");
    exposition::read(http.send(|client| client.get(url).query(QUESTION)).await?)
}

impl Known {
    /// The samples as they have grown since this Envoy was heard of. One that has just been started counts from 0, and its first
    /// failure must not be lost; one that has run since before the last look, and was not listed then, has counted for longer
    /// than anybody looked.
    fn since_heard_of(
        &mut self,
        samples: Vec<Sample>,
        late: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Sample> {
        if let Some(last) = late {
            let uptime = samples.iter().find(|sample| sample.name == UPTIME).map(|sample| sample.value);
            let since = now.duration_since(last).as_secs_f64();
            if uptime.is_none_or(|uptime| uptime > since + SLACK) {
                self.before = samples.iter().map(|sample| (series(sample), sample.value)).collect();
            }
        }
        let less = |sample: Sample| {
            let before = self.before.get(&series(&sample)).copied().unwrap_or_default();
            // It was started anew, and counts from 0.
            let value = if sample.value >= before { sample.value - before } else { sample.value };
            Sample { value, ..sample }
        };
        samples.into_iter().map(less).collect()
    }
}

fn series(sample: &Sample) -> (String, BTreeMap<String, String>) {
    (sample.name.clone(), sample.labels.clone())
}
