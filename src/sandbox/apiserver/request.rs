//! A request as the rest of the server sees it: what its path, query and headers mean.

use axum::body::Bytes;
use axum::extract::Query;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;

use super::audit::RequestRecord;
use super::failure::Failure;

/// A request, read whole.
#[derive(Debug)]
pub(super) struct ApiRequest {
    pub method: Method,
    pub path: String,
    pub target: Target,
    pub parameters: Parameters,
    pub accept: String,
    /// Without its parameters, such as the charset.
    pub content_type: String,
    pub user_agent: String,
    pub body: Bytes,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Discovery, documents, health.
    Document(Vec<String>),
    Resource(ResourcePath),
}

/// The path of a collection, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResourcePath {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

/// Query parameters, as text: they are read where they are used. Of a repeated one, the first counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    watch: Option<String>,
    allow_watch_bookmarks: Option<String>,
    send_initial_events: Option<String>,
    timeout_seconds: Option<String>,
    limit: Option<String>,
    pub r#continue: Option<String>,
    pub resource_version: Option<String>,
    pub resource_version_match: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub include_object: Option<String>,
    pub field_manager: Option<String>,
    pub field_validation: Option<String>,
    pub force: Option<String>,
    /// All values given.
    pub dry_run: Vec<String>,
    pub propagation_policy: Option<String>,
}

impl Parameters {
    fn new(pairs: &[(String, String)]) -> Self {
        let all = |name: &str| -> Vec<String> {
            pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
        };
        let first = |name: &str| all(name).into_iter().next();
        Self {
            watch: first("watch"),
            allow_watch_bookmarks: first("allowWatchBookmarks"),
            send_initial_events: first("sendInitialEvents"),
            timeout_seconds: first("timeoutSeconds"),
            limit: first("limit"),
            r#continue: first("continue").filter(|token| !token.is_empty()),
            resource_version: first("resourceVersion").filter(|version| !version.is_empty()),
            resource_version_match: first("resourceVersionMatch").filter(|matching| !matching.is_empty()),
            label_selector: first("labelSelector"),
            field_selector: first("fieldSelector"),
            include_object: first("includeObject"),
            field_manager: first("fieldManager"),
            field_validation: first("fieldValidation"),
            force: first("force"),
            dry_run: all("dryRun"),
            propagation_policy: first("propagationPolicy"),
        }
    }

    pub fn watch(&self) -> bool {
        is_true(self.watch.as_deref())
    }

    pub fn bookmarks(&self) -> bool {
        is_true(self.allow_watch_bookmarks.as_deref())
    }

    pub fn sends_initial_events(&self) -> Option<bool> {
        self.send_initial_events.as_deref().map(|text| is_true(Some(text)))
    }

    pub fn timeout_seconds(&self) -> Result<Option<u64>, Failure> {
        number(self.timeout_seconds.as_deref())
    }

    /// How many objects at most; `None` is without limit.
    pub fn limit(&self) -> Result<Option<u64>, Failure> {
        Ok(number(self.limit.as_deref())?.filter(|limit| *limit > 0))
    }
}

/// Everything but a clear no is a yes, as upstream reads flags.
fn is_true(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.eq_ignore_ascii_case("false") && text != "0")
}

/// A whole number; a negative one counts as none.
fn number(text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let read: i64 = text
        .parse()
        .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
    Ok(u64::try_from(read).ok())
}

impl ApiRequest {
    pub fn new(parts: &Parts, body: Bytes) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|error| Failure::bad_request(error.body_text()))?;
        let header = |name| text(&parts.headers, name);
        Ok(Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            target: Target::parse(parts.uri.path()),
            parameters: Parameters::new(&pairs),
            accept: header(header::ACCEPT),
            content_type: header(header::CONTENT_TYPE)
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            user_agent: header(header::USER_AGENT),
            body,
        })
    }

    /// Whom a write is recorded for.
    pub fn manager(&self) -> &str {
        let given = self.parameters.field_manager.as_deref().filter(|manager| !manager.is_empty());
        let agent = self.user_agent.split('/').next().filter(|agent| !agent.is_empty());
        given.or(agent).unwrap_or("unknown")
    }

    /// The verb in Kubernetes' words.
    pub fn verb(&self) -> &'static str {
        let named = match &self.target {
            Target::Resource(path) => path.name.is_some(),
            Target::Document(_) => true,
        };
        match (&self.method, named) {
            (&Method::GET, false) if self.parameters.watch() => "watch",
            (&Method::GET, false) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "delete",
            (&Method::DELETE, false) => "deletecollection",
            (&Method::GET | &Method::HEAD, _) => "get",
            _ => "",
        }
    }

    /// Refuses a body that is not JSON.
    pub fn check_json(&self) -> Result<(), Failure> {
        match self.content_type.as_str() {
            "" | "application/json" => Ok(()),
            "application/vnd.kubernetes.protobuf" | "application/yaml" | "application/cbor" => {
                Err(Failure::unsupported_media_type(format!(
                    "the embedded API server takes JSON bodies only, not {}; send application/json",
                    self.content_type.rsplit(['/', '.']).next().unwrap_or_default()
                )))
            }
            _ => Err(Failure::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json",
            )),
        }
    }

    pub fn record(&self, time: Timestamp) -> RequestRecord {
        let path = match &self.target {
            Target::Resource(path) => path.clone(),
            Target::Document(_) => ResourcePath::default(),
        };
        RequestRecord {
            time,
            verb: self.verb().to_owned(),
            group: path.group,
            resource: path.plural,
            subresource: path.subresource.unwrap_or_default(),
            namespace: path.namespace.unwrap_or_default(),
            name: path.name.unwrap_or_default(),
            path: self.path.clone(),
            user_agent: self.user_agent.clone(),
            field_manager: self.manager().to_owned(),
            dry_run: self.parameters.dry_run.iter().any(|mode| mode == "All"),
            code: None,
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

impl Target {
    pub fn parse(path: &str) -> Self {
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        let segments: Vec<&str> = trimmed.split('/').filter(|_| !trimmed.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => ("", "", &[][..]),
        };
        let (namespace, rest) = match rest {
            // A namespace is an object itself, with subresources of its own.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let Some((plural, rest)) = rest.split_first() else {
            return Self::Document(segments.into_iter().map(str::to_owned).collect());
        };
        Self::Resource(ResourcePath {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: (*plural).to_owned(),
            name: rest.first().map(|name| (*name).to_owned()),
            subresource: (rest.len() > 1).then(|| rest[1..].join("/")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let resource = |path: &str| match Target::parse(path) {
            Target::Resource(path) => {
                let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                let ResourcePath { group, version, namespace, plural, name, subresource } = path;
                [group, version, part(namespace), plural, part(name), part(subresource)].join(" ")
            }
            Target::Document(parts) => parts.join("+"),
        };
        for (path, want) in [
            ("/api/v1/namespaces", " v1 - namespaces - -"),
            ("/api/v1/namespaces/a", " v1 - namespaces a -"),
            ("/api/v1/namespaces/a/status", " v1 - namespaces a status"),
            ("/api/v1/namespaces/a/pods", " v1 a pods - -"),
            ("/api/v1/namespaces/a/pods/b/log", " v1 a pods b log"),
            ("/apis/apps/v1/deployments", "apps v1 - deployments - -"),
            ("/apis/apps/v1/namespaces/a/deployments/b", "apps v1 a deployments b -"),
            ("/apis/apps/v1", "apis+apps+v1"),
            ("/api", "api"),
            ("/openapi/v3/apis/apps/v1", "openapi+v3+apis+apps+v1"),
            ("/", ""),
        ] {
            assert_eq!(resource(path), want, "{path}");
        }
    }
}
