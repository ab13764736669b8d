//! Built-in kinds but workloads: defaults, types, and the rules of their own.

use serde_json::json;

use super::variants;
use crate::compare::{Script, script};
use crate::objects::{config_map, core_event, event, lease, service, with};
use crate::step::{
    CONFIG_MAPS, CORE_EVENTS, EVENTS, LEASES, SERVICES, delete, get, json_patch, merge, post, put,
};

pub fn scripts() -> Vec<Script> {
    vec![
        config_map_values(),
        immutable_config_map(),
        service_values(),
        service_writes(),
        lease_values(),
        lease_renewal(),
        core_event_values(),
        event_values(),
        both_groups(),
    ]
}

fn config_map_values() -> Script {
    script(
        "config map values",
        variants(
            CONFIG_MAPS,
            &config_map("a"),
            vec![
                json!({"data": {"a b": "x"}}),
                json!({"data": {"..": "x"}}),
                json!({"data": {"": "x"}}),
                json!({"data": {"a": null}}),
                json!({"data": null}),
                json!({"binaryData": {"b": "YQ=="}}),
                json!({"binaryData": {"a": "YQ=="}}),
                json!({"binaryData": {"b": "not base64"}}),
                json!({"immutable": true}),
                json!({"data": {"x".repeat(254): "x"}}),
                json!({"status": {}}),
            ],
        ),
    )
}

fn immutable_config_map() -> Script {
    script(
        "an immutable config map",
        vec![
            post(CONFIG_MAPS, &with(config_map("a"), &json!({"immutable": true}))),
            merge(format!("{CONFIG_MAPS}/a"), &json!({"data": {"a": "2"}})),
            merge(format!("{CONFIG_MAPS}/a"), &json!({"immutable": null})),
            merge(format!("{CONFIG_MAPS}/a"), &json!({"metadata": {"labels": {"x": "y"}}})),
        ],
    )
}

fn service_values() -> Script {
    script(
        "service values",
        variants(
            SERVICES,
            &service("a"),
            vec![
                json!({}),
                json!({"spec": {"clusterIP": "None"}}),
                json!({"spec": {"ports": null}}),
                json!({"spec": {"ports": []}}),
                json!({"spec": {"ports": [{"port": 0}]}}),
                json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}}),
                json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}}),
                json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}}),
                json!({"spec": {"ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}]}}),
                json!({"spec": {"ports": [{"port": 80, "protocol": "X"}]}}),
                json!({"spec": {"type": "Nonsense"}}),
                json!({"spec": {"type": "ExternalName", "externalName": "a.b", "ports": null}}),
                json!({"spec": {"type": "ExternalName"}}),
                json!({"spec": {"sessionAffinity": "ClientIP"}}),
                json!({"spec": {"ports": [{"name": "Bad Name", "port": 80}]}}),
                json!({"spec": null}),
                json!({"metadata": {"name": "1abc"}}),
                json!({"metadata": {"name": "a.b"}}),
                json!({"spec": {"clusterIP": "nonsense"}}),
                json!({"spec": {"selector": {"a": "b c"}}}),
            ],
        ),
    )
}

fn service_writes() -> Script {
    script(
        "a service",
        vec![
            post(
                SERVICES,
                &with(service("a"), &json!({"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}})),
            ),
            merge(format!("{SERVICES}/a"), &json!({"spec": {"ports": [{"port": 81}]}})),
            merge(format!("{SERVICES}/a"), &json!({"spec": {"clusterIP": "10.96.0.77"}})),
            merge(format!("{SERVICES}/a"), &json!({"spec": {"selector": {"b": "c"}}})),
            merge(
                format!("{SERVICES}/a/status"),
                &json!({"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
            ),
            put(format!("{SERVICES}/a"), &service("a")),
            put(
                format!("{SERVICES}/a"),
                &with(service("a"), &json!({"metadata": {"resourceVersion": "$rv(a)"}})),
            ),
            delete(format!("{SERVICES}/a")),
        ],
    )
}

fn lease_values() -> Script {
    script(
        "lease values",
        variants(
            LEASES,
            &lease("a"),
            vec![
                json!({}),
                json!({"spec": null}),
                json!({"spec": {"leaseDurationSeconds": 0}}),
                json!({"spec": {"leaseTransitions": -1}}),
                json!({"spec": {"renewTime": "yesterday"}}),
                json!({"spec": {"renewTime": "2020-01-01T00:00:00Z"}}),
                json!({"spec": {"holderIdentity": null}}),
                json!({"spec": {"holderIdentity": ""}}),
                json!({"spec": {"leaseDurationSeconds": "15"}}),
            ],
        ),
    )
}

fn lease_renewal() -> Script {
    script(
        "a lease is renewed",
        vec![
            post(LEASES, &lease("a")),
            put(
                format!("{LEASES}/a"),
                &with(
                    lease("a"),
                    &json!({"metadata": {"resourceVersion": "$rv(a)"}, "spec": {"holderIdentity": "you", "leaseTransitions": 1}}),
                ),
            ),
            put(
                format!("{LEASES}/a"),
                &with(lease("a"), &json!({"metadata": {"resourceVersion": "$oldrv(a)"}})),
            ),
            merge(
                format!("{LEASES}/a"),
                &json!({"metadata": {"resourceVersion": "$rv(a)"}, "spec": {"renewTime": "2020-01-01T00:00:05.123456Z"}}),
            ),
            put(format!("{LEASES}/b"), &lease("b")),
            put(format!("{LEASES}/b"), &with(lease("b"), &json!({"metadata": {"resourceVersion": "5"}}))),
            delete(format!("{LEASES}/b")),
        ],
    )
}

fn core_event_values() -> Script {
    script(
        "core event values",
        variants(
            CORE_EVENTS,
            &core_event("a"),
            vec![
                json!({}),
                json!({"involvedObject": {"namespace": "other"}}),
                json!({"involvedObject": null}),
                json!({"type": "Nonsense"}),
                json!({"count": "x"}),
                json!({"message": "m".repeat(1025)}),
                json!({"firstTimestamp": "x"}),
                json!({"eventTime": "2020-01-01T00:00:00.000000Z"}),
                json!({"reportingComponent": "tests.dev/x", "reportingInstance": "i", "action": "a", "eventTime": "2020-01-01T00:00:00.000000Z"}),
            ],
        ),
    )
}

fn event_values() -> Script {
    script(
        "event values",
        variants(
            EVENTS,
            &event("a"),
            vec![
                json!({}),
                json!({"eventTime": null}),
                json!({"reportingController": null}),
                json!({"reportingInstance": null}),
                json!({"reportingController": "a b"}),
                json!({"action": null}),
                json!({"reason": null}),
                json!({"type": "Nonsense"}),
                json!({"note": "n".repeat(1025)}),
                json!({"regarding": {"namespace": "other"}}),
                json!({"deprecatedCount": 1}),
                json!({"deprecatedSource": {"component": "x"}}),
                json!({"series": {"count": 1, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}),
                json!({"series": {"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}),
                json!({"action": "a".repeat(129)}),
            ],
        ),
    )
}

fn both_groups() -> Script {
    script(
        "events in both groups",
        vec![
            post(EVENTS, &event("new")),
            post(CORE_EVENTS, &core_event("old")),
            get(format!("{CORE_EVENTS}/new")),
            get(format!("{EVENTS}/old")),
            get(format!("{CORE_EVENTS}?fieldSelector=involvedObject.name%3Dweb")),
            get(format!("{CORE_EVENTS}?fieldSelector=involvedObject.name%3Dweb,type%3DWarning")),
            get(format!("{CORE_EVENTS}?fieldSelector=involvedObject.nonsense%3Dweb")),
            get(format!("{EVENTS}?fieldSelector=regarding.name%3Dweb")),
            get(format!("{EVENTS}?fieldSelector=reportingController%3Dtests.dev/x")),
            get(format!("{CORE_EVENTS}?fieldSelector=reason%3DTested,source%3Dtests")),
            json_patch(
                format!("{EVENTS}/new"),
                &json!([{"op": "add", "path": "/series", "value": {"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}]),
            ),
            merge(
                format!("{EVENTS}/new"),
                &json!({"series": {"count": 3, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}),
            ),
            merge(format!("{EVENTS}/new"), &json!({"note": "other"})),
            merge(format!("{EVENTS}/new"), &json!({"reason": "Other"})),
            merge(format!("{CORE_EVENTS}/old"), &json!({"message": "other", "count": 2})),
            delete(format!("{CORE_EVENTS}/new")),
            get(format!("{EVENTS}/new")),
        ],
    )
}
