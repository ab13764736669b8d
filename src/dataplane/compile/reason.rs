//! Why something is left out of a table.

use crate::dataplane::matching::PatternError;

/// Why an object, or a part of one, could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// A needed field is absent.
    #[error("the route needs {0}")]
    Missing(&'static str),
    /// Fields that do not go together.
    #[error("{0}")]
    Conflict(&'static str),
    /// A field that is unknown or has the wrong type.
    #[error("cannot read spec.{field}: {source}")]
    Malformed {
        /// The block it is in.
        field: String,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// A path that does not start with `/`.
    #[error("{field} must start with /, not be {path:?}")]
    Relative {
        /// The field.
        field: &'static str,
        /// What it says.
        path: String,
    },
    /// A pattern that cannot be compiled.
    #[error("{field} is no regular expression: {source}")]
    Regex {
        /// The field.
        field: &'static str,
        /// What the pattern compiler says.
        source: PatternError,
    },
    /// A priority outside 0–1000.
    #[error("the priority must be a whole number from 0 to 1000")]
    Priority,
    /// An unknown method.
    #[error("match.method {0:?} is no HTTP method")]
    Method(String),
    /// An unknown retry event.
    #[error("the retry event {0:?} is not known")]
    RetryEvent(String),
    /// A target outside the cluster.
    #[error("a {arn} names nothing that can be found in the cluster; use {instead}")]
    Arn {
        /// The field that names it.
        arn: &'static str,
        /// The field that would name an object.
        instead: &'static str,
    },
    /// A number of weighted entries outside 1–10.
    #[error("the route lists {0} weighted targets; 1 to 10 are allowed")]
    Entries(usize),
    /// A TCP route of a virtual router.
    #[error("a tcpRoute takes connections, and an HTTP gateway has only requests")]
    Tcp,
    /// The provider of a virtual service is not there.
    #[error("the virtual service {service} is provided by the virtual router {router}, which does not exist")]
    NoRouter {
        /// The virtual service's full name.
        service: String,
        /// The virtual router, as `<namespace>/<name>`.
        router: String,
    },
    /// A virtual router with nothing that the gateway could serve.
    #[error("the virtual router {0} has no route that can be served")]
    NoRouterRoute(String),
    /// Several virtual routers behind one route whose routes make too many combinations.
    #[error("the virtual routers behind the route make more than {0} combinations of their routes")]
    Combinations(usize),
    /// A mirror to a virtual router's service.
    #[error(
        "{0} is provided by a virtual router, and the route does not list it: which of the router's routes a copy would take is not known"
    )]
    UnlistedMirror(String),
    /// Weights that are too great once multiplied.
    #[error("the weights of the route and of the virtual routers behind it are too great to be multiplied")]
    Weights,
    /// A certificate that only AWS has.
    #[error("acm names {0} that only AWS has; give it as file, or as sds")]
    Acm(&'static str),
    /// A selector that cannot be read.
    #[error("spec.{field} is no selector: {source}")]
    Selector {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: kube::core::ParseExpressionError,
    },
    /// What nobody can be given, for it was refused, with nothing that was taken before in its place.
    #[error("Envoy refuses it, and has had nothing else before")]
    Refused,
    /// What is gone.
    #[error("it was deleted")]
    Deleted,
    /// A port of the Envoy beside a pod.
    #[error("the Envoy beside the pod listens on port {0} itself")]
    Reserved(u16),
    /// A node that is spoken to in several ways.
    #[error(
        "{service} is spoken to otherwise than another backend with the same node: its requests are counted as {name}"
    )]
    Apart {
        /// The virtual service.
        service: String,
        /// The cluster.
        name: String,
    },
    /// A name that would take the requests of others.
    #[error("awsName {0:?} is no backend's host: it is that of another service, or a pattern")]
    Host(String),
    /// A target that names no virtual service that is there and has a provider.
    #[error("its target {0} leads nowhere: no VirtualService of that name has a provider")]
    NoService(String),
    /// The provider of a virtual service is not there.
    #[error("its target leads nowhere: the virtual node {0} does not exist")]
    NoNode(String),
    /// A virtual node that cannot be reached as it is written.
    #[error("its target leads nowhere: the virtual node {node}: {why}")]
    Node {
        /// The virtual node, as `<namespace>/<name>`.
        node: String,
        /// What is wrong with it, or with how it is named.
        why: String,
    },
    /// Weights that are all zero.
    #[error("all its weights are 0: what it takes is answered 503")]
    NoWeight,
    /// Another route that takes all its requests before it.
    #[error(
        "{0} takes the same requests at the same priority, and is tried first: give one of them another priority (the lower number is tried first)"
    )]
    Hidden(String),
    /// A duration that is none.
    #[error("{0:?} is no duration of the Gateway API")]
    Duration(String),
    /// A header's name or value that HTTP does not allow.
    #[error("{0:?} cannot be a header's name or value")]
    Header(String),
    /// A filter that the gateway cannot apply.
    #[error("the filter {0} is not supported")]
    Filter(String),
    /// A test that the gateway cannot make.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A backend of another kind.
    #[error("a backendRef names a {0}; only a Service can be served")]
    BackendKind(String),
    /// A backend in another namespace.
    #[error("a backendRef names the namespace {0}, and ReferenceGrants are not read")]
    BackendNamespace(String),
}
