//! Every request to the API server is counted, lists and watches included: a layer around the client, which whoever asks
//! goes through.

use std::sync::Arc;

use http::{Method, Request};
use kube::{Client, client::Body};

use super::{
    Meters,
    labels::{CODES, NO_ANSWER, OTHER, RESOURCES},
};
use crate::clock::Clock;

/// The client, with all that is asked through it counted.
pub fn counted(client: &Client, meters: &Arc<Meters>, clock: Clock) -> Client {
    let (inner, meters) = (client.clone(), Arc::clone(meters));
    let counting = tower::service_fn(move |request: Request<Body>| {
        let (inner, meters) = (inner.clone(), Arc::clone(&meters));
        async move {
            let (verb, resource) = asked(request.method(), request.uri().path(), request.uri().query());
            let sent = clock.elapsed();
            let answer = inner.send(request).await;
            let code = answer.as_ref().map_or(NO_ANSWER, |answer| code(answer.status().as_u16()));
            meters.request(verb, resource, code, clock.elapsed().saturating_sub(sent));
            answer
        }
    });
    Client::new(counting, client.default_namespace())
}

/// What a request asks for: the verb and the resource, with its subresource behind a slash.
fn asked(method: &Method, path: &str, query: Option<&str>) -> (&'static str, &'static str) {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let watches = query.is_some_and(|query| query.split('&').any(|asked| asked == "watch=true"));
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if rest.len() == 1 => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => OTHER,
    };
    (verb, resource(rest))
}

fn resource(rest: &[&str]) -> &'static str {
    let is = |known: &str| match rest {
        [resource, _, subresource, ..] => known.split_once('/') == Some((*resource, *subresource)),
        [resource, ..] => known == *resource,
        [] => false,
    };
    RESOURCES.iter().copied().find(|known| is(known)).unwrap_or(OTHER)
}

/// An HTTP status as a label: the status itself where it is one that API servers answer with, else its class.
fn code(status: u16) -> &'static str {
    let text = status.to_string();
    let class = match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => OTHER,
    };
    CODES.iter().copied().find(|known| *known == text).unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_verb_and_resource_of_fixed_sets() {
        let rollouts = "/apis/tidegate.dev/v1alpha1/rollouts";
        let color = "/apis/tidegate.dev/v1alpha1/namespaces/ns/rollouts/color";
        #[rustfmt::skip]
        let cases = [
            (Method::GET, rollouts, Some("limit=1"), ("list", "rollouts")),
            (Method::GET, rollouts, Some("allowWatchBookmarks=true&watch=true"), ("watch", "rollouts")),
            (Method::GET, color, None, ("get", "rollouts")),
            (Method::PUT, &format!("{color}/status"), None, ("update", "rollouts/status")),
            (Method::PATCH, color, None, ("patch", "rollouts")),
            (Method::PATCH, "/apis/apps/v1/namespaces/ns/deployments/v2/scale", None, ("patch", "deployments/scale")),
            (Method::GET, "/apis/apps/v1/namespaces/ns/deployments/v2/odd", None, ("get", "other")),
            (Method::GET, "/api/v1/namespaces/ns/secrets/free-text", None, ("get", "other")),
            (Method::GET, "/api/v1/namespaces/ns", None, ("get", "other")),
            (Method::DELETE, "/apis/gateway.networking.k8s.io/v1/namespaces/ns/httproutes/r", None, ("delete", "httproutes")),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/ns/events", None, ("create", "events")),
            (Method::GET, "/version", None, ("get", "other")),
            (Method::OPTIONS, "/", None, ("other", "other")),
        ];
        for (method, path, query, want) in cases {
            assert_eq!(asked(&method, path, query), want, "{method} {path}");
        }
    }

    #[test]
    fn codes_are_their_own_or_their_class() {
        for (status, want) in
            [(200, "200"), (409, "409"), (418, "4xx"), (204, "2xx"), (599, "5xx"), (101, "other")]
        {
            assert_eq!(code(status), want);
        }
    }
}
