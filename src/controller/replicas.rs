//! How a controller comes to act where there are several, or one.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    error::Error,
    leading::{Candidate, Leadership},
    meters::Meters,
    sharing::{Gain, Sharer},
};
use crate::config::{Config, Replicas};

/// How long leadership is not sought because something has not been listed.
const WARM: Duration = Duration::from_secs(10);

/// How this controller comes to act beside others.
pub enum Claim {
    /// There are none.
    Undisputed,
    /// One leads.
    Led(Box<Candidate>),
    /// They share the Rollouts.
    Shared(Box<Sharer>),
}

impl Claim {
    /// As the configuration says. Returns what says whether this controller may act, and what sees to it.
    pub async fn new(config: &Config, client: &Client) -> Result<(Arc<Leadership>, Self), Error> {
        let leadership = Arc::new(Leadership::sought());
        let (client, ours) = (client.clone(), Arc::clone(&leadership));
        let claim = match &config.replicas {
            Replicas::One => return Ok((Arc::new(Leadership::undisputed()), Self::Undisputed)),
            Replicas::Led(leases) => Self::Led(Box::new(Candidate::new(client, leases, ours).await?)),
            Replicas::Sharing(leases) => Self::Shared(Box::new(Sharer::new(client, leases, ours).await?)),
        };
        Ok((leadership, claim))
    }

    /// Sees to it that this controller may act, and keeps it so until `release`. An error says that it no longer may.
    pub async fn keep(
        self,
        contexts: Vec<Arc<Context>>,
        meters: &Meters,
        release: CancellationToken,
    ) -> Result<(), Error> {
        let warm = async {
            let known = contexts.iter().map(|context| context.warm());
            let _ = tokio::time::timeout(WARM, join_all(known)).await;
        };
        match self {
            Self::Undisputed => {
                release.cancelled().await;
                Ok(())
            }
            Self::Led(candidate) => {
                let lead = || {
                    for context in &contexts {
                        context.take_up(|_| true);
                    }
                };
                candidate.run(warm, release, lead).await
            }
            Self::Shared(sharer) => {
                let change = |share: Option<&Gain<'_>>| {
                    meters.shards(share.map_or(0, |gain| gain.now.of()));
                    let Some(gain) = share else { return };
                    for context in &contexts {
                        context.take_up(|uid| gain.has(uid));
                    }
                };
                sharer.run(warm, release, change).await
            }
        }
    }
}
