//! One of the two servers, with what a script remembers of its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use http::{Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::step::{Step, Until};

/// How long the server may take for what it does in its own time. Every script leaves a namespace to end, and a real
/// control plane ends them slowly.
const SETTLING: Duration = Duration::from_mins(2);
/// How long a watch may take to tell something.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a watch that has told everything expected is given to tell more.
const GRACE: Duration = Duration::from_millis(150);

/// Between two looks at what the server does in its own time.
const PAUSE: Duration = Duration::from_millis(30);
/// What the real server would have given out at version 1 to go on behind `a`.
const EXPIRED: &str = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYVx1MDAwMCJ9";

/// What a server answered, as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub content_type: String,
    pub warnings: Vec<String>,
    /// Events of a watch are an array; what is not JSON is a string.
    pub body: Value,
}

/// A server, and one script's view of it.
pub struct Side {
    pub name: &'static str,
    client: kube::Client,
    pub namespace: String,
    versions: BTreeMap<String, (String, String)>,
    uids: BTreeMap<String, String>,
    list: (String, String),
}

/// What the real server is called.
pub const REAL: &str = "real";

impl Side {
    pub fn new(name: &'static str, client: kube::Client, namespace: String) -> Self {
        Self {
            name,
            client,
            namespace,
            versions: BTreeMap::new(),
            uids: BTreeMap::new(),
            list: Default::default(),
        }
    }

    /// Makes the script's namespace.
    pub async fn open(&mut self) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let answer = self.run(&crate::step::post("/api/v1/namespaces", &body), None).await;
        assert_eq!(answer.code, 201, "{}: cannot make a namespace: {}", self.name, answer.body);
        if self.name == REAL {
            // Its controllers put this into every namespace, which watches would see.
            let theirs = crate::step::get("/api/v1/namespaces/$NS/configmaps/kube-root-ca.crt").until(200);
            self.run(&theirs, None).await;
        }
    }

    /// Removes the script's namespace, without waiting for it.
    pub async fn close(&mut self) {
        self.run(&crate::step::delete("/api/v1/namespaces/$NS"), None).await;
    }

    /// Sends a step. A watch ends when it has told `events` events and then stays quiet, or ends by itself.
    pub async fn run(&mut self, step: &Step, events: Option<usize>) -> Answer {
        let mut answer = self.send(step, events).await;
        let settling = async {
            let mut before = None;
            while step.until.is_some_and(|until| !has_come(until, &answer, before.as_ref())) {
                tokio::time::sleep(PAUSE).await;
                before = Some(std::mem::replace(&mut answer, self.send(step, events).await));
            }
        };
        // What does not settle is compared as it is, and told.
        let _ = timeout(SETTLING, settling).await;
        self.remember(&answer.body);
        answer
    }

    async fn send(&self, step: &Step, events: Option<usize>) -> Answer {
        let mut request = Request::builder()
            .method(step.method.clone())
            .uri(self.fill(&step.path))
            .header(header::ACCEPT, step.accept)
            .header(header::USER_AGENT, "fidelity/1");
        if let Some(content_type) = step.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(self.fill(&step.body).into_bytes())).unwrap();
        let response =
            self.client.send(request).await.unwrap_or_else(|error| panic!("{}: {step}: {error}", self.name));
        let (parts, body) = response.into_parts();
        let text = |name| {
            let values = parts.headers.get_all(name).into_iter();
            values.map(|value| value.to_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let code = parts.status.as_u16();
        let body =
            if code == 200 && step.is_watch() { watched(body, events).await } else { whole(body).await };
        Answer {
            code,
            content_type: text(header::CONTENT_TYPE).join(","),
            warnings: text(header::WARNING),
            body,
        }
    }

    fn remember(&mut self, body: &Value) {
        for object in body["items"].as_array().into_iter().flatten().chain([body]) {
            self.remember_object(object);
        }
        // An expired list tells where to go on, too.
        let goes_on = body["metadata"]["continue"].is_string();
        if goes_on || body["items"].is_array() || body["rows"].is_array() {
            let text = |field: &str| body["metadata"][field].as_str().unwrap_or_default().to_owned();
            self.list = (text("resourceVersion"), text("continue"));
        }
    }

    fn remember_object(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        let (Some(name), Some(uid)) = (metadata["name"].as_str(), metadata["uid"].as_str()) else {
            return;
        };
        self.uids.insert(name.to_owned(), uid.to_owned());
        if let Some(version) = metadata["resourceVersion"].as_str() {
            let known =
                self.versions.entry(name.to_owned()).or_insert_with(|| (version.to_owned(), String::new()));
            version.clone_into(&mut known.1);
        }
    }

    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            filled.push_str(before);
            let (value, remaining) = self.placeholder(after);
            filled.push_str(&value);
            rest = remaining;
        }
        filled + rest
    }

    fn placeholder<'t>(&self, text: &'t str) -> (String, &'t str) {
        let expired = match self.name {
            REAL => EXPIRED.to_owned(),
            _ => format!("1:{}/a", self.namespace),
        };
        for (name, value) in [
            ("NS", &self.namespace),
            ("listrv", &self.list.0),
            ("continue", &self.list.1),
            ("expired", &expired),
        ] {
            if let Some(rest) = text.strip_prefix(name) {
                return (value.clone(), rest);
            }
        }
        let called =
            text.split_once('(').and_then(|(function, rest)| Some((function, rest.split_once(')')?)));
        let Some((function, (name, rest))) = called else {
            return ("$".to_owned(), text);
        };
        let value = match function {
            "uid" => self.uids.get(name).cloned(),
            "rv" => self.versions.get(name).map(|(_, last)| last.clone()),
            "oldrv" => self.versions.get(name).map(|(first, _)| first.clone()),
            _ => return ("$".to_owned(), text),
        };
        (value.unwrap_or_default(), rest)
    }
}

/// Whether a server has got to where a step waits for it; `before` is what it answered the last time.
fn has_come(until: Until, answer: &Answer, before: Option<&Answer>) -> bool {
    match until {
        Until::Code(code) => answer.code == code,
        Until::Owners(number) => {
            answer.body["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len) == number
        }
        // Controllers write several times: what has come stays.
        Until::Settled => {
            answer.code == 404
                || is_settled(&answer.body) && before.is_some_and(|before| before.body == answer.body)
        }
    }
}

/// Whether a controller has seen an object as it is, and has nothing more to say.
fn is_settled(object: &Value) -> bool {
    let status = &object["status"];
    let says = |reason: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["reason"] == reason)
    };
    match object["kind"].as_str() {
        Some("Deployment") => {
            let revision = &object["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            has_its_replicas(object) && says("NewReplicaSetAvailable") && revision.is_string()
        }
        Some("StatefulSet") => {
            has_its_replicas(object) && status["currentRevision"] == status["updateRevision"]
        }
        Some("HorizontalPodAutoscaler") => says("FailedGetScale"),
        _ => false,
    }
}

/// Whether the controller of a workload has seen it as it is, and has all the replicas ready that it wants.
fn has_its_replicas(workload: &Value) -> bool {
    let status = &workload["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let all = workload["spec"]["replicas"].as_i64().unwrap_or(1);
    status["observedGeneration"] == workload["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| count(field) == all)
}

async fn whole(body: Body) -> Value {
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
}

/// The events of a watch, one JSON document a line.
async fn watched(body: Body, events: Option<usize>) -> Value {
    let mut stream = body.into_data_stream();
    let (mut text, mut told) = (Vec::new(), Vec::<Value>::new());
    loop {
        let enough = events.is_some_and(|events| told.len() >= events);
        let Ok(Some(Ok(chunk))) = timeout(if enough { GRACE } else { PATIENCE }, stream.next()).await else {
            // What is no event is an answer of its own: the path was no watch after all.
            let rest = serde_json::from_slice(&text).ok();
            return match (told.as_slice(), rest) {
                ([], Some(whole)) => whole,
                ([only], _) if only.get("type").is_none() => only.clone(),
                _ => Value::Array(told),
            };
        };
        text.extend_from_slice(&chunk);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            told.push(
                serde_json::from_slice(&line)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned().into()),
            );
        }
    }
}
