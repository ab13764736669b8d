//! An Envoy and the sandbox's gateway over the same backends.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate::{
    clock::Clock,
    dataplane::{GatewayRef, ObjectKind, Protocol, compile},
    sandbox::gateway::{Endpoints, Gateway, GatewayConfig},
};

use super::{
    echo::Echo,
    sent::{Came, Sent},
};
use crate::gateway::{Bed, object};

/// A virtual service of this name and the node behind it, which listens on these ports and speaks so there.
pub struct Node(pub &'static str, pub &'static [(u16, &'static str)]);

/// Whoever is sent a request so often or more may be sent it as often as there is time for.
const MANY: usize = 4;

pub struct Both {
    pub bed: Bed,
    /// One for each of the gateway's ports, for the sandbox's gateway has only one.
    sandboxes: Vec<Gateway>,
    backends: Vec<Echo>,
    differing: Vec<String>,
    sent: usize,
    served: usize,
}

impl Both {
    /// A gateway whose ports speak these; none where there is no Envoy.
    pub async fn start(ports: &[&'static str], nodes: &[Node]) -> Option<Self> {
        let mut bed = Bed::start_at(ports, BTreeMap::new(), vec![]).await?;
        let endpoints = Endpoints::default();
        let mut backends = Vec::new();
        for Node(name, listeners) in nodes {
            let service = format!("{name}.shop");
            for (port, protocol) in *listeners {
                let backend = Echo::start(&format!("{name}:{port}")).await;
                bed.found.push((format!("_{name}_shop_{protocol}_{port}"), backend.address));
                // A target that names no port means the only one that there is.
                for port in [Some(*port), None].into_iter().take(if listeners.len() == 1 { 2 } else { 1 }) {
                    endpoints.set(&service, port, vec![backend.address]).unwrap();
                    endpoints.set_spoken(&service, port, spoken(protocol));
                }
                backends.push(backend);
            }
        }
        let mut sandboxes = Vec::new();
        for (address, _) in &bed.ports {
            let config = GatewayConfig { port: address.port(), ..GatewayConfig::default() };
            sandboxes.push(Gateway::start(config, endpoints.clone(), Clock::start()).await.unwrap());
        }
        let mut both = Self { bed, sandboxes, backends, differing: Vec::new(), sent: 0, served: 0 };
        both.add(nodes.iter().flat_map(objects).collect());
        Some(both)
    }

    /// Objects behind the routes.
    pub fn add(&mut self, objects: Vec<(ObjectKind, Value)>) {
        self.bed.beside.extend(objects);
    }

    /// The number of one of the gateway's ports.
    pub fn port(&self, port: usize) -> u16 {
        self.bed.ports[port].0.port()
    }

    /// Gives both these routes, sends both these requests, and notes what differs.
    pub async fn compare(
        &mut self,
        what: &str,
        routes: Vec<Value>,
        requests: impl IntoIterator<Item = impl Into<Sent>>,
    ) {
        let mut objects: Vec<(ObjectKind, Value)> = self.bed.behind();
        objects.extend(routes.iter().map(|route| (ObjectKind::GatewayRoute, route.clone())));
        let reference = GatewayRef { name: "gw".into(), namespace: "shop".into(), takes_unclaimed: true };
        let compiled = compile(&reference, objects.iter().map(|(kind, object)| (*kind, object)));
        assert!(compiled.rejected.is_empty(), "{what}: {:?}", compiled.rejected);
        for sandbox in &self.sandboxes {
            sandbox.table().publish(compiled.table.clone());
        }
        self.bed.route(routes);
        self.bed.settled().await;
        for sent in requests {
            self.send(what, sent.into()).await;
        }
    }

    async fn send(&mut self, what: &str, sent: Sent) {
        self.sent += 1;
        let [ours, envoys] = ["ours", "envoys"].map(|whose| format!("{whose}-{}", self.sent));
        let (sandbox, envoy) = (self.sandboxes[sent.port].address(), self.bed.ports[sent.port].0);
        let came = tokio::join!(sent.send(sandbox, &ours), sent.send(envoy, &envoys));
        let attempts = |id: &str| {
            let attempts: usize = self.backends.iter().map(|backend| backend.attempts(id)).sum();
            attempts.min(MANY)
        };
        let (ours, envoys) = ((came.0, attempts(&ours)), (came.1, attempts(&envoys)));
        self.served += usize::from(is_served(&envoys.0));
        if ours != envoys {
            self.differing.push(format!("{what}: {sent:?}:\n  ours    {ours:?}\n  Envoy's {envoys:?}"));
        }
    }

    /// Nothing differed, and at least so many requests, but not all, came to a backend that answered them well.
    pub fn agreed(self, least: usize) {
        assert!(self.differing.is_empty(), "{}", self.differing.join("\n"));
        let Self { served, sent, .. } = self;
        assert!((least..sent).contains(&served), "{served} of {sent} were served");
    }
}

fn is_served(came: &Came) -> bool {
    came.status == 200 && came.seen.is_some() && came.call.as_ref().is_none_or(|(status, _)| status == "0")
}

fn spoken(protocol: &str) -> Protocol {
    match protocol {
        "http" => Protocol::Http,
        "http2" => Protocol::Http2,
        "grpc" => Protocol::Grpc,
        other => panic!("{other} is not spoken here"),
    }
}

fn objects(Node(name, listeners): &Node) -> [(ObjectKind, Value); 2] {
    let listener =
        |(port, protocol): &(u16, &str)| json!({"portMapping": {"port": port, "protocol": protocol}});
    let listeners: Vec<Value> = listeners.iter().map(listener).collect();
    let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": name}}}});
    [
        (ObjectKind::VirtualNode, object(name, json!({"listeners": listeners}))),
        (ObjectKind::VirtualService, object(name, provider)),
    ]
}
