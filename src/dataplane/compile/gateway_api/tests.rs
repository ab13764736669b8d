//! Objects of the Gateway API in, table out.
#![expect(clippy::needless_pass_by_value, reason = "the cases are JSON literals")]

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use crate::dataplane::*;

type Headers = &'static [(&'static str, &'static str)];

const GRPC: Headers = &[("content-type", "application/grpc")];

fn gateway() -> GatewayRef {
    GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: true }
}

fn object(name: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default", "creationTimestamp": "2026-11-01T10:00:00Z"},
           "spec": {"parentRefs": [{"name": "gw"}], "rules": rules}})
}

fn http(rules: Value) -> Compiled {
    compile(&gateway(), [(ObjectKind::HttpRoute, &object("r", rules))])
}

fn grpc(rules: Value) -> Compiled {
    compile(&gateway(), [(ObjectKind::GrpcRoute, &object("r", rules))])
}

fn backend(name: &str) -> Value {
    json!([{"name": name, "port": 8080}])
}

/// A rule with this match, to a Service of this name.
fn rule(name: &str, matcher: Value) -> Value {
    json!({"matches": [matcher], "backendRefs": backend(name)})
}

/// The first destination of the route that takes a request.
fn sent(table: &Table, method: &str, url: &str, headers: &[(&str, &str)]) -> Option<String> {
    let (host, path) = url.split_at(url.find('/').unwrap());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (name.parse::<http::HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        })
        .collect();
    let method: Method = method.parse().unwrap();
    let request = RequestParts { method: &method, host, path, query, headers: &headers, port: 8080 };
    table.route(&request).map(|route| route.destinations[0].target.clone())
}

#[test]
fn a_bad_rule_is_left_out_alone_with_its_reason() {
    let to = |backends: Value| json!({"backendRefs": backends});
    let filter = |filter: Value| json!({"filters": [filter], "backendRefs": backend("a")});
    let rewrite = |path: Value| {
        json!({"matches": [{"path": {"type": "Exact", "value": "/x"}}], "backendRefs": backend("a"),
               "filters": [{"type": "URLRewrite", "urlRewrite": {"path": path}}]})
    };
    let header = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a b", "value": "c"}]}});
    let mirror = |mirror: Value| filter(json!({"type": "RequestMirror", "requestMirror": mirror}));
    let cases = [
        (json!({"matches": [{"path": {"value": "/"}}]}), "rule 0: the route needs backendRefs"),
        (to(json!([{"name": "a"}])), "a port in each backendRef"),
        (to(json!([{"name": "a", "port": 1, "weight": -1}])), "-1"),
        (to(json!([{"name": "a", "port": 1, "kind": "Bucket"}])), "names a Bucket"),
        (to(json!([{"name": "a", "port": 1, "group": "x.io"}])), "only a Service"),
        (to(json!([{"name": "a", "port": 1, "namespace": "other"}])), "the namespace other"),
        (to(json!([{"name": "a", "port": 1, "filters": [{"type": "CORS"}]}])), "a filter of a backendRef"),
        (rule("a", json!({"path": {"value": "x"}})), "must start with /"),
        (rule("a", json!({"path": {"type": "RegularExpression", "value": "("}})), "no regular expression"),
        (rule("a", json!({"path": {"type": "Glob", "value": "/"}})), "unknown variant `Glob`"),
        (rule("a", json!({"cookies": []})), "cannot read spec.rules[0]: unknown field `cookies`"),
        (rule("a", json!({"method": "a b"})), "no HTTP method"),
        (filter(json!({"type": "RequestMirror"})), "requestMirror in its filter"),
        (filter(json!({"type": "RequestMirror", "requestMirror": {}})), "missing field `backendRef`"),
        (mirror(json!({"backendRef": {"name": "m"}})), "a port in each backendRef"),
        (
            mirror(
                json!({"backendRef": {"name": "m", "port": 1}, "percent": 1, "fraction": {"numerator": 1}}),
            ),
            "percent or fraction, not both",
        ),
        (filter(json!({"type": "CORS"})), "the filter CORS is not supported"),
        (filter(json!({"type": "URLRewrite"})), "urlRewrite in its filter"),
        (filter(header), "\"a b\" cannot be a header's name"),
        (rewrite(json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/y"})), "type PathPrefix"),
        (rewrite(json!({"type": "ReplaceFullPath", "replaceFullPath": "y"})), "must start with /"),
        (json!({"timeouts": {"request": "1 day"}, "backendRefs": backend("a")}), "no duration"),
        (json!({"name": "n", "retry": {}, "backendRefs": backend("a")}), "rule n: cannot read"),
    ];
    for (bad, want) in cases {
        let compiled = http(json!([bad, rule("good", json!({}))]));
        assert_eq!(sent(&compiled.table, "GET", "h/", &[]).as_deref(), Some("good"), "{want}");
        assert_eq!((compiled.table.routes.len(), compiled.rejected.len()), (1, 1), "{want}");
        let sentence = compiled.rejected[0].sentence();
        assert!(sentence.contains(want), "{sentence:?} should say {want:?}");
    }
    let bad = json!({"method": {"type": "RegularExpression", "service": "a.*"}});
    let compiled = grpc(json!([rule("a", bad)]));
    assert_eq!((compiled.served.len(), compiled.table.routes.len()), (0, 0));
    assert!(compiled.rejected[0].sentence().contains("RegularExpression is not supported"));
    let compiled = http(json!([rule("a", json!({"method": {"service": "s"}}))]));
    assert!(compiled.rejected[0].sentence().contains("cannot read spec.rules[0]"));
}

#[test]
fn only_routes_with_the_gateway_as_a_parent_are_taken() {
    let cases = [
        (json!([{"name": "gw"}]), true),
        (json!([{"name": "gw", "sectionName": "http", "port": 80}]), true),
        (
            json!([{"name": "other"}, {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}]),
            true,
        ),
        (json!([{"name": "gw", "namespace": "other"}]), false),
        (json!([{"name": "gw", "kind": "Service", "group": ""}]), false),
        (json!([]), false),
        (Value::Null, false),
    ];
    for (parents, want) in cases {
        let mut route = object("r", json!([rule("a", json!({}))]));
        route["spec"]["parentRefs"] = parents.clone();
        let compiled = compile(&gateway(), [(ObjectKind::HttpRoute, &route)]);
        assert_eq!(compiled.table.routes.len(), usize::from(want), "{parents}");
        assert_eq!(compiled.served.len(), usize::from(want), "{parents}");
    }
}

#[test]
fn matching_means_what_the_gateway_api_means() {
    let path = |kind: &str, value: &str| json!({"path": {"type": kind, "value": value}});
    let x = |kind: &str, value: &str| json!({"headers": [{"type": kind, "name": "X", "value": value}]});
    let q = |kind: &str, value: &str| json!({"queryParams": [{"type": kind, "name": "q", "value": value}]});
    let twice = json!({"headers": [{"name": "X", "value": "a"}, {"name": "x", "value": "b"}]});
    let a: Headers = &[("x", "ab")];
    let cases: [(Value, &str, Headers, bool); 21] = [
        (path("PathPrefix", "/abc"), "h/abc", &[], true),
        (path("PathPrefix", "/abc"), "h/abc/def", &[], true),
        (path("PathPrefix", "/abc"), "h/abcd", &[], false),
        (path("PathPrefix", "/abc/"), "h/abc", &[], true),
        (path("PathPrefix", "/abc/"), "h/abc/", &[], true),
        (path("PathPrefix", "/"), "h/any", &[], true),
        (json!({"path": {"value": "/abc"}}), "h/abc/x", &[], true),
        (json!({}), "h/any", &[], true),
        (path("Exact", "/abc"), "h/abc/", &[], false),
        (path("Exact", "/abc"), "h/abc?q=1", &[], true),
        (path("RegularExpression", "/a.c"), "h/abc", &[], true),
        (path("RegularExpression", "/a.c"), "h/abcd", &[], false),
        (x("Exact", "ab"), "h/", a, true),
        (x("Exact", "a"), "h/", a, false),
        (x("RegularExpression", "a."), "h/", a, true),
        (x("Exact", "ab"), "h/", &[], false),
        (twice, "h/", &[("x", "a")], true),
        (q("Exact", "1"), "h/?q=1&q=2", &[], true),
        (q("Exact", "2"), "h/?q=1&q=2", &[], false),
        (q("RegularExpression", "[0-9]"), "h/?q=7", &[], true),
        (json!({"method": "POST"}), "h/", &[], false),
    ];
    for (matcher, url, headers, want) in cases {
        let compiled = http(json!([rule("a", matcher.clone())]));
        assert_eq!(compiled.rejected.len(), 0, "{matcher}");
        assert_eq!(sent(&compiled.table, "GET", url, headers).is_some(), want, "{matcher} {url}");
    }
}

#[test]
fn a_call_is_matched_by_service_and_method() {
    let method = |service: Value, method: Value| json!({"method": {"service": service, "method": method}});
    let compiled = grpc(json!([
        rule("any", json!({})),
        rule("method", method(Value::Null, json!("Call"))),
        rule("service", method(json!("a.B"), Value::Null)),
        rule("both", method(json!("a.B"), json!("Call"))),
        rule(
            "tenant",
            json!({"method": {"service": "a.B", "method": "Call"}, "headers": [{"name": "t", "value": "1"}]})
        ),
    ]));
    assert_eq!(compiled.rejected.len(), 0);
    assert!(compiled.table.routes.iter().all(|route| route.protocol == Protocol::Grpc));
    let call =
        |path: &str, more: &[(&str, &str)]| sent(&compiled.table, "POST", path, &[GRPC, more].concat());
    assert_eq!(call("h/a.B/Call", &[]).as_deref(), Some("both"));
    assert_eq!(call("h/a.B/Call", &[("t", "1")]).as_deref(), Some("tenant"));
    assert_eq!(call("h/a.B/Other", &[]).as_deref(), Some("service"));
    assert_eq!(call("h/c.D/Call", &[]).as_deref(), Some("method"));
    assert_eq!(call("h/c.D/Other", &[]).as_deref(), Some("any"));
    assert_eq!(sent(&compiled.table, "POST", "h/a.B/Call", &[]), None);
}

#[test]
fn the_more_specific_match_comes_first_whatever_the_order() {
    let path = |kind: &str, value: &str| json!({"path": {"type": kind, "value": value}});
    let mut rules = vec![
        rule("exact", path("Exact", "/shop/cart")),
        rule("longest", path("PathPrefix", "/shop/cart")),
        rule("method", json!({"path": {"value": "/shop"}, "method": "GET"})),
        rule(
            "headers",
            json!({"path": {"value": "/shop"}, "headers": [{"name": "a", "value": "1"}, {"name": "b", "value": "1"}]}),
        ),
        rule(
            "queries",
            json!({"path": {"value": "/shop"}, "headers": [{"name": "a", "value": "1"}], "queryParams": [{"name": "q", "value": "1"}]}),
        ),
        rule("header", json!({"path": {"value": "/shop"}, "headers": [{"name": "a", "value": "1"}]})),
        rule("first", path("PathPrefix", "/shop")),
        rule("second", path("PathPrefix", "/shop/")),
    ];
    let names = |rules: &[Value]| -> Vec<String> {
        let routes = http(json!(rules)).table.routes;
        routes.into_iter().map(|mut route| route.destinations.remove(0).target).collect()
    };
    let want = ["exact", "longest", "method", "headers", "queries", "header", "first", "second"];
    assert_eq!(names(&rules), want);
    rules[..7].reverse();
    assert_eq!(names(&rules), want);
}

#[test]
fn among_equal_matches_the_host_then_age_then_name_decide() {
    let route = |name: &str, hosts: Value, created: &str| {
        let mut route = object(name, json!([rule(name, json!({}))]));
        route["spec"]["hostnames"] = hosts;
        route["metadata"]["creationTimestamp"] = json!(created);
        route
    };
    let (old, new) = ("2026-11-01T09:00:00Z", "2026-11-02T08:00:00Z");
    let routes = [
        route("new-a", json!([]), new),
        route("new-b", json!([]), new),
        route("old", json!([]), old),
        route("wide", json!(["*.example.com"]), new),
        route("wider", json!(["*.com"]), old),
        route("exact", json!(["other.org", "a.example.com"]), new),
    ];
    let compiled = compile(&gateway(), routes.iter().map(|route| (ObjectKind::HttpRoute, route)));
    let names: Vec<&str> = compiled.table.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["exact", "exact", "wide", "wider", "old", "new-a", "new-b"]);
    for (url, want) in [
        ("a.example.com/", "exact"),
        ("b.example.com/", "wide"),
        ("c.b.example.com/", "wide"),
        ("example.com/", "wider"),
        ("OTHER.org/", "exact"),
        ("else.where/", "old"),
    ] {
        assert_eq!(sent(&compiled.table, "GET", url, &[]).as_deref(), Some(want), "{url}");
    }
}

#[test]
fn backends_and_what_changes_on_the_way() {
    let compiled = http(json!([{
        "matches": [{"path": {"value": "/app/"}}, {"path": {"type": "PathPrefix", "value": "/"}}],
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "x-a", "value": "1"}], "add": [{"name": "x-b", "value": "2"}], "remove": ["x-c"]}},
            {"type": "URLRewrite", "urlRewrite": {
                "hostname": "inner.example", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"}}},
        ],
        "backendRefs": [{"name": "v1", "port": 8080, "weight": 90}, {"name": "v2", "port": 8081, "weight": 0}, {"name": "v3", "port": 1}],
        "timeouts": {"request": "1m30s", "backendRequest": "500ms"},
    }]));
    assert_eq!(compiled.rejected.len(), 0);
    let [app, all] = compiled.table.routes.as_slice() else { panic!("{:?}", compiled.table) };
    let entries: Vec<_> = app.destinations.iter().map(|e| (e.service(), e.port, e.weight)).collect();
    assert_eq!(
        entries,
        [
            ("v1.default".to_owned(), Some(8080), 90),
            ("v2.default".to_owned(), Some(8081), 0),
            ("v3.default".to_owned(), Some(1), 1),
        ]
    );
    assert_eq!(app.rewrite.host, HostRewrite::Exact("inner.example".to_owned()));
    assert_eq!(app.rewrite.path.apply("/app/x"), "/v2/x");
    assert_eq!(app.rewrite.path.apply("/app/"), "/v2/");
    assert_eq!(all.rewrite.path.apply("/y"), "/v2/y");
    assert_eq!(app.timeout.per_request, Some(std::time::Duration::from_millis(500)));
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-a", "0"), ("x-b", "0"), ("x-c", "0")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    app.headers.apply(&mut headers);
    let seen: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(seen, [("x-a", "1"), ("x-b", "0"), ("x-b", "2")]);
}

#[test]
fn durations_are_the_gateway_apis() {
    let cases = [
        ("1h", Some(3_600_000)),
        ("1m30s", Some(90_000)),
        ("500ms", Some(500)),
        ("0s", Some(0)),
        ("", None),
        ("5", None),
        ("s", None),
        ("1.5s", None),
        ("-1s", None),
        ("1d", None),
    ];
    for (text, want) in cases {
        let got = crate::dataplane::settings::span(text).map(|span| span.as_millis());
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn mirrors_are_shares_of_all_requests() {
    let copies = |share: Value| {
        let mut mirror = json!({"backendRef": {"name": "m", "port": 80}});
        for (field, value) in share.as_object().unwrap() {
            mirror[field] = value.clone();
        }
        let filter = json!({"type": "RequestMirror", "requestMirror": mirror});
        let compiled = http(json!([{"filters": [filter, filter], "backendRefs": backend("a")}]));
        let mirrors = &compiled.table.routes[0].mirrors;
        assert!(mirrors.iter().all(|mirror| mirror.to.service() == "m.default" || mirror.to.target == "m"));
        mirrors.iter().map(|mirror| mirror.millionths).collect::<Vec<_>>()
    };
    assert_eq!(copies(json!({})), [1_000_000; 2]);
    assert_eq!(copies(json!({"percent": 5})), [50_000; 2]);
    assert_eq!(copies(json!({"fraction": {"numerator": 1, "denominator": 3}})), [333_333; 2]);
    assert_eq!(copies(json!({"fraction": {"numerator": 3}})), [30_000; 2]);
    assert_eq!(copies(json!({"fraction": {"numerator": 5, "denominator": 2}})), [1_000_000; 2]);
}
