//! One request of a script, written once and sent to both servers.
//!
//! Paths and bodies may name what only the answers tell: `$NS` is the script's own namespace, `$uid(a)`, `$rv(a)`
//! and `$oldrv(a)` are the uid, the last seen and the first seen resourceVersion of the object `a`, `$continue` and
//! `$listrv` come from the last list, and `$expired` is a token that continues a list at version 1 behind an object `a`.

use http::Method;
use serde_json::Value;

pub const JSON: &str = "application/json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/$NS/configmaps";
pub const SERVICES: &str = "/api/v1/namespaces/$NS/services";
pub const CORE_EVENTS: &str = "/api/v1/namespaces/$NS/events";
pub const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/$NS/events";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/$NS/deployments";
pub const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/$NS/statefulsets";
pub const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/$NS/horizontalpodautoscalers";
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/$NS/leases";
pub const ROLLOUTS: &str = "/apis/tidegate.dev/v1alpha1/namespaces/$NS/rollouts";
pub const GATEWAY_ROUTES: &str = "/apis/appmesh.k8s.aws/v1beta2/namespaces/$NS/gatewayroutes";
pub const VIRTUAL_ROUTERS: &str = "/apis/appmesh.k8s.aws/v1beta2/namespaces/$NS/virtualrouters";
pub const HTTP_ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/$NS/httproutes";
pub const GRPC_ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/$NS/grpcroutes";
pub const WIDGETS: &str = "/apis/fidelity.tidegate.dev/v1/namespaces/$NS/widgets";

/// What a step waits for, where the server does something in its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The answer has this code.
    Code(u16),
    /// The object has so many owners.
    Owners(usize),
    /// The object is gone, or its controller has done all there is to do.
    Settled,
}

/// A request, before its placeholders are filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub method: Method,
    pub path: String,
    pub content_type: Option<&'static str>,
    pub accept: &'static str,
    pub body: String,
    /// Repeat until the answer is so.
    pub until: Option<Until>,
}

impl Step {
    fn new(
        method: Method,
        path: impl Into<String>,
        content_type: Option<&'static str>,
        body: String,
    ) -> Self {
        Self { method, path: path.into(), content_type, accept: JSON, body, until: None }
    }

    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Sends exactly this text, whatever it is.
    pub fn text(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub fn until(mut self, code: u16) -> Self {
        self.until = Some(Until::Code(code));
        self
    }

    pub fn until_owners(mut self, number: usize) -> Self {
        self.until = Some(Until::Owners(number));
        self
    }

    pub fn until_settled(mut self) -> Self {
        self.until = Some(Until::Settled);
        self
    }

    pub fn is_watch(&self) -> bool {
        self.path.contains("watch=1") || self.path.contains("watch=true")
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if self.accept != JSON {
            write!(f, " (accept {})", self.accept)?;
        }
        if let Some(type_) = self.content_type.filter(|type_| *type_ != JSON) {
            write!(f, " ({type_})")?;
        }
        match self.body.char_indices().nth(900) {
            Some((end, _)) => write!(f, " {}…", &self.body[..end]),
            None => write!(f, " {}", self.body),
        }
    }
}

pub fn get(path: impl Into<String>) -> Step {
    Step::new(Method::GET, path, None, String::new())
}

pub fn post(path: impl Into<String>, body: &Value) -> Step {
    Step::new(Method::POST, path, Some(JSON), body.to_string())
}

pub fn put(path: impl Into<String>, body: &Value) -> Step {
    Step::new(Method::PUT, path, Some(JSON), body.to_string())
}

pub fn merge(path: impl Into<String>, body: &Value) -> Step {
    Step::new(Method::PATCH, path, Some(MERGE_PATCH), body.to_string())
}

pub fn json_patch(path: impl Into<String>, body: &Value) -> Step {
    Step::new(Method::PATCH, path, Some(JSON_PATCH), body.to_string())
}

pub fn delete(path: impl Into<String>) -> Step {
    Step::new(Method::DELETE, path, None, String::new())
}

/// A deletion with options in its body.
pub fn delete_with(path: impl Into<String>, options: &Value) -> Step {
    Step::new(Method::DELETE, path, Some(JSON), options.to_string())
}

/// Any method, with a JSON body.
pub fn send(method: &str, path: impl Into<String>, body: &str) -> Step {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Step::new(method, path, Some(JSON), body.to_owned())
}
