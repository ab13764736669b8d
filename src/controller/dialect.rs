//! Routes that can't be stepped because the API server has AWS's own GatewayRoute CRD: told apart from those that
//! only need a list, so that nobody pastes a list that would be refused.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::context::{Context, lock};
use crate::{
    engine::observed::{Observed, RouteState},
    routes::{self, Dialect},
};

/// How long an answer is good for: CRDs change seldom.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);
/// A probe takes no longer than this; without an answer nothing is added to what is told.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which CRD is installed, and until when that is taken as known.
pub type Known = Option<(Dialect, Timestamp)>;

/// Adds the right remedy to routes without weights. Returns whether anything was added.
pub async fn explain(context: &Context, seen: &mut Observed) -> bool {
    let namespace = seen.subject.namespace.clone();
    let mut added = false;
    for route in &mut seen.routes {
        let RouteState::Unusable { reason: "NoWeights", message } = &mut route.state else { continue };
        if dialect(context, &namespace, &route.route.name).await == Some(Dialect::Aws) {
            message.push_str(
                "; but this API server has AWS's own GatewayRoute CRD, which knows no weights: install Tidegate's \
                 superset first (kubectl apply -f crds/appmesh.k8s.aws_gatewayroutes.yaml)",
            );
            added = true;
        }
    }
    added
}

async fn dialect(context: &Context, namespace: &str, route: &str) -> Option<Dialect> {
    let now = context.clock.now();
    if let Some((dialect, until)) = *lock(&context.dialect)
        && now < until
    {
        return Some(dialect);
    }
    let probe = routes::probe_dialect(&context.client, namespace, route);
    match tokio::time::timeout(DEADLINE, probe).await {
        Ok(Ok(dialect)) => {
            let until = now.saturating_add(GOOD_FOR).unwrap_or(Timestamp::MAX);
            *lock(&context.dialect) = Some((dialect, until));
            Some(dialect)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "the GatewayRoute CRD could not be told");
            None
        }
        Err(_) => None,
    }
}
