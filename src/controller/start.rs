//! The start: a client that retries nothing by itself, and a look at whether the API server can serve us.
//!
//! What makes it impossible to serve anything is an error. A missing permission is not: what it hinders says so
//! when it is needed, and everything else works.

use std::{path::Path, time::Duration};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client, Config as ClientConfig, CustomResourceExt,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

use super::{
    error::Error,
    permissions::{REMEDY, permissions},
    served_schema,
};
use crate::{api::Rollout, client, engine::observed::Allowed, routes::without_body};

/// How long it may take to answer a question at the start.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a CRD that was just updated may take to be shown.
const SHOWN: Duration = Duration::from_secs(5);
/// How often is looked whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// What API servers see of us.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// The oldest minor version of Kubernetes 1 that is supported: the first in which the objects of a CRD can be asked for by
/// a field. Below it a CRD that allows that is refused or cut down, and those in a run would be found after a restart only
/// among all others.
pub const OLDEST_MINOR: u32 = 31;

/// A client from a kubeconfig file; without one from `KUBECONFIG`, `~/.kube/config` or the pod's service account.
/// It retries nothing by itself: kube's own retries resend patches up to 15 times, ours stand in one place and
/// decide anew.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig =
                Kubeconfig::read_from(path).map_err(|error| Error::Kubeconfig(Box::new(error)))?;
            ClientConfig::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(|error| Error::Kubeconfig(Box::new(error)))?
        }
        None => ClientConfig::infer().await.map_err(|error| Error::Kubeconfig(Box::new(error)))?,
    };
    let mut config = client::settings(config, AGENT);
    config.default_retry = false;
    let url = config.cluster_url.to_string();
    client::connect(config).map_err(|source| Error::Client { url, source })
}

/// Whether the API server answers, knows us, is new enough, and serves Rollouts as we know them.
pub async fn check(client: &Client, namespaces: &[String]) -> Result<(), Error> {
    version(client).await?;
    let apis: Vec<Api<Rollout>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        namespaces => namespaces.iter().map(|one| Api::namespaced(client.clone(), one)).collect(),
    };
    readable(&apis).await?;
    schema(client).await
}

/// Fails where Rollouts can be read in none of the scopes. Where only some are forbidden the others are served.
async fn readable(scopes: &[Api<Rollout>]) -> Result<(), Error> {
    let one = ListParams::default().limit(1);
    let (mut served, mut forbidden) = (false, None);
    for scope in scopes {
        match answered(scope.list_metadata(&one)).await?.map_err(understood) {
            Ok(_) => served = true,
            Err(error @ Error::Forbidden(_)) => forbidden = Some(error),
            Err(error) => return Err(error),
        }
    }
    match forbidden {
        Some(error) if !served => Err(error),
        Some(_) | None => Ok(()),
    }
}

async fn answered<T>(question: impl Future<Output = kube::Result<T>>) -> Result<kube::Result<T>, Error> {
    let answer = tokio::time::timeout(ANSWER, question).await;
    answer.map_err(|_| Error::Silent { seconds: ANSWER.as_secs() })
}

fn understood(error: kube::Error) -> Error {
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    match code {
        404 => Error::CrdMissing,
        401 => Error::Unknown(without_body(error)),
        403 => Error::Forbidden(without_body(error)),
        _ => Error::Unreachable(without_body(error)),
    }
}

/// Fails where the API server is too old, or can't be reached. One that does not tell its version is not held back
/// for it.
async fn version(client: &Client) -> Result<(), Error> {
    match answered(client.apiserver_version()).await? {
        Ok(info) if is_too_old(&info.major, &info.minor) => Err(Error::TooOld { version: info.git_version }),
        Ok(_) => Ok(()),
        Err(error @ kube::Error::Api(_)) => {
            tracing::info!(error = %without_body(error), "the API server does not tell its version");
            Ok(())
        }
        Err(error) => Err(Error::Unreachable(without_body(error))),
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
    let mut lacks = None;
    let looking = async {
        loop {
            match shown(client).await {
                Ok(document) => lacks = served_schema::lacks(&ours, &document),
                Err(error) => {
                    tracing::info!(error = %without_body(error), "the schema of Rollouts is not shown, and not compared");
                    lacks = None;
                }
            }
            if lacks.is_none() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    // What lacks when the time is up is taken as lacking; a silent API server is not held against the CRD.
    let _ = tokio::time::timeout(SHOWN, looking).await;
    lacks.map_or(Ok(()), |field| Err(Error::CrdOlder { field }))
}

/// The API server's OpenAPI document with Rollouts in it.
async fn shown(client: &Client) -> Result<Value, kube::Error> {
    let request = http::Request::get("/openapi/v3/apis/tidegate.dev/v1alpha1")
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Says which permissions are missing. Nothing waits for it: what is hindered by one says so as well.
pub async fn tell_missing(client: Client, namespaces: Vec<String>, allowed: Allowed) {
    let scopes = if namespaces.is_empty() { vec![String::new()] } else { namespaces };
    for namespace in scopes {
        let mut missing = Vec::new();
        for permission in permissions(allowed) {
            for verb in permission.verbs {
                match is_granted(&client, permission.question(verb, &namespace)).await {
                    Ok(true) => {}
                    Ok(false) => missing.push(permission.name(verb)),
                    Err(why) => {
                        tracing::info!(why, "which permissions there are can't be told");
                        return;
                    }
                }
            }
        }
        if !missing.is_empty() {
            let missing = missing.join(", ");
            tracing::error!(
                namespace,
                missing,
                "permissions are missing: what needs them fails and says so, the rest works; {REMEDY}"
            );
        }
    }
}

async fn is_granted(client: &Client, question: ResourceAttributes) -> Result<bool, String> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(question), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    match tokio::time::timeout(ANSWER, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(review)) => Ok(review.status.is_some_and(|status| status.allowed)),
        Ok(Err(error)) => Err(without_body(error).to_string()),
        Err(_) => Err("the API server did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::INSTALL_CRDS;

    #[test]
    fn what_the_first_answer_says_is_told_with_its_remedy() {
        let told = |code| {
            let status = kube::core::Status::failure("", "").with_code(code);
            understood(kube::Error::Api(Box::new(status))).to_string()
        };
        assert!(told(404).contains(INSTALL_CRDS), "{}", told(404));
        assert!(told(403).contains("tidegate rbac"), "{}", told(403));
        assert!(told(401).contains("KUBECONFIG"), "{}", told(401));
        assert!(told(500).contains("cannot reach"), "{}", told(500));
    }

    #[test]
    fn old_api_servers_are_known_by_their_numbers() {
        for (major, minor, want) in [
            ("1", "30", true),
            ("1", "30+", true),
            ("1", "31", false),
            ("1", "31+", false),
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
