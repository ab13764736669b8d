//! The kinds of random sequences, and how their objects are changed and spoiled.

use serde_json::Value;

use crate::objects::{
    autoscaler, config_map, core_event, deployment, event, gateway_route, grpc_route, http_route, lease,
    rollout, service, stateful_set, virtual_router, widget, wrapped_route,
};
use crate::step::{
    AUTOSCALERS, CONFIG_MAPS, CORE_EVENTS, DEPLOYMENTS, EVENTS, GATEWAY_ROUTES, GRPC_ROUTES, HTTP_ROUTES,
    LEASES, ROLLOUTS, SERVICES, STATEFUL_SETS, VIRTUAL_ROUTERS, WIDGETS,
};

/// A kind with what its objects look like and how they are spoiled.
pub struct Kind {
    pub path: &'static str,
    pub make: fn(&str) -> Value,
    pub changes: &'static [&'static str],
}

pub const KINDS: [Kind; 15] = [
    Kind {
        path: WIDGETS,
        make: widget,
        changes: &[
            r#"{"spec": {"color": "green", "replicas": 3}}"#,
            r#"{"spec": {"color": "blue"}}"#,
            r#"{"spec": {"items": [{"name": "x", "weight": 5}, {"name": "y"}], "tags": ["t"]}}"#,
            r#"{"spec": {"items": [{"name": "x", "weight": 4}]}}"#,
            r#"{"spec": {"fixed": "one"}}"#,
            r#"{"spec": {"fixed": "two"}}"#,
            r#"{"spec": {"nested": {"depth": null, "flag": true}, "mode": null}}"#,
            r#"{"spec": {"raw": {"any": [1, {"thing": null}]}, "labels": {"k": "v"}}}"#,
            r#"{"spec": {"range": {"low": 3, "high": 2}, "port": 1.5}}"#,
            r#"{"spec": {"choice": {"a": "x"}, "either": {"a": 7}}}"#,
            r#"{"spec": {"replicas": -1}, "extra": 1}"#,
        ],
    },
    Kind {
        path: ROLLOUTS,
        make: rollout,
        changes: &[
            r#"{"spec": {"suspend": true}}"#,
            r#"{"spec": {"target": {"name": "shop-v3"}}}"#,
            r#"{"spec": {"strategy": {"canary": {"steps": [{"weight": 10}, {"weight": 50, "hold": "1m"}]}}}}"#,
            r#"{"spec": {"strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 10}]}}}}"#,
            r#"{"spec": {"analysis": {"interval": "1ms"}}}"#,
            r#"{"spec": {"analysis": null, "progressDeadline": null}}"#,
            r#"{"spec": {"routes": []}}"#,
        ],
    },
    Kind {
        path: GATEWAY_ROUTES,
        make: gateway_route,
        changes: &[
            r#"{"spec": {"httpRoute": {"match": {"prefix": "/x"}}}}"#,
            r#"{"spec": {"httpRoute": {"action": {"weightedTargets": [{"virtualServiceRef": {"name": "v1"}, "weight": 1}]}}}}"#,
            r#"{"spec": {"httpRoute": {"action": {"weightedTargets": [{"weight": -1}]}}}}"#,
            r#"{"spec": {"priority": 5, "nonsense": 1}}"#,
            r#"{"spec": {"httpRoute": null}}"#,
        ],
    },
    Kind {
        path: GATEWAY_ROUTES,
        make: wrapped_route,
        changes: &[
            r#"{"spec": {"routeSpec": {"priority": 3}}}"#,
            r#"{"spec": {"routeSpec": {"httpRoute": {"action": {"targets": [{"virtualServiceRef": "x", "weight": 1}]}}}}}"#,
            r#"{"spec": {"virtualGatewayRef": null}}"#,
        ],
    },
    Kind {
        path: VIRTUAL_ROUTERS,
        make: virtual_router,
        changes: &[
            r#"{"spec": {"routes": [{"name": "r", "priority": 1}]}}"#,
            r#"{"spec": {"routes": [{"name": "r"}, {"name": "r"}]}}"#,
            r#"{"spec": {"listeners": [{"portMapping": {"port": 99999, "protocol": "http"}}]}}"#,
        ],
    },
    Kind {
        path: HTTP_ROUTES,
        make: http_route,
        changes: &[
            r#"{"spec": {"hostnames": ["example.com"]}}"#,
            r#"{"spec": {"rules": [{"backendRefs": [{"name": "v1", "port": 80, "weight": 50}]}]}}"#,
            r#"{"spec": {"rules": [{"backendRefs": [{"name": "v1"}]}]}}"#,
            r#"{"spec": {"rules": [{"matches": [{"path": {"value": "bad"}}]}]}}"#,
            r#"{"spec": {"rules": null}}"#,
        ],
    },
    Kind {
        path: GRPC_ROUTES,
        make: grpc_route,
        changes: &[
            r#"{"spec": {"hostnames": ["example.com"]}}"#,
            r#"{"spec": {"rules": [{"matches": [{"method": {}}]}]}}"#,
            r#"{"spec": {"rules": [{}]}}"#,
        ],
    },
    Kind {
        path: CONFIG_MAPS,
        make: config_map,
        changes: &[
            r#"{"data": {"a": "2", "b": "x"}}"#,
            r#"{"data": {"a": null}}"#,
            r#"{"data": {"bad key": "x"}}"#,
            r#"{"data": {"a": 1}}"#,
            r#"{"binaryData": {"c": "YQ=="}}"#,
            r#"{"immutable": true}"#,
        ],
    },
    Kind {
        path: SERVICES,
        make: service,
        changes: &[
            r#"{"spec": {"ports": [{"port": 81}]}}"#,
            r#"{"spec": {"ports": [{"port": 0}]}}"#,
            r#"{"spec": {"selector": {"b": "c"}}}"#,
            r#"{"spec": {"sessionAffinity": "ClientIP"}}"#,
        ],
    },
    Kind {
        path: DEPLOYMENTS,
        make: deployment,
        changes: &[
            r#"{"spec": {"replicas": 0}}"#,
            r#"{"spec": {"replicas": 3}}"#,
            r#"{"spec": {"replicas": -1}}"#,
            r#"{"spec": {"template": {"metadata": {"annotations": {"tests.dev/n": "1"}}}}}"#,
            r#"{"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "color:2"}]}}}}"#,
            r#"{"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}"#,
            r#"{"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}"#,
            r#"{"spec": {"selector": {"matchLabels": {"app": "other"}}}}"#,
            r#"{"spec": {"revisionHistoryLimit": 3, "nonsense": 1}}"#,
        ],
    },
    Kind {
        path: STATEFUL_SETS,
        make: stateful_set,
        changes: &[
            r#"{"spec": {"replicas": 0}}"#,
            r#"{"spec": {"replicas": 2}}"#,
            r#"{"spec": {"replicas": -1}}"#,
            r#"{"spec": {"template": {"metadata": {"annotations": {"tests.dev/n": "1"}}}}}"#,
            r#"{"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "store:2"}]}}}}"#,
            r#"{"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}}"#,
            r#"{"spec": {"serviceName": "other"}}"#,
            r#"{"spec": {"podManagementPolicy": "Parallel"}}"#,
            r#"{"spec": {"selector": {"matchLabels": {"set": "other"}}}}"#,
            r#"{"spec": {"minReadySeconds": -1, "nonsense": 1}}"#,
        ],
    },
    Kind {
        path: AUTOSCALERS,
        make: autoscaler,
        changes: &[
            r#"{"spec": {"maxReplicas": 5}}"#,
            r#"{"spec": {"minReplicas": 4}}"#,
            r#"{"spec": {"minReplicas": null, "maxReplicas": 0}}"#,
            r#"{"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}"#,
            r#"{"spec": {"behavior": null, "metrics": null}}"#,
            r#"{"spec": {"scaleTargetRef": {"name": "other"}}}"#,
            r#"{"spec": {"scaleTargetRef": {"apiVersion": "v1"}}}"#,
            r#"{"spec": {"metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "2"}}}]}}"#,
            r#"{"spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]}}"#,
            r#"{"spec": {"maxReplicas": 4, "nonsense": 1}}"#,
        ],
    },
    Kind {
        path: LEASES,
        make: lease,
        changes: &[
            r#"{"spec": {"holderIdentity": "you", "leaseTransitions": 1}}"#,
            r#"{"spec": {"leaseDurationSeconds": 0}}"#,
            r#"{"spec": {"renewTime": "2020-01-01T00:00:09.000000Z"}}"#,
            r#"{"spec": {"renewTime": "soon"}}"#,
        ],
    },
    Kind {
        path: CORE_EVENTS,
        make: core_event,
        changes: &[r#"{"count": 2}"#, r#"{"message": "other"}"#, r#"{"type": "Odd"}"#],
    },
    Kind {
        path: EVENTS,
        make: event,
        changes: &[
            r#"{"series": {"count": 2, "lastObservedTime": "2020-01-01T00:00:00.000000Z"}}"#,
            r#"{"note": "other"}"#,
            r#"{"action": null}"#,
        ],
    },
];

/// Changes of metadata, which are the same for every kind.
pub const METADATA_CHANGES: [&str; 12] = [
    r#"{"metadata": {"labels": {"x": "1"}}}"#,
    r#"{"metadata": {"labels": {"x": "2", "y": "3"}}}"#,
    r#"{"metadata": {"labels": null}}"#,
    r#"{"metadata": {"labels": {"bad key": "1"}}}"#,
    r#"{"metadata": {"annotations": {"tests.dev/n": "1"}}}"#,
    r#"{"metadata": {"annotations": {"tests.dev/n": null}}}"#,
    r#"{"metadata": {"finalizers": ["tests.dev/hold"]}}"#,
    r#"{"metadata": {"finalizers": null}}"#,
    r#"{"metadata": {"generation": 7, "uid": "other"}}"#,
    r#"{"metadata": {"odd": 1}}"#,
    r#"{"metadata": {"name": "other"}}"#,
    "{}",
];
