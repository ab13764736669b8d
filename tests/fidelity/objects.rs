//! Valid objects of every kind, to be sent as they are or spoiled.

use serde_json::{Value, json};

/// `base` with `change` merged into it, as a merge patch would.
pub fn with(mut base: Value, change: &Value) -> Value {
    json_patch::merge(&mut base, change);
    base
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

pub fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}})
}

pub fn lease(name: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": {
        "holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2020-01-01T00:00:00.000000Z"}})
}

pub fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "c", "image": "color:1", "ports": [{"containerPort": 8080}]}]}}}})
}

pub fn stateful_set(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"set": name}}, "serviceName": name,
        "template": {"metadata": {"labels": {"set": name}}, "spec": {"containers": [
            {"name": "c", "image": "store:1", "ports": [{"containerPort": 8080}]}]}}}})
}

pub fn autoscaler(name: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "absent"}, "maxReplicas": 3}})
}

pub fn core_event(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "web", "namespace": "$NS"},
        "reason": "Tested", "message": "a test", "type": "Normal", "source": {"component": "tests"},
        "firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": "2020-01-01T00:00:00Z", "count": 1})
}

pub fn event(name: &str) -> Value {
    json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name},
        "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "name": "web", "namespace": "$NS"},
        "reason": "Tested", "note": "a test", "type": "Warning", "action": "Test",
        "eventTime": "2020-01-01T00:00:00.000000Z", "reportingController": "tests.dev/x", "reportingInstance": "x-1"})
}

pub fn widget(name: &str) -> Value {
    json!({"apiVersion": "fidelity.tidegate.dev/v1", "kind": "Widget", "metadata": {"name": name},
        "spec": {"color": "red"}})
}

pub fn rollout(name: &str) -> Value {
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": {
        "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "shop"}],
        "target": {"name": "shop-v2"}, "progressDeadline": "1h",
        "strategy": {"canary": {"hold": "5m", "steps": [{"weight": 5}, {"weight": 20, "maxHold": "20m"}]}},
        "analysis": {"series": {"preset": "tidegate-gateway"}, "errorRate": {}, "latency": [{"under": "300ms"}],
            "metrics": [{"name": "lag", "query": "lag", "max": "5"}]}}})
}

pub fn gateway_route(name: &str) -> Value {
    json!({"apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute", "metadata": {"name": name}, "spec": {
        "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [
            {"virtualServiceRef": {"name": "v1"}, "weight": 90}, {"virtualServiceRef": {"name": "v2"}, "weight": 10}]}}}})
}

/// The dialect with the wrapper `routeSpec`.
pub fn wrapped_route(name: &str) -> Value {
    json!({"apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute", "metadata": {"name": name}, "spec": {
        "gatewayRouteName": name, "virtualGatewayRef": {"name": "gw"},
        "routeSpec": {"priority": 200, "httpRoute": {"match": {"prefix": "/app"}, "action": {"targets": [
            {"virtualServiceRef": {"name": "v1.default"}, "weight": 90},
            {"virtualServiceRef": {"name": "v2.default"}, "weight": 10}]},
            "retryPolicy": {"httpRetryEvents": ["server-error"], "maxRetries": 3,
                "perTryTimeout": {"unit": "MILLIS", "value": 1000}}}}}})
}

pub fn virtual_router(name: &str) -> Value {
    json!({"apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "VirtualRouter", "metadata": {"name": name}, "spec": {
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
        "routes": [{"name": "r", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [
            {"virtualNodeRef": {"name": "v1"}, "weight": 90}, {"virtualNodeRef": {"name": "v2"}, "weight": 10}]}}}]}})
}

pub fn http_route(name: &str) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name}, "spec": {
        "parentRefs": [{"name": "gw"}],
        "rules": [{"backendRefs": [{"name": "v1", "port": 80, "weight": 90}, {"name": "v2", "port": 80, "weight": 10}]}]}})
}

pub fn grpc_route(name: &str) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute", "metadata": {"name": name}, "spec": {
        "parentRefs": [{"name": "gw"}],
        "rules": [{"matches": [{"method": {"service": "shop", "method": "Buy"}}],
            "backendRefs": [{"name": "v1", "port": 80, "weight": 1}]}]}})
}
