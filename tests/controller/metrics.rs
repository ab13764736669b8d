//! Gateways' stats as the tests want them: counters of the versions grow with time, by the weights of the routes, failing as
//! told.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use futures::future::join_all;
use kube::{Api, Client, api::ListParams, core::DynamicObject};
use serde_json::Value;
use tidegate::{api::RouteKind, clock::Clock, routes};

/// How the gateway answers a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Answer {
    #[default]
    Counters,
    Status(u16),
    Hang,
    Huge,
    Redirect,
    Nonsense,
    Nothing,
    /// The counters are there, and none of them is a number.
    NotANumber,
}

#[derive(Default)]
struct State {
    answer: Answer,
    failing: BTreeMap<String, f64>,
    /// What comes through of what the routes give a version; all of it where nothing is said.
    through: BTreeMap<String, f64>,
    counters: BTreeMap<String, (f64, f64)>,
    /// What each version had of the routes' traffic when that was last known.
    shares: BTreeMap<&'static str, f64>,
    scraped: Option<jiff::Timestamp>,
    looks: Vec<jiff::Timestamp>,
}

/// A gateway's stats page.
#[derive(Clone)]
pub struct Gateway {
    address: SocketAddr,
    namespace: String,
    client: Client,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// Requests a second in all: 1 % of them is enough for proof within a look or two.
const RATE: f64 = 400_000.0;
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
const KINDS: [RouteKind; 4] =
    [RouteKind::GatewayRoute, RouteKind::VirtualRouter, RouteKind::HttpRoute, RouteKind::GrpcRoute];

/// The weighted lists of a route, wherever its kind has them; a single target is a list of one.
fn lists(of: &Value) -> Vec<Vec<&Value>> {
    match of {
        Value::Array(entries) if entries.iter().any(|entry| entry["weight"].is_i64()) => {
            vec![entries.iter().collect()]
        }
        Value::Array(items) => items.iter().flat_map(lists).collect(),
        Value::Object(fields) => match &fields.get("target") {
            Some(target) => vec![vec![*target]],
            None => fields.values().flat_map(lists).collect(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

/// What a list gives a version, however its entries call it.
fn share(list: &[&Value], version: &str) -> f64 {
    let weight = |entry: &Value| entry["weight"].as_i64().unwrap_or(1).max(0) as f64;
    let total: f64 = list.iter().map(|entry| weight(entry)).sum();
    let its = list.iter().filter(|entry| entry.to_string().contains(version));
    its.map(|entry| weight(entry)).sum::<f64>() / total.max(1.0)
}

/// How many requests are copied to a version, as a share of all.
fn copied(of: &Value, version: &str) -> f64 {
    match of {
        Value::Array(items) => items.iter().map(|item| copied(item, version)).sum(),
        Value::Object(fields) => match fields.get("percent").and_then(Value::as_f64) {
            Some(percent) if of.to_string().contains(version) => percent / 100.0,
            Some(_) => 0.0,
            None => fields.values().map(|value| copied(value, version)).sum(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0.0,
    }
}

impl Gateway {
    /// A gateway in front of the versions in a namespace.
    pub async fn start(namespace: &str, client: Client) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (namespace, clock) = (namespace.to_owned(), Clock::start());
        let gateway = Self { address, namespace, client, clock, state: Arc::default() };
        let me = gateway.clone();
        let page = move || {
            let me = me.clone();
            async move { me.page().await }
        };
        let app = Router::new().route("/stats/prometheus", get(page));
        tokio::spawn(async move { axum::serve(listener, app).await });
        gateway
    }

    pub fn url(&self) -> String {
        format!("http://{}/stats/prometheus", self.address)
    }

    pub fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// When the controller looked here.
    pub fn looks(&self) -> Vec<jiff::Timestamp> {
        self.state.lock().unwrap().looks.clone()
    }

    /// The share of failing requests of a version from now on.
    pub fn fail(&self, version: &str, share: f64) {
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        state.failing.insert(version.to_owned(), share);
    }

    /// So much comes through of what the routes give a version from now on.
    pub fn let_through(&self, version: &str, part: f64) {
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        state.through.insert(version.to_owned(), part);
    }

    fn grow(&self, state: &mut State) {
        let now = self.clock.now();
        let passed = state.scraped.map_or(0.0, |then| now.duration_since(then).as_secs_f64());
        state.scraped = Some(now);
        for version in VERSIONS {
            let failing = state.failing.get(version).copied().unwrap_or(0.0);
            let share = state.shares.get(version).copied().unwrap_or(0.0);
            let requests = RATE * passed * share * state.through.get(version).copied().unwrap_or(1.0);
            let counter = state.counters.entry(version.to_owned()).or_insert((0.0, 1.0));
            counter.0 += requests * failing;
            counter.1 += requests * (1.0 - failing);
        }
    }

    /// Obeys the routes as they are now. Where they can't be read, it goes on as before.
    async fn obey(&self) {
        let listed = KINDS.map(|kind| async move {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &routes::resource(kind));
            api.list(&ListParams::default()).await.map(|list| list.items)
        });
        let listed: Vec<DynamicObject> = join_all(listed).await.into_iter().flatten().flatten().collect();
        let lists: Vec<Vec<&Value>> = listed.iter().flat_map(|route| lists(&route.data["spec"])).collect();
        if lists.is_empty() {
            return;
        }
        let of = |version| {
            let given = lists.iter().map(|list| share(list, version)).sum::<f64>();
            let copies = listed.iter().map(|route| copied(&route.data["spec"], version)).sum::<f64>();
            (given + copies) / lists.len() as f64
        };
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        state.shares = VERSIONS.map(|version| (version, of(version))).into();
    }

    async fn page(&self) -> axum::response::Response {
        let answer = {
            let mut state = self.state.lock().unwrap();
            state.looks.push(self.clock.now());
            state.answer.clone()
        };
        self.obey().await;
        match answer {
            Answer::Counters => self.counters(f64::round).into_response(),
            Answer::NotANumber => self.counters(|_| f64::NAN).into_response(),
            Answer::Status(code) => (StatusCode::from_u16(code).unwrap(), "s3cret-body").into_response(),
            Answer::Hang => {
                tokio::time::sleep(Duration::from_mins(10)).await;
                StatusCode::OK.into_response()
            }
            Answer::Huge => "x".repeat(3 << 20).into_response(),
            Answer::Redirect => axum::response::Redirect::temporary("http://127.0.0.1:1/").into_response(),
            Answer::Nonsense => "s3cret-body {{{ this is no page".into_response(),
            Answer::Nothing => "".into_response(),
        }
    }

    fn counters(&self, told: impl Fn(f64) -> f64) -> String {
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        let mut page = String::from("# TYPE envoy_cluster_upstream_rq_xx counter\n");
        for (version, (bad, good)) in &state.counters {
            let cluster = format!("cds_egress_mesh_{version}_{}_http_8080", self.namespace);
            for (class, value) in [("2", good), ("5", bad)] {
                if class == "2" || *value > 0.0 {
                    let labels =
                        format!(r#"envoy_cluster_name="{cluster}",envoy_response_code_class="{class}""#);
                    writeln!(page, "envoy_cluster_upstream_rq_xx{{{labels}}} {}", told(*value)).unwrap();
                }
            }
        }
        page
    }
}
