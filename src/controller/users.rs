//! Who uses a workload, asked of the API server itself: before something loses its pods, a list that may be behind is not
//! enough.

use std::time::Duration;

use kube::{Api, ResourceExt, api::ListParams};

use super::{
    context::{Context, Guarded},
    observe::uses,
};
use crate::{
    engine::observed::{Subject, WorkloadKey},
    workloads::ScaleError,
};

/// Rollouts a page.
const PAGE: u32 = 250;
/// Each page takes no longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Makes sure that no other Rollout of the namespace names or implies a workload, nor one that can't be read.
pub async fn unused(context: &Context, subject: &Subject, workload: &WorkloadKey) -> Result<(), ScaleError> {
    let api: Api<Guarded> = Api::namespaced(context.client.clone(), &subject.namespace);
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let listed = match tokio::time::timeout(DEADLINE, api.list(&page)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(source)) => {
                return Err(ScaleError::Request { workload: workload.clone(), source: Box::new(source) });
            }
            Err(_) => return Err(ScaleError::Timeout { workload: workload.clone(), deadline: DEADLINE }),
        };
        let mut others = listed.items.iter().filter(|other| other.uid().as_ref() != Some(&subject.uid));
        let user =
            others.find(|other| uses(other, &subject.namespace).is_none_or(|used| used.contains(workload)));
        if let Some(user) = user {
            return Err(ScaleError::Used { workload: workload.clone(), rollout: user.name_any() });
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}
