//! The start: a client that retries nothing by itself, and a look at whether the API server can serve us at all.

use std::{path::Path, time::Duration};

use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Api, Client, Config as ClientConfig,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::error::Error;
use crate::api::Rollout;

/// Who we are, in the API server's audit log.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to answer the first question.
const ANSWER: Duration = Duration::from_secs(15);

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
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    config.connect_timeout = Some(CONNECT);
    let url = config.cluster_url.to_string();
    Client::try_from(config).map_err(|source| Error::Client { url, source })
}

/// Whether the API server answers, knows us, and serves Rollouts.
pub async fn check(client: &Client, namespaces: &[String]) -> Result<(), Error> {
    let api: Api<Rollout> = match namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let one = ListParams::default().limit(1);
    let listed = tokio::time::timeout(ANSWER, api.list_metadata(&one)).await;
    match listed {
        Ok(Ok(_)) => Ok(()),
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
}
