//! The Leases by which controllers agree, as they are read and written on the API server. What they mean is `lease`'s and
//! `shards`' to say.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use super::error::Error;
use crate::{
    config::LeaderElection,
    lease::Terms,
    routes::{FIELD_MANAGER, without_body},
};

/// How long a call may take: well below the renew deadline.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long what could not be written waits for its next attempt.
pub const AGAIN: Duration = Duration::from_millis(500);

/// So much longer than until something falls due is waited, so that it is due.
pub const MOMENT: Duration = Duration::from_millis(5);

/// The Leases of a namespace.
pub struct Leases {
    /// Reads them.
    pub api: Api<Lease>,
    namespace: String,
}

/// What a Lease is to say.
pub struct Written<'a> {
    /// Its name, where there is none yet.
    pub name: &'a str,
    /// Who holds it; `None` lets it go.
    pub holder: Option<String>,
    /// How long it is good for.
    pub terms: Terms,
    /// Labels and annotations of ours: what others have put on it stays.
    pub labels: BTreeMap<String, String>,
    /// See `labels`.
    pub annotations: BTreeMap<String, String>,
}

impl Leases {
    /// Those of the namespace that is configured, or else of the controller's own.
    pub fn new(client: Client, settings: &LeaderElection) -> Self {
        let namespace = settings.namespace.as_deref().unwrap_or(client.default_namespace()).to_owned();
        Self { api: Api::namespaced(client, &namespace), namespace }
    }

    /// A name that no other process ever has.
    pub fn me() -> String {
        let me = format!("{}-{:016x}", std::env::var("HOSTNAME").unwrap_or_default(), fastrand::u64(..));
        me.trim_start_matches('-').to_owned()
    }

    /// A Lease's namespace and name.
    pub fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// What the API server's answer means for who can't do without the Lease.
    pub fn unusable(&self, name: &str, source: kube::Error) -> Error {
        let (namespace, lease) = (self.namespace.clone(), name.to_owned());
        let code = if let kube::Error::Api(status) = &source { status.code } else { 0 };
        let source = without_body(source);
        match code {
            404 => Error::LeaseNamespace { namespace },
            401 | 403 => Error::LeaseForbidden { namespace, lease, source },
            _ => Error::Unreachable(source),
        }
    }

    /// Whether no other attempt to write the Lease can fare better.
    pub fn is_hopeless(error: &kube::Error, lease: &Lease) -> bool {
        let kube::Error::Api(status) = error else { return false };
        let is_new = lease.metadata.resource_version.is_none();
        matches!(status.code, 401 | 403) || (status.code == 404 && is_new)
    }

    /// Stores a Lease over the one that it was made from, or makes it.
    pub async fn store(&self, name: &str, lease: &Lease) -> Result<Lease, kube::Error> {
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let answer = async {
            match lease.metadata.resource_version {
                Some(_) => self.api.replace(name, &parameters, lease).await,
                None => self.api.create(&parameters, lease).await,
            }
        };
        in_time(answer).await
    }

    /// The Lease as it stands.
    pub async fn read(&self, name: &str) -> Result<Option<Lease>, kube::Error> {
        in_time(self.api.get_opt(name)).await
    }
}

/// The answer to a call, or that there was none in time.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(format!("no answer within {DEADLINE:?}").into())),
    }
}

/// A Lease as it is to be stored over the known one.
pub fn written(known: Option<&Lease>, what: Written<'_>, now: Timestamp) -> Lease {
    let Written { name, holder, terms, labels, annotations } = what;
    let known = known.cloned().unwrap_or_default();
    let spec = known.spec.unwrap_or_default();
    let now = MicroTime(now);
    let changes = holder.is_some() && spec.holder_identity != holder;
    let transitions = spec.lease_transitions.unwrap_or(0) + i32::from(changes);
    let mut metadata = ObjectMeta { managed_fields: None, ..known.metadata };
    metadata.name.get_or_insert_with(|| name.to_owned());
    if !labels.is_empty() {
        metadata.labels.get_or_insert_default().extend(labels);
    }
    if !annotations.is_empty() {
        metadata.annotations.get_or_insert_default().extend(annotations);
    }
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            acquire_time: if changes { Some(now.clone()) } else { spec.acquire_time },
            holder_identity: holder,
            lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
            lease_transitions: Some(transitions),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    }
}

/// Who holds a Lease; `None` where it was let go.
pub fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}

/// How long a Lease is good for after each renewal, as it says; but no longer than a minute and no shorter than a second,
/// for people may write anything.
pub fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(Terms::default().duration, |seconds| Duration::from_secs(seconds.clamp(1, 60)))
}
