//! What a real API server serves and this one does not: it is refused with a sentence that names it, so that nobody
//! takes for absent what is only not here.
//!
//! `tests/fidelity` holds the tables against the discovery of a real API server.

use super::failure::Failure;
use super::registry::Registry;
use super::request::{ResourcePath, Target};

/// Group, versions, and what it serves beyond the kinds that are built in here: resources, and their subresources.
const RESOURCES: [(&str, &[&str], &str); 18] = [
    (
        "",
        &["v1"],
        "bindings componentstatuses nodes nodes/proxy nodes/status persistentvolumeclaims \
         persistentvolumeclaims/status persistentvolumes persistentvolumes/status podtemplates replicationcontrollers \
         replicationcontrollers/scale replicationcontrollers/status secrets namespaces/finalize pods/attach \
         pods/binding pods/ephemeralcontainers pods/eviction pods/exec pods/log pods/portforward pods/proxy \
         pods/resize serviceaccounts/token services/proxy",
    ),
    (
        "admissionregistration.k8s.io",
        &["v1"],
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations \
         validatingadmissionpolicies validatingadmissionpolicies/status validatingadmissionpolicybindings \
         validatingwebhookconfigurations",
    ),
    ("apiregistration.k8s.io", &["v1"], "apiservices apiservices/status"),
    ("apps", &["v1"], "controllerrevisions daemonsets daemonsets/status"),
    ("authentication.k8s.io", &["v1"], "tokenreviews"),
    (
        "authorization.k8s.io",
        &["v1"],
        "localsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews",
    ),
    ("autoscaling", &["v1"], "horizontalpodautoscalers horizontalpodautoscalers/status"),
    ("batch", &["v1"], "cronjobs cronjobs/status jobs jobs/status"),
    (
        "certificates.k8s.io",
        &["v1"],
        "certificatesigningrequests certificatesigningrequests/approval certificatesigningrequests/status \
         clustertrustbundles podcertificaterequests podcertificaterequests/status",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["v1"],
        "flowschemas flowschemas/status prioritylevelconfigurations prioritylevelconfigurations/status",
    ),
    (
        "networking.k8s.io",
        &["v1"],
        "ingressclasses ingresses ingresses/status ipaddresses networkpolicies servicecidrs servicecidrs/status",
    ),
    ("node.k8s.io", &["v1"], "runtimeclasses"),
    ("policy", &["v1"], "poddisruptionbudgets poddisruptionbudgets/status"),
    ("rbac.authorization.k8s.io", &["v1"], "clusterrolebindings clusterroles rolebindings roles"),
    (
        "resource.k8s.io",
        &["v1"],
        "deviceclasses devicetaintrules devicetaintrules/status resourceclaims resourceclaims/status \
         resourceclaimtemplates resourceslices",
    ),
    ("scheduling.k8s.io", &["v1"], "priorityclasses"),
    (
        "storage.k8s.io",
        &["v1"],
        "csidrivers csinodes csinodes/status csistoragecapacities storageclasses volumeattachments \
         volumeattachments/status volumeattributesclasses",
    ),
    ("storagemigration.k8s.io", &["v1"], "storageversionmigrations storageversionmigrations/status"),
];

// ResourceQuotas and LimitRanges are left out: `kubectl describe namespace` fails unless they are served or a 404.

/// Documents that are no resources.
const DOCUMENTS: [&str; 9] = [
    "",
    ".well-known/openid-configuration",
    "debug/pprof",
    "flagz",
    "metrics",
    "metrics/slis",
    "openapi/v2",
    "openid/v1/jwks",
    "statusz",
];

/// Whether a real server has this group built in, and this one serves nothing or not all of it.
pub(super) fn is_group(group: &str) -> bool {
    RESOURCES.iter().any(|(known, _, _)| *known == group)
}

fn is_version(group: &str, version: &str) -> bool {
    RESOURCES.iter().any(|(known, versions, _)| *known == group && versions.contains(&version))
}

/// The refusal of a resource or a subresource, if a real server serves it.
pub(super) fn resource(registry: &Registry, path: &ResourcePath) -> Option<Failure> {
    if let Some(watched) = watched(path) {
        let is_known = is_listed(&watched)
            || registry.is_built_in_group(&watched.group)
                && registry.find(&watched.group, &watched.version, &watched.plural).is_some();
        return is_known
            .then(|| refusal("paths with /watch/; ask for a list with watch=true, which it serves"));
    }
    is_listed(path).then(|| {
        let shown = if path.group.is_empty() { String::new() } else { format!(" of {}", path.group) };
        refusal(&format!("{}{shown}", listed_name(path)))
    })
}

/// What a path of old is to watch: `/api/v1/watch/…` for `/api/v1/…`.
fn watched(path: &ResourcePath) -> Option<ResourcePath> {
    let rest = path.name.as_deref().filter(|_| path.plural == "watch" && path.namespace.is_none())?;
    let rest = path.subresource.as_ref().map_or_else(|| rest.to_owned(), |more| format!("{rest}/{more}"));
    let root = if path.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", path.group) };
    match Target::parse(&format!("{root}/{}/{rest}", path.version)) {
        Target::Resource(watched) => Some(watched),
        Target::Document(_) => None,
    }
}

fn is_listed(path: &ResourcePath) -> bool {
    let wanted = listed_name(path);
    RESOURCES
        .iter()
        .filter(|(group, versions, _)| *group == path.group && versions.contains(&path.version.as_str()))
        .any(|(_, _, names)| names.split_whitespace().any(|name| name == wanted))
}

/// The name that discovery has for what a path leads to. Only what is passed on to others has paths of its own below.
fn listed_name(path: &ResourcePath) -> String {
    match path.subresource.as_deref() {
        None => path.plural.clone(),
        Some(part) if part.starts_with("proxy/") => format!("{}/proxy", path.plural),
        Some(part) => format!("{}/{part}", path.plural),
    }
}

/// The refusal of a document, if a real server has it.
pub(super) fn document(registry: &Registry, segments: &[&str]) -> Option<Failure> {
    let built_in = |group: &str| registry.is_built_in_group(group);
    let is_there = match segments {
        ["openapi", "v3", rest @ ..] => match rest {
            ["api" | "apis" | "version"] => true,
            ["apis", group] => built_in(group),
            ["apis", group, version] => is_version(group, version),
            other => DOCUMENTS.contains(&other.join("/").as_str()) && !other.is_empty(),
        },
        ["apis", group] => is_group(group),
        ["apis", group, version] => is_version(group, version),
        ["debug", "pprof", ..] => true,
        other => DOCUMENTS.contains(&other.join("/").as_str()),
    };
    is_there.then(|| refusal(&format!("/{}", segments.join("/"))))
}

fn refusal(what: &str) -> Failure {
    Failure::not_implemented(format!(
        "the embedded API server does not serve {what}; a real control plane does (see docs/sandbox.md)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_not_here_is_told_from_what_is_nowhere() {
        let registry = Registry::new();
        let told = |path: &str| {
            let failure = match Target::parse(path) {
                Target::Resource(path) => resource(&registry, &path),
                Target::Document(segments) => {
                    document(&registry, &segments.iter().map(String::as_str).collect::<Vec<_>>())
                }
            };
            failure.map(|failure| failure.status()["message"].as_str().unwrap_or_default().to_owned())
        };
        for (path, wanted) in [
            ("/api/v1/namespaces/a/pods/b/log", Some("pods/log;")),
            ("/api/v1/namespaces/a/pods/b/proxy/x/y", Some("pods/proxy;")),
            ("/api/v1/namespaces/a/pods/b/log/x", None),
            ("/api/v1/namespaces/a/configmaps/b/log", None),
            ("/api/v1/namespaces/a/finalize", Some("namespaces/finalize;")),
            ("/api/v1/secrets", Some("secrets;")),
            ("/api/v2/secrets", None),
            ("/apis/apps/v1/daemonsets", Some("daemonsets of apps;")),
            (
                "/apis/autoscaling/v1/horizontalpodautoscalers",
                Some("horizontalpodautoscalers of autoscaling"),
            ),
            ("/apis/batch/v1/namespaces/a/jobs/b/status", Some("jobs/status of batch;")),
            ("/apis/batch/v1", Some("/apis/batch/v1;")),
            ("/apis/batch/v2", None),
            ("/apis/nonsense", None),
            ("/api/v1/watch/configmaps", Some("/watch/")),
            ("/api/v1/watch/namespaces/a/secrets/b", Some("/watch/")),
            ("/apis/apps/v1/watch/deployments", Some("/watch/")),
            ("/api/v1/watch/nonsense", None),
            ("/metrics", Some("/metrics;")),
            ("/openapi/v3/apis/batch/v1", Some("/openapi/v3/apis/batch/v1;")),
            ("/openapi/v3/nonsense", None),
            ("/", Some("/;")),
            ("/nonsense", None),
        ] {
            let told = told(path);
            assert_eq!(told.is_some(), wanted.is_some(), "{path}: {told:?}");
            let told = told.unwrap_or_default();
            assert!(wanted.is_none_or(|wanted| told.contains(wanted)), "{path}: {told}");
        }
    }
}
