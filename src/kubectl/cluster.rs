//! The cluster: one client, one namespace, and what all commands ask of it.

use futures::{Stream, StreamExt};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config,
    api::{PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt, watcher},
};

use super::{Error, args::Global};
use crate::{api::Rollout, client};

/// What API servers see of us, in their audit log and in managedFields.
const AGENT: &str = "kubectl-tidegate";

/// How patches are sent: under our name.
pub fn as_us() -> PatchParams {
    PatchParams { field_manager: Some(AGENT.to_owned()), ..PatchParams::default() }
}

/// A connection to a cluster.
pub struct Cluster {
    /// Speaks to its API server.
    pub client: Client,
    /// The namespace that was asked for, or that of the context.
    pub namespace: String,
    /// The flags by which it was reached, as they have to be said again.
    flags: String,
}

impl Cluster {
    /// By the kubeconfig and the flags. Nothing is asked yet.
    pub async fn connect(global: &Global) -> Result<Self, Error> {
        let unusable = |error| Error::Kubeconfig(Box::new(error));
        let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
        let read = match &global.kubeconfig {
            Some(file) => Some(Kubeconfig::read_from(file)),
            None if global.context.is_some() => Some(Kubeconfig::read()),
            None => None,
        };
        let mut config = match read {
            Some(read) => {
                Config::from_custom_kubeconfig(read.map_err(unusable)?, &options).await.map_err(unusable)?
            }
            None => match Config::from_kubeconfig(&options).await {
                Ok(config) => config,
                Err(error) => Config::incluster().map_err(|_| unusable(error))?,
            },
        };
        if let Some(user) = &global.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        let config = client::settings(config, AGENT);
        let namespace = global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let client =
            client::connect(config).map_err(|source| Error::Client { url, source: Box::new(source) })?;
        Ok(Self { client, namespace, flags: global.again() })
    }

    /// A Rollout as a command that is suggested has to name it: another namespace may have one of the same name.
    pub fn asked(&self, name: &str) -> String {
        format!("{name}{}", self.flags)
    }

    /// The Rollouts of the namespace.
    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A Rollout as it is now.
    pub async fn rollout(&self, name: &str) -> Result<Rollout, Error> {
        self.rollouts()
            .get(name)
            .await
            .map_err(|error| self.about(&format!("read the Rollout {name}"), error))
    }

    /// That there is no such Rollout.
    pub fn lacks(&self, name: &str) -> Error {
        Error::Usage(format!("there is no Rollout {name} in the namespace {}", self.namespace))
    }

    /// An error of the API server, about one of our kinds.
    pub fn about(&self, act: &str, error: kube::Error) -> Error {
        match &error {
            // What is not served has no name to tell.
            kube::Error::Api(status)
                if status.code == 404
                    && status.details.as_ref().is_none_or(|details| details.name.is_empty()) =>
            {
                Error::NotServed
            }
            _ => Error::api(format!("{act} in the namespace {}", self.namespace), error),
        }
    }

    /// What a failed watch of a Rollout says; none where it only begins anew.
    pub fn of_watch(&self, name: &str, error: watcher::Error) -> Option<Error> {
        match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => {
                Some(self.about(&format!("follow the Rollout {name}"), source))
            }
            watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
        }
    }

    /// Who we are, as the API server knows us. It is for people who read it later: where it can't be found out, nothing is
    /// held up for it.
    pub async fn whoami(&self) -> String {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let asked = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = asked.ok().and_then(|review| review.status).and_then(|status| status.user_info);
        let name = user.and_then(|user| user.username).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| "somebody".to_owned())
    }

    /// A Rollout as it is and becomes; none where it does not exist. Errors come with it, and it goes on.
    pub fn follow(&self, name: &str) -> impl Stream<Item = watcher::Result<Option<Rollout>>> + use<> {
        watcher::watch_object(self.rollouts(), name).default_backoff().boxed()
    }
}
