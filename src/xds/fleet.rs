//! Envoys that are to have the same.

use std::fmt;

use crate::dataplane::{ObjectKind, ObjectRef};

/// Envoys that are to have the same, by the object that they are of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fleet {
    /// What they do.
    pub role: Role,
    /// The namespace of the object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What Envoys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// They are the gateway that a `VirtualGateway` is.
    Gateway,
    /// Each stands beside a pod of a `VirtualNode`, and takes what comes to it and what it sends.
    Sidecar,
}

/// A node id that names no fleet.
#[derive(Debug, thiserror::Error)]
#[error(
    "the node id {0:?} names neither a gateway nor a node: it has to be mesh/MESH/virtualGateway/NAME_NAMESPACE or \
     mesh/MESH/virtualNode/NAME_NAMESPACE, as tidegate gateway bootstrap writes it"
)]
pub struct NoFleet(pub String);

impl Role {
    const ALL: [Self; 2] = [Self::Gateway, Self::Sidecar];

    /// The word for it in a node id.
    fn word(self) -> &'static str {
        match self {
            Self::Gateway => "virtualGateway",
            Self::Sidecar => "virtualNode",
        }
    }
}

impl Fleet {
    /// The Envoys of a gateway.
    pub fn gateway(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { role: Role::Gateway, namespace: namespace.into(), name: name.into() }
    }

    /// The Envoys beside the pods of a node.
    pub fn sidecars(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { role: Role::Sidecar, namespace: namespace.into(), name: name.into() }
    }

    /// The fleet of a node id, `mesh/<mesh>/virtualGateway/<name>_<namespace>` or `mesh/<mesh>/virtualNode/<name>_<namespace>`.
    /// Neither part has an underscore.
    pub fn of_node(id: &str) -> Result<Self, NoFleet> {
        let named = |id: &str| {
            let ["mesh", _, word, full] = *id.split('/').collect::<Vec<_>>() else { return None };
            let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
            let (name, namespace) = full.rsplit_once('_')?;
            let is_whole = !name.is_empty() && !namespace.is_empty();
            is_whole.then(|| Self { role, namespace: namespace.to_owned(), name: name.to_owned() })
        };
        named(id).ok_or_else(|| NoFleet(id.to_owned()))
    }

    /// The node id of its Envoys in a mesh.
    pub fn node(&self, mesh: &str) -> String {
        format!("mesh/{mesh}/{}/{}", self.role.word(), self.full())
    }

    /// Its name and namespace, as App Mesh joins them.
    pub(super) fn full(&self) -> String {
        format!("{}_{}", self.name, self.namespace)
    }

    /// The tag that App Mesh's statistics named it by.
    pub(super) fn tag(&self) -> &'static str {
        match self.role {
            Role::Gateway => "virtual_gateway",
            Role::Sidecar => "virtual_node",
        }
    }

    /// The object that it is of.
    pub fn object(&self) -> ObjectRef {
        let kind = match self.role {
            Role::Gateway => ObjectKind::VirtualGateway,
            Role::Sidecar => ObjectKind::VirtualNode,
        };
        ObjectRef { kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The Envoys of an object; none of a kind that has none.
    pub fn of(object: &ObjectRef) -> Option<Self> {
        let role = match object.kind {
            ObjectKind::VirtualGateway => Role::Gateway,
            ObjectKind::VirtualNode => Role::Sidecar,
            ObjectKind::GatewayRoute
            | ObjectKind::VirtualService
            | ObjectKind::VirtualRouter
            | ObjectKind::HttpRoute
            | ObjectKind::GrpcRoute => return None,
        };
        Some(Self { role, namespace: object.namespace.clone(), name: object.name.clone() })
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, namespace, name } = self;
        match role {
            Role::Gateway => write!(f, "{namespace}/{name}"),
            Role::Sidecar => write!(f, "the node {namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_names_its_fleet() {
        let of = |id: &str| Fleet::of_node(id).map(|fleet| fleet.to_string()).ok();
        assert_eq!(
            of("mesh/color-mesh/virtualGateway/color-gateway_default").as_deref(),
            Some("default/color-gateway")
        );
        assert_eq!(of("mesh/m/virtualNode/front_default").as_deref(), Some("the node default/front"));
        for fleet in [Fleet::gateway("shop", "gw"), Fleet::sidecars("shop", "front")] {
            assert_eq!(Fleet::of_node(&fleet.node("m")).unwrap(), fleet);
            assert_eq!(Fleet::of(&fleet.object()).unwrap(), fleet);
        }
        for id in [
            "",
            "mesh/m/virtualRouter/a_b",
            "mesh/m/virtualNode/a",
            "mesh/m/virtualGateway/a",
            "mesh/m/virtualGateway/_b",
            "a/m/virtualGateway/a_b",
        ] {
            assert_eq!(of(id), None, "{id}");
        }
        assert!(NoFleet("x".into()).to_string().contains("mesh/MESH/virtualGateway/NAME_NAMESPACE"));
    }
}
