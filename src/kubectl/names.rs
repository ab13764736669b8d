//! Names that a shell completes, as they are in the cluster at that moment.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Resource, api::ListParams, config::Kubeconfig};
use serde::de::DeserializeOwned;

use super::{args::Global, cluster::Cluster};

/// A shell waits no longer for a cluster that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many names are more than anybody reads.
const MOST: u32 = 500;

/// The Rollouts of the namespace that the command line names.
pub(super) fn rollouts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| asked(async |cluster: Cluster| named(cluster.rollouts()).await))
}

/// Where a Rollout may be wanted.
pub(super) fn goals() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ["healthy", "paused", "step="].map(CompletionCandidate::new).into())
}

/// The namespaces of the cluster.
pub(super) fn namespaces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        asked(async |cluster: Cluster| named(Api::<Namespace>::all(cluster.client.clone())).await)
    })
}

/// The contexts of the kubeconfig.
pub(super) fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let read = match typed().kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let contexts = read.map(|kubeconfig| kubeconfig.contexts).unwrap_or_default();
        contexts.into_iter().map(|context| CompletionCandidate::new(context.name)).collect()
    })
}

async fn named<K>(api: Api<K>) -> Vec<CompletionCandidate>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let listed = api.list_metadata(&ListParams::default().limit(MOST)).await;
    let names =
        listed.map(|list| list.items).unwrap_or_default().into_iter().filter_map(|one| one.metadata.name);
    names.map(CompletionCandidate::new).collect()
}

/// Asks the cluster that the command line names. Whatever is in the way, there are no names then: a shell that completes has
/// no place for errors.
fn asked<F>(question: F) -> Vec<CompletionCandidate>
where
    F: AsyncFnOnce(Cluster) -> Vec<CompletionCandidate> + Send,
{
    let global = typed();
    // The caller may stand in a runtime of its own.
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let answered = async { Some(question(Cluster::connect(&global).await.ok()?).await) };
            runtime.block_on(async { tokio::time::timeout(PATIENCE, answered).await.ok().flatten() })
        });
        answer.join().ok().flatten().unwrap_or_default()
    })
}

/// The flags that say which cluster and namespace is meant, as far as they are typed.
fn typed() -> Global {
    read(&std::env::args_os().skip(1).collect::<Vec<_>>())
}

fn read(words: &[OsString]) -> Global {
    let value = |names: &[&str]| {
        words.iter().enumerate().rev().find_map(|(at, word)| {
            let word = word.to_str()?;
            let joined = names.iter().find_map(|name| word.strip_prefix(name)?.strip_prefix('='));
            let next = || names.contains(&word).then(|| words.get(at + 1)?.to_str()).flatten();
            joined.or_else(next).filter(|value| !value.is_empty()).map(str::to_owned)
        })
    };
    Global {
        namespace: value(&["--namespace", "-n"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(PathBuf::from),
        impersonate: value(&["--as"]),
        ..Global::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_that_are_typed_are_read() {
        let read = |line: &str| read(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        let global = read("promote -n shop --context=prod --kubeconfig /tmp/k col");
        assert_eq!(global.namespace.as_deref(), Some("shop"));
        assert_eq!(global.context.as_deref(), Some("prod"));
        assert_eq!(global.kubeconfig, Some(PathBuf::from("/tmp/k")));
        assert_eq!(read("promote --namespace=a -n b").namespace.as_deref(), Some("b"), "the last one counts");
        assert_eq!(read("promote -n").namespace, None);
    }
}
