//! The ready endpoints of Services, from their EndpointSlices.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::dataplane::{Endpoints, Plan};

/// The label of a slice that names its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// A Service, by namespace and name.
pub type Service = (String, String);

/// What is needed of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The Service that it is of.
    pub service: Service,
    /// The addresses that are ready.
    addresses: Vec<IpAddr>,
}

/// The ready addresses of Services.
#[derive(Clone, Debug, Default)]
pub struct Addresses(BTreeMap<Service, BTreeSet<IpAddr>>);

impl Slice {
    /// Reads a slice; one that is of no Service, or of names instead of addresses, has none. An endpoint that says nothing of itself
    /// is ready.
    pub fn read(slice: &EndpointSlice) -> Self {
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let labels = slice.metadata.labels.as_ref();
        let name = labels.and_then(|labels| labels.get(SERVICE)).cloned().unwrap_or_default();
        let ready = slice.endpoints.iter().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        let addresses = ready
            .flat_map(|endpoint| &endpoint.addresses)
            .filter_map(|address| address.parse().ok())
            .collect();
        Self { service: (namespace, name), addresses }
    }
}

impl Addresses {
    /// Of all slices.
    pub fn of<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Self {
        let mut addresses = Self::default();
        for slice in slices {
            // While pods move from one slice to another, both have them.
            addresses.0.entry(slice.service.clone()).or_default().extend(&slice.addresses);
        }
        addresses
    }

    /// The endpoints of the clusters of a plan, by cluster. The port is the node's: it is that of its pods.
    pub fn found(&self, plan: &Plan) -> BTreeMap<String, Vec<SocketAddr>> {
        let at = |service: &Service, port: u16| {
            let addresses = self.0.get(service).into_iter().flatten();
            addresses.map(|address| SocketAddr::new(*address, port)).collect()
        };
        plan.clusters
            .iter()
            .filter_map(|(cluster, made)| match &made.endpoints {
                Endpoints::Service { namespace, name, port } => {
                    Some((cluster.clone(), at(&(namespace.clone(), name.clone()), *port)))
                }
                Endpoints::Dns { .. } | Endpoints::Local { .. } | Endpoints::Nowhere => None,
            })
            .collect()
    }
}

/// The Services that a plan takes endpoints of.
pub fn services(plan: &Plan) -> BTreeSet<Service> {
    let service = |endpoints: &Endpoints| match endpoints {
        Endpoints::Service { namespace, name, .. } => Some((namespace.clone(), name.clone())),
        Endpoints::Dns { .. } | Endpoints::Local { .. } | Endpoints::Nowhere => None,
    };
    plan.clusters.values().filter_map(|cluster| service(&cluster.endpoints)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_ready_in_any_slice_of_a_service_is_an_endpoint() {
        let slice = |name: &str, service: &str, endpoints| {
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "shop", "labels": {SERVICE: service}},
                "addressType": "IPv4", "endpoints": endpoints,
            }))
            .unwrap();
            Slice::read(&slice)
        };
        let slices = [
            slice(
                "a-1",
                "a",
                json!([
                    {"addresses": ["10.0.0.1"]},
                    {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                    {"addresses": ["10.0.0.3"], "conditions": {"ready": true}},
                ]),
            ),
            slice("a-2", "a", json!([{"addresses": ["10.0.0.3"]}, {"addresses": ["fd00::1"]}])),
            slice("b", "b", json!([{"addresses": ["pod.example"]}])),
        ];
        let addresses = Addresses::of(&slices);
        let of = |name: &str| {
            let found = &addresses.0[&("shop".to_owned(), name.to_owned())];
            found.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("a"), ["10.0.0.1", "10.0.0.3", "fd00::1"]);
        assert!(of("b").is_empty());
    }
}
