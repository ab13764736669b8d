//! Where things really are, in objects that say where they would be in a cluster. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::demo::world::GATEWAY;

/// The mesh, as statistics name it: the gateway names none, for that is what a webhook of AWS writes.
pub const MESH: &str = "mesh";

/// Where the gateway and the versions listen.
pub struct Places {
    /// The gateway's port.
    pub ingress: u16,
    /// The port of the versions.
    pub port: u16,
    /// The address of each, by its VirtualNode.
    pub versions: BTreeMap<String, Ipv4Addr>,
}

impl Places {
    /// Puts an object of color-app to where things are. A webhook of AWS that is not here is stood in for as well: it names
    /// the gateway in routes that do not.
    pub fn put(&self, mut object: DynamicObject) -> DynamicObject {
        let name = object.metadata.name.clone().unwrap_or_default();
        let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
        let Some(spec) = object.data.get_mut("spec") else { return object };
        match kind {
            "VirtualGateway" => listen(spec, self.ingress),
            "VirtualRouter" => listen(spec, self.port),
            "VirtualNode" => {
                listen(spec, self.port);
                if let Some(address) = self.versions.get(&name) {
                    json_patch::merge(
                        spec,
                        &json!({"serviceDiscovery": {"dns": {"hostname": address.to_string()}}}),
                    );
                }
            }
            "GatewayRoute" => {
                let claimed = ["/virtualGatewayRef", "/routeSpec/virtualGatewayRef"]
                    .iter()
                    .any(|reference| spec.pointer(reference).is_some());
                if !claimed {
                    json_patch::merge(spec, &json!({"virtualGatewayRef": {"name": GATEWAY}}));
                }
            }
            "Rollout" => {
                if let Some(params) = spec.pointer_mut("/analysis/series/params") {
                    json_patch::merge(params, &json!({"mesh": MESH, "port": self.port.to_string()}));
                }
            }
            _ => {}
        }
        object
    }
}

/// All listeners of a spec at one port.
fn listen(spec: &mut Value, port: u16) {
    for listener in spec.get_mut("listeners").and_then(Value::as_array_mut).into_iter().flatten() {
        json_patch::merge(listener, &json!({"portMapping": {"port": port}}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{manifests, routes::Routes, strategy::Strategy};

    /// What is changed in the demo's objects, by path.
    fn changed(routes: Routes) -> BTreeMap<String, Value> {
        let versions = [("v1", 1), ("v2", 2), ("v3", 3)];
        let versions =
            versions.map(|(version, last)| (routes.workload(version), Ipv4Addr::new(127, 0, 0, last)));
        let places = Places { ingress: 4000, port: 5000, versions: versions.into() };
        let texts = [routes.app(), routes.third(), routes.rollout(Strategy::Canary)];
        let mut changed = BTreeMap::new();
        for object in texts.iter().flat_map(|text| manifests::parse(text).unwrap()) {
            let name =
                format!("{} {}", object.types.as_ref().unwrap().kind, object.metadata.name.as_ref().unwrap());
            let (before, after) = (object.data.clone(), places.put(object).data);
            for change in json_patch::diff(&before, &after).0 {
                let change = serde_json::to_value(change).unwrap();
                let path = change["path"].as_str().unwrap();
                changed.insert(format!("{name} {path}"), change["value"].clone());
            }
        }
        changed
    }

    fn want(changes: &[(&str, Value)]) -> BTreeMap<String, Value> {
        changes.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()
    }

    #[test]
    fn ports_and_names_are_changed_and_nothing_else() {
        let changes = want(&[
            ("Rollout color /spec/analysis/series/params/mesh", json!("mesh")),
            ("Rollout color /spec/analysis/series/params/port", json!("5000")),
            ("VirtualGateway color-gateway /spec/listeners/0/portMapping/port", json!(4000)),
            ("VirtualNode color-app-v1 /spec/listeners/0/portMapping/port", json!(5000)),
            ("VirtualNode color-app-v1 /spec/serviceDiscovery/dns/hostname", json!("127.0.0.1")),
            ("VirtualNode color-app-v2 /spec/listeners/0/portMapping/port", json!(5000)),
            ("VirtualNode color-app-v2 /spec/serviceDiscovery/dns/hostname", json!("127.0.0.2")),
            ("VirtualNode color-app-v3 /spec/listeners/0/portMapping/port", json!(5000)),
            ("VirtualNode color-app-v3 /spec/serviceDiscovery/dns/hostname", json!("127.0.0.3")),
        ]);
        assert_eq!(changed(Routes::GatewayRoute), changes);
    }

    #[test]
    fn a_route_without_a_gateway_is_given_one() {
        let changed = changed(Routes::VirtualRouter);
        let reference = changed.get("GatewayRoute color-entry /spec/virtualGatewayRef");
        assert_eq!(reference, Some(&json!({"name": "color-gateway"})));
        let port = changed.get("VirtualRouter color /spec/listeners/0/portMapping/port");
        assert_eq!(port, Some(&json!(5000)));
    }
}
