//! A CloudWatch on loopback: Smithy RPC v2 CBOR as the SDK speaks it, answering as a test wants.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use minicbor::{
    Decoder, Encoder,
    data::{IanaTag, Type},
};
use reqwest::Url;
use serde_json::Value;

use super::SECRET;

/// A call of `GetMetricData`.
#[derive(Clone, Debug)]
pub struct Called {
    pub queries: Vec<Queried>,
    pub start: i64,
    pub end: i64,
    pub max_datapoints: i64,
    pub token: Option<String>,
    pub headers: HeaderMap,
}

/// A query of a call. `what` is the statistic and the metric, or the expression.
#[derive(Clone, Debug)]
pub struct Queried {
    pub id: String,
    pub what: String,
    pub namespace: String,
    pub dimensions: BTreeMap<String, String>,
    pub period: i64,
}

/// What a fake answers.
#[derive(Clone)]
pub enum Reply {
    /// A page.
    Page(Page),
    /// A status and an error code.
    Error(u16, &'static str),
    /// A status and anything else.
    Raw(u16, Vec<u8>),
    /// A redirect to an address that would serve.
    Redirect,
    /// 100 MB, a MiB at a time.
    Flood,
    /// Nothing, ever.
    Hang,
}

/// A page of results.
#[derive(Clone, Default)]
pub struct Page {
    pub results: Vec<Found>,
    pub token: Option<String>,
    pub message: bool,
}

/// A result: a series, or a part of one.
#[derive(Clone)]
pub struct Found {
    pub id: String,
    pub label: String,
    pub points: Vec<(f64, f64)>,
    pub status: &'static str,
    pub message: bool,
    /// A value too few.
    pub short: bool,
}

impl Found {
    /// A complete series.
    pub fn of(query: &Queried, points: &[(i64, f64)]) -> Self {
        Self {
            id: query.id.clone(),
            label: format!("{} {SECRET}", query.what),
            #[allow(clippy::cast_precision_loss)]
            points: points.iter().map(|(at, value)| (*at as f64, *value)).collect(),
            status: "Complete",
            message: false,
            short: false,
        }
    }
}

pub struct Fake {
    pub url: Url,
    called: Arc<Mutex<Vec<Called>>>,
}

impl Fake {
    /// The calls that came.
    pub fn calls(&self) -> Vec<Called> {
        self.called.lock().unwrap().clone()
    }
}

/// Every query answered by what a function knows of it.
pub fn page(called: &Called, points: impl Fn(&Queried) -> Vec<(i64, f64)>) -> Page {
    Page {
        results: called.queries.iter().map(|query| Found::of(query, &points(query))).collect(),
        ..Page::default()
    }
}

pub async fn serve(answer: impl Fn(Called) -> Reply + Clone + Send + Sync + 'static) -> Fake {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let called = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::clone(&called);
    let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
        assert_eq!(uri.path(), "/service/GraniteServiceVersion20100801/operation/GetMetricData");
        assert_eq!(headers["smithy-protocol"], "rpc-v2-cbor");
        let call = decoded(headers, &body);
        calls.lock().unwrap().push(call.clone());
        respond(answer(call))
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Fake { url, called }
}

async fn respond(reply: Reply) -> Response {
    let cbor = |status: u16, body: Vec<u8>| {
        let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
        (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
    };
    match reply {
        Reply::Page(page) => cbor(200, encoded(&page)),
        Reply::Error(status, code) => {
            let mut body = Encoder::new(Vec::new());
            body.map(2).unwrap().str("__type").unwrap().str(&format!("com.amazonaws#{code}")).unwrap();
            body.str("message").unwrap().str(SECRET).unwrap();
            cbor(status, body.into_writer())
        }
        Reply::Raw(status, body) => cbor(status, body),
        Reply::Redirect => {
            (StatusCode::FOUND, [("location", format!("/elsewhere?{SECRET}"))]).into_response()
        }
        Reply::Flood => {
            let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
            let chunks = stream::repeat(chunk).take(100).map(Ok::<_, std::io::Error>);
            ([("smithy-protocol", "rpc-v2-cbor")], Body::from_stream(chunks)).into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}

fn encoded(page: &Page) -> Vec<u8> {
    let mut body = Encoder::new(Vec::new());
    body.begin_map().unwrap().str("MetricDataResults").unwrap();
    body.array(page.results.len() as u64).unwrap();
    for found in &page.results {
        body.begin_map().unwrap();
        body.str("Id").unwrap().str(&found.id).unwrap();
        body.str("Label").unwrap().str(&found.label).unwrap();
        body.str("StatusCode").unwrap().str(found.status).unwrap();
        body.str("Timestamps").unwrap().array(found.points.len() as u64).unwrap();
        for (at, _) in &found.points {
            body.tag(IanaTag::Timestamp).unwrap().f64(*at).unwrap();
        }
        let values = &found.points[usize::from(found.short)..];
        body.str("Values").unwrap().array(values.len() as u64).unwrap();
        for (_, value) in values {
            body.f64(*value).unwrap();
        }
        if found.message {
            messages(&mut body);
        }
        body.end().unwrap();
    }
    if let Some(token) = &page.token {
        body.str("NextToken").unwrap().str(token).unwrap();
    }
    if page.message {
        messages(&mut body);
    }
    body.end().unwrap();
    body.into_writer()
}

fn messages(body: &mut Encoder<Vec<u8>>) {
    body.str("Messages").unwrap().array(1).unwrap().map(2).unwrap();
    body.str("Code").unwrap().str("Limit").unwrap().str("Value").unwrap().str(SECRET).unwrap();
}

fn decoded(headers: HeaderMap, body: &[u8]) -> Called {
    let call = value(&mut Decoder::new(body));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    #[allow(clippy::cast_possible_truncation)]
    let whole = |value: &Value| value.as_f64().unwrap_or_default() as i64;
    let queries = call["MetricDataQueries"].as_array().unwrap().iter().map(|query| {
        let stat = &query["MetricStat"];
        let metric = &stat["Metric"];
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        Queried {
            id: text(&query["Id"]),
            what: match &query["Expression"] {
                Value::String(expression) => expression.clone(),
                _ => format!("{} {}", text(&stat["Stat"]), text(&metric["MetricName"])),
            },
            namespace: text(&metric["Namespace"]),
            dimensions: dimensions.map(|d| (text(&d["Name"]), text(&d["Value"]))).collect(),
            period: whole(if stat.is_null() { &query["Period"] } else { &stat["Period"] }),
        }
    });
    Called {
        queries: queries.collect(),
        start: whole(&call["StartTime"]),
        end: whole(&call["EndTime"]),
        max_datapoints: whole(&call["MaxDatapoints"]),
        token: call["NextToken"].as_str().map(str::to_owned),
        headers,
    }
}

/// CBOR as JSON; tags are left out.
fn value(cbor: &mut Decoder<'_>) -> Value {
    match cbor.datatype().unwrap() {
        Type::Map | Type::MapIndef => {
            let mut left = cbor.map().unwrap();
            let mut map = serde_json::Map::new();
            while more(cbor, &mut left) {
                let key = cbor.str().unwrap().to_owned();
                map.insert(key, value(cbor));
            }
            Value::Object(map)
        }
        Type::Array | Type::ArrayIndef => {
            let mut left = cbor.array().unwrap();
            let mut list = Vec::new();
            while more(cbor, &mut left) {
                list.push(value(cbor));
            }
            Value::Array(list)
        }
        Type::Tag => {
            cbor.tag().unwrap();
            value(cbor)
        }
        Type::String => cbor.str().unwrap().into(),
        Type::Bool => cbor.bool().unwrap().into(),
        Type::F16 | Type::F32 | Type::F64 => cbor.f64().unwrap().into(),
        _ => cbor.i64().unwrap().into(),
    }
}

/// Whether a collection goes on; one without a length ends with a break.
fn more(cbor: &mut Decoder<'_>, left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => false,
        Some(count) => {
            *count -= 1;
            true
        }
        None if cbor.datatype().unwrap() == Type::Break => {
            cbor.skip().unwrap();
            false
        }
        None => true,
    }
}
