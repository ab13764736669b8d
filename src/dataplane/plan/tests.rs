//! A mesh's objects in, a gateway's plan out.
#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::dataplane::*;

const COLOR_APP: &str = include_str!("../../../tests/data/appmesh/color-app.yaml");

fn object(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// A gateway of namespace `edge` on port 80.
fn gateway(more: Value) -> Value {
    let mut spec = json!({"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    object("edge", "gw", spec)
}

/// A route of prefix `/` to one virtual service, in AWS's shape.
fn route(namespace: &str, name: &str, service: &str) -> (ObjectKind, Value) {
    weighted(namespace, name, &[(service, 1)])
}

fn weighted(namespace: &str, name: &str, targets: &[(&str, u32)]) -> (ObjectKind, Value) {
    let target =
        |(name, weight): &(&str, u32)| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    let targets: Vec<Value> = targets.iter().map(target).collect();
    let block = json!({"match": {"prefix": "/"}, "action": {"weightedTargets": targets}});
    (ObjectKind::GatewayRoute, object(namespace, name, json!({"httpRoute": block})))
}

/// A virtual service and the node of its name that provides it.
fn service(namespace: &str, name: &str, node: Value) -> [(ObjectKind, Value); 2] {
    let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": name}}}});
    [
        (ObjectKind::VirtualService, object(namespace, name, provider)),
        (ObjectKind::VirtualNode, object(namespace, name, node)),
    ]
}

fn node() -> Value {
    json!({"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]})
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn planned(gateway: &Value, objects: &[(ObjectKind, Value)]) -> Planned {
    let namespaces = BTreeMap::from([
        ("shop".to_owned(), labels(&[("mesh", "m")])),
        ("other".to_owned(), labels(&[("mesh", "n")])),
    ]);
    plan(gateway, &namespaces, objects.iter().map(|(kind, object)| (*kind, object))).unwrap()
}

fn refused(gateway: &Value) -> String {
    plan(gateway, &BTreeMap::new(), []).unwrap_err().to_string()
}

fn routes(planned: &Planned) -> Vec<String> {
    let routes = planned.plan.routes.iter().map(|planned| &planned.route);
    routes.map(|route| format!("{}/{}", route.namespace, route.name)).collect()
}

fn remarks(planned: &Planned) -> Vec<(String, String)> {
    planned.remarks.iter().map(|remark| (remark.object.name.clone(), remark.sentence())).collect()
}

/// The only cluster.
fn only(planned: &Planned) -> (&str, &Cluster) {
    let clusters: Vec<_> = planned.plan.clusters.iter().collect();
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    (clusters[0].0, clusters[0].1)
}

/// What a gateway makes of one node.
fn of_node(gateway: Value, node: Value) -> Planned {
    let mut objects = vec![route("edge", "r", "app")];
    objects[0].1["spec"]["virtualGatewayRef"] = json!({"name": "gw"});
    objects.extend(service("edge", "app", node));
    planned(&gateway, &objects)
}

#[test]
fn the_color_app_is_planned_whole() {
    let documents = serde_saphyr::from_multiple::<Value>(COLOR_APP).unwrap();
    let kind = |object: &Value| match object["kind"].as_str().unwrap() {
        "GatewayRoute" => Some(ObjectKind::GatewayRoute),
        "VirtualService" => Some(ObjectKind::VirtualService),
        "VirtualRouter" => Some(ObjectKind::VirtualRouter),
        "VirtualNode" => Some(ObjectKind::VirtualNode),
        _ => None,
    };
    let gateway = documents.iter().find(|object| object["kind"] == "VirtualGateway").unwrap();
    let objects: Vec<_> = documents.iter().filter_map(|object| Some((kind(object)?, object))).collect();
    let planned = plan(gateway, &BTreeMap::new(), objects).unwrap();
    assert!(planned.rejected.is_empty() && planned.remarks.is_empty(), "{planned:?}");
    let Plan { entrance, routes, clusters } = planned.plan;
    let port = Listener { port: 8080, protocol: Protocol::Http, tls: None };
    assert_eq!(entrance, Entrance::Gateway(vec![port]));

    let names = |version: &str| format!("cds_egress_mesh_color-app-{version}_default_http_8080");
    let [header, entry] = routes.as_slice() else { panic!("{routes:?}") };
    assert_eq!((header.route.name.as_str(), header.route.priority), ("color-v2-header-route", 100));
    assert_eq!(header.clusters, [names("v2")]);
    assert_eq!((entry.route.name.as_str(), entry.route.priority), ("color-gateway-route", 200));
    assert_eq!(entry.clusters, [names("v1"), names("v2")]);
    let weights: Vec<u32> = entry.route.destinations.iter().map(|entry| entry.weight).collect();
    assert_eq!(weights, [100, 0]);

    assert_eq!(clusters.keys().cloned().collect::<Vec<_>>(), [names("v1"), names("v2")]);
    let v1 = &clusters[&names("v1")];
    let host = "color-app-v1.default.svc.cluster.local".to_owned();
    assert_eq!(v1.endpoints, Endpoints::Dns { host, port: 8080, each: false });
    let health = HealthCheck {
        probe: Probe::Http { path: "/health".to_owned(), http2: false },
        port: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        healthy: 2,
        unhealthy: 2,
    };
    assert_eq!(v1.health, Some(health));
    assert_eq!((&v1.tls, v1.limits, v1.outliers), (&None, Limits::default(), None));
}

#[test]
fn a_route_of_another_namespace_needs_the_gateways_selector() {
    let claiming = |namespace: &str, of: &str| {
        let (kind, mut object) = route(namespace, "r", "app");
        object["spec"]["virtualGatewayRef"] = json!({"name": "gw", "namespace": of});
        (kind, object)
    };
    let labelled = |namespace: &str| {
        let (kind, mut object) = route(namespace, "r", "app");
        object["metadata"]["labels"] = json!({"public": "yes"});
        (kind, object)
    };
    let shop = json!({"namespaceSelector": {"matchLabels": {"mesh": "m"}}});
    let public = json!({
        "namespaceSelector": {"matchExpressions": [{"key": "mesh", "operator": "In", "values": ["m", "n"]}]},
        "gatewayRouteSelector": {"matchLabels": {"public": "yes"}},
    });
    let all = json!({"namespaceSelector": {}});
    let cases = [
        (json!({}), claiming("edge", "edge"), true),
        (json!({}), claiming("shop", "edge"), false),
        (json!({}), route("edge", "r", "app"), false),
        (shop.clone(), claiming("shop", "edge"), true),
        (shop.clone(), route("shop", "r", "app"), true),
        (shop.clone(), route("other", "r", "app"), false),
        (shop.clone(), claiming("other", "edge"), false),
        (shop.clone(), route("unknown", "r", "app"), false),
        (shop.clone(), claiming("shop", "shop"), false),
        (shop, claiming("edge", "edge"), true),
        (public.clone(), labelled("other"), true),
        (public.clone(), route("other", "r", "app"), false),
        (public.clone(), claiming("shop", "edge"), false),
        (public, claiming("edge", "edge"), true),
        (all, route("unknown", "r", "app"), true),
    ];
    for (selectors, route, taken) in cases {
        let found = planned(&gateway(selectors.clone()), std::slice::from_ref(&route));
        assert_eq!(found.plan.routes.len() == 1, taken, "{selectors} {}", route.1);
    }
}

#[test]
fn a_gateway_that_cannot_be_read_is_given_nothing_and_told_why() {
    let policy = |tls: Value| json!({"backendDefaults": {"clientPolicy": {"tls": tls}}});
    let acm = json!({"validation": {"trust": {"acm": {"certificateAuthorityARNs": ["arn:aws:acm-pca:x"]}}}});
    let cases = [
        (policy(acm), "acm names an authority that only AWS has"),
        (policy(json!({"validation": {"trust": {}}})), "file or sds in tls.validation.trust"),
        (
            policy(json!({"validation": {"trust": {}}, "sni": "x"})),
            "cannot read spec.backendDefaults.clientPolicy.tls.sni: unknown field `sni`",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
            "spec.namespaceSelector is no selector",
        ),
    ];
    for (spec, want) in cases {
        let why = refused(&gateway(spec));
        assert!(why.contains(want), "{why}");
    }
}

#[test]
fn a_listener_that_cannot_be_made_is_left_out_alone() {
    let files = json!({"file": {"certificateChain": "/c.pem", "privateKey": "/k.pem"}});
    let listener = |port: u16, protocol: &str| json!({"portMapping": {"port": port, "protocol": protocol}});
    let tls = |port: u16, mode: &str, certificate: &Value| {
        let mut listener = listener(port, "http");
        listener["tls"] = json!({"mode": mode, "certificate": certificate});
        listener
    };
    let mut mutual = tls(443, "STRICT", &files);
    mutual["tls"]["validation"] = json!({
        "trust": {"sds": {"secretName": "roots"}},
        "subjectAlternativeNames": {"match": {"exact": ["a.example"]}},
    });
    let spec = json!({"listeners": [
        listener(80, "http"), listener(9000, "tcp"), tls(444, "STRICT", &json!({"acm": {"certificateARN": "arn:x"}})),
        listener(80, "http2"), mutual, tls(8443, "PERMISSIVE", &json!({"sds": {"secretName": "own"}})),
        tls(8080, "DISABLED", &files), listener(50051, "grpc"),
    ]});
    let planned = planned(&gateway(spec), &[]);
    let told: Vec<String> = planned.rejected.iter().map(Rejected::sentence).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("listener 9000: a tcp listener"), "{told:?}");
    assert!(told[1].starts_with("listener 444: acm names a certificate that only AWS has"), "{told:?}");
    assert_eq!(told[2], "listener 80: another listener has the same port");
    let Entrance::Gateway(listeners) = planned.plan.entrance else { panic!("it is a gateway's") };
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
    assert_eq!(ports, [80, 443, 8443, 8080, 50051]);
    let tls: Vec<_> = listeners.iter().map(|listener| listener.tls.clone()).collect();
    let clients = Trust { authorities: Authorities::Secret("roots".into()), names: vec!["a.example".into()] };
    let certificate = Certificate::Files { chain: "/c.pem".into(), key: "/k.pem".into() };
    assert_eq!(tls[1], Some(ServerTls { required: true, certificate, clients: Some(clients) }));
    let certificate = Certificate::Secret("own".into());
    assert_eq!(tls[2], Some(ServerTls { required: false, certificate, clients: None }));
    assert_eq!((&tls[0], &tls[3]), (&None, &None));
    assert_eq!(listeners[4].protocol, Protocol::Grpc);
}

#[test]
fn a_target_that_leads_nowhere_is_told_and_takes_nothing_else_away() {
    let several = json!({"listeners": [
        {"portMapping": {"port": 80, "protocol": "http"}}, {"portMapping": {"port": 81, "protocol": "http"}},
    ]});
    let bad = json!({"listeners": [{"portMapping": {"port": 80, "protocol": "http"}, "weather": "fine"}]});
    let mut objects = Vec::new();
    objects.extend(service("shop", "v1", node()));
    objects.extend(service("shop", "several", several));
    objects.extend(service("shop", "mute", json!({})));
    objects.extend(service("shop", "bad", bad));
    let mut hasty = node();
    let span = |value: u32| json!({"unit": "s", "value": value});
    hasty["listeners"][0]["outlierDetection"] = json!({
        "baseEjectionDuration": span(1), "interval": span(0), "maxEjectionPercent": 50, "maxServerErrors": 5,
    });
    objects.extend(service("shop", "hasty", hasty));
    let mut nameless = node();
    nameless["serviceDiscovery"] = json!({"dns": {"hostname": ""}});
    objects.extend(service("shop", "nameless", nameless));
    let [lonely, _] = service("shop", "lonely", json!({}));
    objects.push(lonely);
    objects.push((ObjectKind::VirtualService, object("shop", "unprovided", json!({}))));
    let cases = [
        ("absent", "absent.shop leads nowhere: no VirtualService"),
        ("unprovided", "unprovided.shop leads nowhere: no VirtualService"),
        ("lonely", "the virtual node shop/lonely does not exist"),
        ("mute", "shop/mute: it has no listener"),
        ("several", "shop/several: it listens on several ports"),
        ("bad", "shop/bad: unknown field `weather`"),
        ("hasty", "shop/hasty: interval and baseEjectionDuration of outlierDetection must be above 0"),
        ("nameless", "shop/nameless: serviceDiscovery.dns.hostname is empty"),
    ];
    for (target, want) in cases {
        let mut objects = objects.clone();
        objects.push(weighted("shop", "r", &[("v1", 100), (target, 0)]));
        let planned = planned(&gateway(json!({"namespaceSelector": {}})), &objects);
        assert_eq!(planned.rejected.len(), 0);
        let told = remarks(&planned);
        assert!(told.len() == 1 && told[0].0 == "r" && told[0].1.contains(want), "{target}: {told:?}");
        let PlannedRoute { route, clusters, .. } = &planned.plan.routes[0];
        let weights: Vec<u32> = route.destinations.iter().map(|entry| entry.weight).collect();
        assert_eq!(weights, [100, 0]);
        assert_eq!(planned.plan.clusters[&clusters[1]].endpoints, Endpoints::Nowhere);
        assert_ne!(planned.plan.clusters[&clusters[0]].endpoints, Endpoints::Nowhere);
    }
}

#[test]
fn the_other_nodes_of_a_routes_namespace_are_known_before_they_get_any_traffic() {
    let mut objects = vec![route("shop", "r", "v1")];
    for (namespace, name) in [("shop", "v1"), ("shop", "v2"), ("other", "v3")] {
        objects.extend(service(namespace, name, node()));
    }
    objects.extend(service(
        "shop",
        "queue",
        json!({"listeners": [{"portMapping": {"port": 1, "protocol": "tcp"}}]}),
    ));
    let planned = planned(&gateway(json!({"namespaceSelector": {}})), &objects);
    let names: Vec<&String> = planned.plan.clusters.keys().collect();
    assert_eq!(names, ["cds_egress_mesh_v1_shop_http_8080", "cds_egress_mesh_v2_shop_http_8080"]);
}

/// What leads nowhere may be called as a node is that others lead to.
#[test]
fn a_target_that_leads_nowhere_takes_no_nodes_endpoints() {
    let mut objects = vec![weighted("shop", "a", &[("app.backend", 1)])];
    let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": "v1"}}}});
    objects.push((ObjectKind::VirtualService, object("backend", "app", provider)));
    objects.push((ObjectKind::VirtualNode, object("backend", "v1", node())));
    let target =
        json!({"virtualServiceRef": {"name": "v1", "namespace": "backend"}, "port": 8080, "weight": 1});
    let block = json!({"match": {"prefix": "/b"}, "action": {"weightedTargets": [target]}});
    objects.push((ObjectKind::GatewayRoute, object("shop", "b", json!({"httpRoute": block}))));
    let planned = planned(&gateway(json!({"namespaceSelector": {}})), &objects);
    assert_eq!(remarks(&planned).len(), 1, "{:?}", remarks(&planned));
    let endpoints = |route: &str| {
        let found = planned.plan.routes.iter().find(|planned| planned.route.name == route).unwrap();
        planned.plan.clusters[&found.clusters[0]].endpoints.clone()
    };
    assert_eq!(endpoints("b"), Endpoints::Nowhere);
    assert_ne!(endpoints("a"), Endpoints::Nowhere);
}

#[test]
fn nobody_takes_over_the_name_of_another_service() {
    let mut objects = vec![route("shop", "r", "app.shop"), route("shop", "s", "given")];
    objects.extend(service("shop", "app", node()));
    for namespace in ["zz", "other"] {
        let [(kind, mut taker), node] = service(namespace, "taker", node());
        taker["spec"]["awsName"] = json!("app.shop");
        objects.extend([(kind, taker), node]);
    }
    objects[1].1["spec"]["httpRoute"]["match"]["prefix"] = json!("/s");
    objects[1].1["spec"]["httpRoute"]["action"]["weightedTargets"][0]["virtualServiceRef"]["name"] =
        json!("given.x");
    let [(kind, mut given), node] = service("other", "own", node());
    given["spec"]["awsName"] = json!("given.x");
    objects.extend([(kind, given), node]);
    let planned = planned(&gateway(json!({"namespaceSelector": {}})), &objects);
    let named = |route: &str| {
        let found = planned.plan.routes.iter().find(|planned| planned.route.name == route).unwrap();
        found.clusters[0].clone()
    };
    assert_eq!(named("r"), "cds_egress_mesh_app_shop_http_8080");
    assert_eq!(named("s"), "cds_egress_mesh_own_other_http_8080");
}

#[test]
fn weights_that_are_all_zero_are_told() {
    let mut objects = vec![weighted("shop", "r", &[("v1", 0)])];
    objects.extend(service("shop", "v1", node()));
    let planned = planned(&gateway(json!({"namespaceSelector": {}})), &objects);
    assert_eq!(planned.plan.routes.len(), 1);
    assert!(remarks(&planned)[0].1.contains("all its weights are 0"), "{:?}", remarks(&planned));
}

#[test]
fn a_route_that_another_one_hides_is_told() {
    let mut objects =
        vec![route("shop", "b", "v1"), route("shop", "a", "v1"), route("other", "c", "v1.shop")];
    objects.extend(service("shop", "v1", node()));
    let gateway = gateway(json!({"namespaceSelector": {}}));
    let found = planned(&gateway, &objects);
    assert_eq!(routes(&found), ["other/c", "shop/a", "shop/b"]);
    let told = remarks(&found);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0].0, "a");
    assert!(told[0].1.starts_with("other/c takes the same requests at the same priority"), "{told:?}");
    for (at, priority) in [10, 20, 30].into_iter().enumerate() {
        objects[at].1["spec"]["priority"] = json!(priority);
    }
    assert_eq!(remarks(&planned(&gateway, &objects)), []);
}

#[test]
fn a_node_is_spoken_to_as_it_and_the_gateway_say() {
    let listener = |more: Value| {
        let mut listener = json!({"portMapping": {"port": 8080, "protocol": "http2"}});
        for (field, value) in more.as_object().unwrap() {
            listener[field] = value.clone();
        }
        json!({"listeners": [listener]})
    };
    let found = of_node(
        gateway(json!({})),
        listener(json!({
            "connectionPool": {"http2": {"maxRequests": 7}},
            "healthCheck": {
                "protocol": "grpc", "port": 9, "healthyThreshold": 3, "intervalMillis": 6000, "timeoutMillis": 2500,
                "unhealthyThreshold": 4,
            },
            "outlierDetection": {
                "baseEjectionDuration": {"unit": "s", "value": 30}, "interval": {"unit": "ms", "value": 500},
                "maxEjectionPercent": 50, "maxServerErrors": 5,
            },
            "timeout": {"http2": {"idle": {"unit": "s", "value": 1}}},
        })),
    );
    let (name, cluster) = only(&found);
    assert_eq!(name, "cds_egress_mesh_app_edge_http2_8080");
    let service = Endpoints::Service { namespace: "edge".into(), name: "app".into(), port: 8080 };
    assert_eq!((cluster.protocol, &cluster.endpoints), (Protocol::Http2, &service));
    assert_eq!(cluster.limits, Limits { requests: Some(7), ..Limits::default() });
    let seconds = Duration::from_secs_f64;
    assert_eq!(
        cluster.health,
        Some(HealthCheck {
            probe: Probe::Grpc,
            port: Some(9),
            interval: seconds(6.0),
            timeout: seconds(2.5),
            healthy: 3,
            unhealthy: 4,
        })
    );
    let outliers = Outliers { errors: 5, interval: seconds(0.5), ejection: seconds(30.0), most: 50 };
    assert_eq!(cluster.outliers, Some(outliers));

    let pooled = json!({"listeners": [{
        "portMapping": {"port": 80, "protocol": "http"},
        "connectionPool": {"http": {"maxConnections": 3, "maxPendingRequests": 4}},
    }]});
    let found = of_node(gateway(pooled), listener(json!({})));
    let limits = Limits { connections: Some(3), pending: Some(4), requests: None };
    assert_eq!(cluster_of(&found).limits, limits, "the gateway's, where the node has none");

    let dns = |kind: Value| {
        json!({
            "listeners": [{"portMapping": {"port": 8080, "protocol": "tcp"}}],
            "serviceDiscovery": {"dns": {"hostname": "app.example", "responseType": kind}},
        })
    };
    for (kind, each) in [(json!("ENDPOINTS"), true), (json!("LOADBALANCER"), false), (Value::Null, false)] {
        let found = of_node(gateway(json!({"meshRef": {"name": "m", "uid": "u"}})), dns(kind));
        let (name, cluster) = only(&found);
        assert_eq!(
            name, "cds_egress_m_app_edge_http_8080",
            "what the route speaks, where the node speaks no HTTP"
        );
        assert_eq!(cluster.endpoints, Endpoints::Dns { host: "app.example".into(), port: 8080, each });
    }
}

fn cluster_of(planned: &Planned) -> &Cluster {
    only(planned).1
}

#[test]
fn tls_towards_a_node_is_what_the_gateway_demands_and_the_node_offers() {
    let node = |mode: Option<&str>| {
        let mut node = node();
        if let Some(mode) = mode {
            let certificate = json!({"file": {"certificateChain": "/c", "privateKey": "/k"}});
            node["listeners"][0]["tls"] = json!({"mode": mode, "certificate": certificate});
        }
        node
    };
    let policy = |more: Value| {
        let mut tls = json!({"validation": {"trust": {"file": {"certificateChain": "/ca.pem"}}}});
        for (field, value) in more.as_object().unwrap() {
            tls[field] = value.clone();
        }
        gateway(json!({"backendDefaults": {"clientPolicy": {"tls": tls}}}))
    };
    let trust = Trust { authorities: Authorities::File("/ca.pem".into()), names: vec![] };
    let checked = Some(ClientTls { certificate: None, nodes: Some(trust.clone()) });
    let own = Certificate::Secret("me".into());
    let mutual = Some(ClientTls { certificate: Some(own), nodes: Some(trust) });
    let unchecked = Some(ClientTls::default());
    let cases = [
        (gateway(json!({})), None, None),
        (gateway(json!({})), Some("DISABLED"), None),
        (gateway(json!({})), Some("STRICT"), unchecked.clone()),
        (policy(json!({})), None, checked.clone()),
        (policy(json!({"enforce": false})), None, None),
        (policy(json!({"enforce": false})), Some("PERMISSIVE"), checked.clone()),
        (policy(json!({"ports": [8080]})), None, checked),
        (policy(json!({"ports": [9090]})), None, None),
        (policy(json!({"ports": [9090]})), Some("STRICT"), unchecked),
        (policy(json!({"certificate": {"sds": {"secretName": "me"}}})), None, mutual),
    ];
    for (gateway, mode, want) in cases {
        assert_eq!(cluster_of(&of_node(gateway.clone(), node(mode))).tls, want, "{gateway} {mode:?}");
    }
}

/// Whether it is of the gateway's namespace, its priority, whether it names the gateway, and its targets.
type RouteOfMesh = (bool, u16, bool, Vec<(u8, u32)>);

/// A mesh of two namespaces with services that lead to nodes, to routers over nodes, and nowhere.
#[derive(Clone, Debug)]
struct Mesh {
    routes: Vec<RouteOfMesh>,
    selects: Option<bool>,
}

fn mesh() -> impl Strategy<Value = Mesh> {
    let targets = prop::collection::vec((0u8..6, 0u32..4), 1..5);
    let route = (any::<bool>(), 0u16..4, any::<bool>(), targets);
    (prop::collection::vec(route, 0..6), any::<Option<bool>>())
        .prop_map(|(routes, selects)| Mesh { routes, selects })
}

impl Mesh {
    fn gateway(&self) -> Value {
        gateway(match self.selects {
            None => json!({}),
            Some(all) => {
                let selector = if all { json!({}) } else { json!({"matchLabels": {"mesh": "m"}}) };
                json!({"namespaceSelector": selector})
            }
        })
    }

    /// `s0` and `s1` lead to nodes, `s2` and `s3` to routers over both nodes, `s4` to a node that is not there, `s5` is unknown.
    fn objects(&self) -> Vec<(ObjectKind, Value)> {
        let mut objects = Vec::new();
        for namespace in ["edge", "shop"] {
            for number in 0..2 {
                objects.extend(service(namespace, &format!("s{number}"), node()));
                let (name, to) = (
                    format!("s{}", number + 2),
                    |node: &str, weight: u32| json!({"virtualNodeRef": {"name": node}, "weight": weight}),
                );
                let targets = [to("s0", number), to("s1", 3)];
                let action = json!({"weightedTargets": targets});
                let routes =
                    json!([{"name": "r", "httpRoute": {"match": {"prefix": "/"}, "action": action}}]);
                objects
                    .push((ObjectKind::VirtualRouter, object(namespace, &name, json!({"routes": routes}))));
                let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": name}}}});
                objects.push((ObjectKind::VirtualService, object(namespace, &name, provider)));
            }
            let [lonely, _] = service(namespace, "s4", json!({}));
            objects.push(lonely);
        }
        for (place, (at_home, priority, claims, targets)) in self.routes.iter().enumerate() {
            let namespace = if *at_home { "edge" } else { "shop" };
            let names: Vec<String> = targets.iter().map(|(target, _)| format!("s{target}")).collect();
            let targets: Vec<(&str, u32)> =
                names.iter().zip(targets).map(|(name, (_, weight))| (name.as_str(), *weight)).collect();
            let (kind, mut route) = weighted(namespace, &format!("r{place}"), &targets);
            route["spec"]["priority"] = json!(priority);
            if *claims {
                route["spec"]["virtualGatewayRef"] = json!({"name": "gw", "namespace": "edge"});
            }
            objects.push((kind, route));
        }
        objects
    }
}

proptest! {
    #[test]
    fn a_plan_is_closed_ordered_and_of_its_own(mesh in mesh()) {
        let objects = mesh.objects();
        let planned = planned(&mesh.gateway(), &objects);
        let Plan { routes, clusters, .. } = &planned.plan;
        prop_assert!(routes.is_sorted_by_key(|planned| planned.route.priority));
        let named: BTreeSet<&String> = routes.iter().flat_map(|planned| &planned.clusters).collect();
        let defined: BTreeSet<&String> = clusters.keys().collect();
        prop_assert!(named.is_subset(&defined), "no cluster is named and not there");
        let homes: BTreeSet<&str> = routes.iter().map(|planned| planned.route.namespace.as_str()).collect();
        let near = |name: &String| homes.iter().any(|home| name.contains(&format!("_{home}_")));
        prop_assert!(defined.difference(&named).all(|name| near(name)), "none is there for nothing");
        for PlannedRoute { route, clusters, .. } in routes {
            prop_assert_eq!(clusters.len(), route.destinations.len());
            let place: usize = route.name[1..].parse().unwrap();
            let (at_home, priority, claims, targets) = &mesh.routes[place];
            prop_assert_eq!(route.priority, *priority);
            let let_in = if *at_home && *claims { true } else { mesh.selects == Some(true) || (mesh.selects == Some(false) && !at_home) };
            prop_assert!(let_in, "{} is not this gateway's", route.name);
            // A target's nodes have its share together, whatever its router does; one whose router gives nothing has none.
            let whole: u32 = route.destinations.iter().map(|entry| entry.weight).sum();
            let all: u32 = targets.iter().map(|(_, weight)| weight).sum();
            prop_assert_eq!(whole > 0, all > 0);
            if let Some(factor) = whole.checked_div(all) {
                prop_assert_eq!(factor * all, whole);
            }
        }
    }

    #[test]
    fn the_order_of_the_objects_makes_no_difference(mesh in mesh(), seed: u64) {
        let mut objects = mesh.objects();
        let one = planned(&mesh.gateway(), &objects).plan;
        fastrand::Rng::with_seed(seed).shuffle(&mut objects);
        prop_assert_eq!(planned(&mesh.gateway(), &objects).plan, one);
    }
}

/// What is read of a gateway is what its CRD has, so that nothing which AWS's own controller took is refused here.
#[test]
fn every_field_of_the_crds_is_known() {
    let crd = |file: &str| -> Value { serde_saphyr::from_str(file).unwrap() };
    let gateway = crd(include_str!("../../../tests/data/appmesh/crds/appmesh.k8s.aws_virtualgateways.yaml"));
    let node = crd(include_str!("../../../tests/data/appmesh/crds/appmesh.k8s.aws_virtualnodes.yaml"));
    for (crd, extra) in [(&gateway, 0), (&node, 2)] {
        let listener = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            ["listeners"]["items"]["properties"];
        let known = ["connectionPool", "healthCheck", "portMapping", "tls", "outlierDetection", "timeout"];
        let fields: Vec<&String> = listener.as_object().unwrap().keys().collect();
        assert_eq!(fields.len(), 4 + extra, "{fields:?}");
        assert!(fields.iter().all(|field| known.contains(&field.as_str())), "{fields:?}");
    }
}
