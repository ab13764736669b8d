//! The routes, kind by kind. One is listed and watched from when the first Rollout names it.

use super::{context::RouteKept, on_demand::OnDemand, stores::Mirror};
use crate::api::RouteKind;

/// A few kinds of route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// The same with one more.
    #[must_use]
    pub const fn with(self, kind: RouteKind) -> Self {
        Self(self.0 | 1 << place(kind))
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = RouteKind> {
        RouteKind::ALL.into_iter().filter(move |kind| self.0 & (1 << place(*kind)) != 0)
    }
}

/// The routes of a scope.
#[derive(Debug)]
pub struct Routes([OnDemand<RouteKept>; 4]);

fn of_kind(kind: RouteKind) -> OnDemand<RouteKept> {
    let what = match kind {
        RouteKind::GatewayRoute => "GatewayRoutes",
        RouteKind::VirtualRouter => "VirtualRouters",
        RouteKind::HttpRoute => "HTTPRoutes",
        RouteKind::GrpcRoute => "GRPCRoutes",
    };
    OnDemand::new(what, true)
}

impl Routes {
    /// Nothing is known, and nobody has named any.
    pub fn new() -> Self {
        Self(RouteKind::ALL.map(of_kind))
    }

    /// The routes of a kind.
    pub fn of(&self, kind: RouteKind) -> &Mirror<RouteKept> {
        self.0[place(kind)].mirror()
    }

    /// A Rollout names routes of these kinds: from now on they are followed.
    pub fn want(&self, kinds: Kinds) {
        for kind in kinds.each() {
            self.0[place(kind)].want();
        }
    }

    /// Waits until a kind is named.
    pub async fn wanted(&self, kind: RouteKind) {
        self.0[place(kind)].wanted().await;
    }

    /// Waits until all that are named were listed once, or can't be.
    pub async fn answered(&self) {
        for kept in &self.0 {
            kept.answered().await;
        }
    }

    /// Why kinds that are named can't be used, in sentences.
    pub fn lacks(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(OnDemand::lacks)
    }
}

const fn place(kind: RouteKind) -> usize {
    match kind {
        RouteKind::GatewayRoute => 0,
        RouteKind::VirtualRouter => 1,
        RouteKind::HttpRoute => 2,
        RouteKind::GrpcRoute => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use kube::runtime::watcher::Event;

    use super::*;

    #[tokio::test]
    async fn a_kind_is_followed_once_it_is_named_and_lacks_nothing_before() {
        let routes = Routes::new();
        assert_eq!(routes.lacks().count(), 0);
        routes.answered().await;
        let mut wanted = pin!(routes.wanted(RouteKind::HttpRoute));
        let mut other = pin!(routes.wanted(RouteKind::VirtualRouter));
        assert!(poll!(wanted.as_mut()).is_pending());
        routes.want(Kinds::default().with(RouteKind::HttpRoute));
        assert!(poll!(wanted).is_ready());
        assert!(poll!(other.as_mut()).is_pending());
        assert_eq!(routes.lacks().collect::<Vec<_>>(), ["the HTTPRoutes have not been listed yet"]);
        routes.of(RouteKind::HttpRoute).take(Event::Init);
        routes.of(RouteKind::HttpRoute).take(Event::InitDone);
        assert_eq!(routes.lacks().count(), 0);
        routes.answered().await;
        routes.of(RouteKind::HttpRoute).miss("its CRD is gone".into());
        assert_eq!(routes.lacks().count(), 0, "whoever names it says so");
        routes.of(RouteKind::HttpRoute).fail("it is forbidden".into());
        assert_eq!(routes.lacks().collect::<Vec<_>>(), ["it is forbidden"]);
    }

    #[test]
    fn kinds_are_a_set() {
        let two = Kinds::default()
            .with(RouteKind::GrpcRoute)
            .with(RouteKind::GatewayRoute)
            .with(RouteKind::GrpcRoute);
        assert_eq!(two.each().collect::<Vec<_>>(), [RouteKind::GatewayRoute, RouteKind::GrpcRoute]);
        assert_eq!(Kinds::default().each().count(), 0);
    }
}
