//! The start: a client that retries nothing by itself, and a look at whether the API server can serve us.
//!
//! What makes it impossible to serve anything is an error. A missing permission is not: what it hinders says so
//! when it is needed, and everything else works.

use std::{path::Path, time::Duration};

use http::{HeaderValue, header::USER_AGENT};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::{
    Api, Client, Config as ClientConfig, CustomResourceExt,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use super::{error::Error, permissions, served_schema};
use crate::api::Rollout;

/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to answer a question at the start.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a CRD that was just updated may take to be shown.
const SHOWN: Duration = Duration::from_secs(5);
/// How often is looked whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// What API servers see of us.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// The oldest minor version of Kubernetes 1 that is supported: the first in which validation rules of CRDs are
/// stable. Below it a spec that contradicts itself could be stored, and would be found out only when it is stepped.
pub const OLDEST_MINOR: u32 = 29;

/// A client from a kubeconfig file; without one from `KUBECONFIG`, `~/.kube/config` or the pod's service account.
/// It retries nothing by itself: kube's own retries resend patches up to 15 times, ours stand in one place and
/// decide anew.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    // Only the first call in a process has an effect; ring is the one TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig =
                Kubeconfig::read_from(path).map_err(|error| Error::Kubeconfig(Box::new(error)))?;
            ClientConfig::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(|error| Error::Kubeconfig(Box::new(error)))?
        }
        None => ClientConfig::infer().await.map_err(|error| Error::Kubeconfig(Box::new(error)))?,
    };
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let url = config.cluster_url.to_string();
    Client::try_from(config).map_err(|source| Error::Client { url, source })
}

/// Whether the API server answers, knows us, is new enough, and serves Rollouts as we know them.
pub async fn check(client: &Client, namespaces: &[String]) -> Result<(), Error> {
    let info = answered(client.apiserver_version()).await?;
    if is_too_old(&info.major, &info.minor) {
        return Err(Error::TooOld { version: info.git_version });
    }
    let api: Api<Rollout> = match namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let one = ListParams::default().limit(1);
    answered(api.list_metadata(&one)).await?;
    schema(client).await?;
    for namespace in scopes(namespaces) {
        tell_missing(client, namespace).await;
    }
    Ok(())
}

/// The namespaces to ask permissions for. Those that hold in the whole cluster hold in any namespace.
fn scopes(namespaces: &[String]) -> Vec<&str> {
    match namespaces {
        [] => vec!["default"],
        namespaces => namespaces.iter().map(String::as_str).collect(),
    }
}

async fn answered<T>(question: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(understood(error)),
        Err(_) => Err(Error::Silent { seconds: ANSWER.as_secs() }),
    }
}

fn understood(error: kube::Error) -> Error {
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    match code {
        404 => Error::CrdMissing,
        401 | 403 => Error::Refused(error),
        _ => Error::Unreachable(error),
    }
}

/// Whether a version of the API server, whose minor may end in a plus sign, is older than we support. One that is
/// no number is not held against it.
fn is_too_old(major: &str, minor: &str) -> bool {
    let digits =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|part| part.parse().ok());
    match (digits(major), digits(minor)) {
        (Some(1_u32), Some(minor)) => minor < OLDEST_MINOR,
        (Some(major), _) => major < 1,
        (None, _) => false,
    }
}

/// Fails where the API server shows a Rollout CRD that lacks a field of ours: it would drop what we store. One
/// that was updated a moment ago is not shown at once.
async fn schema(client: &Client) -> Result<(), Error> {
    let ours = serde_json::to_value(Rollout::crd()).unwrap_or_default();
    let mut waited = Duration::ZERO;
    loop {
        let lacks = match tokio::time::timeout(ANSWER, shown(client)).await {
            Ok(Ok(document)) => served_schema::lacks(&ours, &document),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the schema of Rollouts is not shown, and not compared");
                None
            }
            Err(_) => None,
        };
        match lacks {
            None => return Ok(()),
            Some(field) if waited >= SHOWN => return Err(Error::CrdOlder { field }),
            Some(_) => {
                tokio::time::sleep(LOOK_AGAIN).await;
                waited += LOOK_AGAIN;
            }
        }
    }
}

/// The API server's OpenAPI document with Rollouts in it.
async fn shown(client: &Client) -> Result<Value, kube::Error> {
    let request = http::Request::get("/openapi/v3/apis/tidegate.dev/v1alpha1")
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Says which permissions are missing. Some API servers can't tell; then nothing is said.
async fn tell_missing(client: &Client, namespace: &str) {
    let api: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    match tokio::time::timeout(ANSWER, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(review)) => {
            let missing = permissions::missing(&review.status.unwrap_or_default());
            if !missing.is_empty() {
                tracing::error!(
                    namespace,
                    missing = missing.join(", "),
                    "permissions are missing: what needs them will fail and say so, everything else works; grant \
                     them with: tidegate rbac | kubectl apply -f -"
                );
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, namespace, "which permissions there are can't be told"),
        Err(_) => tracing::debug!(namespace, "which permissions there are was not answered in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_answer_says_is_told_with_its_remedy() {
        let told = |code| {
            let status = kube::core::Status::failure("", "").with_code(code);
            understood(kube::Error::Api(Box::new(status))).to_string()
        };
        assert!(told(404).contains("kubectl apply -f crds/"), "{}", told(404));
        assert!(told(403).contains("RBAC"), "{}", told(403));
        assert!(told(401).contains("KUBECONFIG"), "{}", told(401));
        assert!(told(500).contains("cannot reach"), "{}", told(500));
    }

    #[test]
    fn old_api_servers_are_known_by_their_numbers() {
        for (major, minor, want) in [
            ("1", "28", true),
            ("1", "28+", true),
            ("1", "29", false),
            ("1", "29+", false),
            ("1", "37", false),
            ("2", "0", false),
            ("0", "21", true),
            ("", "", false),
            ("1", "odd", false),
        ] {
            assert_eq!(is_too_old(major, minor), want, "{major}.{minor}");
        }
    }
}
