//! What stands in front of color-app and splits its traffic: the sandbox's gateway, or a stock Envoy.

use std::net::SocketAddr;

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::api::DynamicObject;
use tokio_util::sync::DropGuard;

#[cfg(feature = "gateway")]
use super::{
    envoy::Carrier,
    world::{GATEWAY, NAMESPACE},
};
use crate::sandbox::gateway::Gateway;

/// Why nothing carries the traffic any more.
pub type FrontError = Box<dyn std::error::Error + Send + Sync>;

/// It is there; dropping it ends it.
pub enum Front {
    /// The sandbox's gateway, and what keeps it at the routes.
    Sandbox {
        /// The gateway.
        gateway: Gateway,
        /// Ends what keeps it at the routes.
        _programmer: DropGuard,
    },
    /// An Envoy.
    #[cfg(feature = "gateway")]
    Envoy(Box<Carrier>),
}

impl Front {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Sandbox { gateway, .. } => gateway.address(),
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => carrier.address(),
        }
    }

    /// Where its counters are.
    pub fn stats_url(&self) -> String {
        let of = |stats: SocketAddr| format!("http://{stats}/stats/prometheus");
        match self {
            Self::Sandbox { gateway, .. } => of(gateway.admin()),
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => of(carrier.stats()),
        }
    }

    /// Where the controller finds its counters, in the words of its configuration: entries of a provider `envoy`.
    pub fn source(&self) -> String {
        match self {
            Self::Sandbox { .. } => format!("urls: [\"{}\"]", self.stats_url()),
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => {
                format!("registry: \"http://{}/envoys\", gateway: {NAMESPACE}/{GATEWAY}", carrier.registry())
            }
        }
    }

    /// When its counters were read, oldest first. An Envoy does not tell.
    pub fn scrapes(&self) -> Vec<Timestamp> {
        match self {
            Self::Sandbox { gateway, .. } => gateway.scrapes(),
            #[cfg(feature = "gateway")]
            Self::Envoy(_) => Vec::new(),
        }
    }

    /// What it is, for people, where it is not the sandbox's.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Sandbox { .. } => None,
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => Some(carrier.name()),
        }
    }

    /// An object as it has to be in front of it and behind it.
    pub fn place(&self, object: DynamicObject) -> DynamicObject {
        match self {
            Self::Sandbox { .. } => object,
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => carrier.place(object),
        }
    }

    /// Waits until it carries nothing any more, and says why; for ever, as it should be.
    pub async fn ended(&mut self) -> FrontError {
        match self {
            // It lives as long as it is held.
            Self::Sandbox { .. } => std::future::pending().await,
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => carrier.ended().await.into(),
        }
    }

    /// Ends it, and waits until it has.
    pub fn end(self) -> BoxFuture<'static, ()> {
        match self {
            Self::Sandbox { .. } => std::future::ready(()).boxed(),
            #[cfg(feature = "gateway")]
            Self::Envoy(carrier) => carrier.end().boxed(),
        }
    }
}
