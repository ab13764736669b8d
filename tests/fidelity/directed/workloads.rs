//! Workloads and what scales them: defaults, types, and the rules of their own.

use serde_json::{Value, json};

use super::variants;
use crate::compare::{Script, script};
use crate::objects::{autoscaler, deployment, stateful_set, with};
use crate::step::{
    AUTOSCALERS, DEPLOYMENTS, STATEFUL_SETS, TABLE, delete, get, json_patch, merge, post, put,
};

pub fn scripts() -> Vec<Script> {
    vec![
        script("deployment values", variants(DEPLOYMENTS, &deployment("a"), deployment_values())),
        no_replicas(),
        script("stateful set values", variants(STATEFUL_SETS, &stateful_set("a"), stateful_set_values())),
        stateful_set_writes(),
        stateful_set_life(),
        script("autoscaler values", variants(AUTOSCALERS, &autoscaler("a"), autoscaler_values())),
        script("autoscaler metrics", variants(AUTOSCALERS, &autoscaler("a"), autoscaler_metrics())),
        autoscaler_writes(),
    ]
}

fn no_replicas() -> Script {
    script(
        "a deployment without replicas",
        vec![
            post(
                format!("{DEPLOYMENTS}?dryRun=All"),
                &with(deployment("a"), &json!({"spec": {"replicas": 0}, "status": {"replicas": 3}})),
            ),
            get(format!("{DEPLOYMENTS}/a/scale")),
            get(format!("{DEPLOYMENTS}/a/status")),
        ],
    )
}

fn deployment_values() -> Vec<Value> {
    let container = |change: Value| {
        let container = with(json!({"name": "c", "image": "color:1"}), &change);
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    };
    vec![
        json!({}),
        json!({"spec": {"replicas": 3}}),
        json!({"spec": {"replicas": -1}}),
        json!({"spec": {"replicas": "3"}}),
        json!({"spec": {"selector": null}}),
        json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
        json!({"spec": {"selector": {"matchLabels": null}}}),
        json!({"spec": {"template": null}}),
        json!({"spec": null}),
        json!({"spec": {"template": {"spec": {"containers": []}}}}),
        json!({"spec": {"template": {"spec": {"containers": null}}}}),
        container(json!({"image": null})),
        container(json!({"image": ""})),
        container(json!({"name": null})),
        container(json!({"name": "Bad"})),
        container(json!({"image": "color"})),
        container(json!({"image": "color:latest"})),
        container(json!({"ports": [{"containerPort": 0}]})),
        container(json!({"ports": [{"containerPort": 80, "protocol": "X"}]})),
        container(json!({"env": [{"name": "A", "value": "b"}]})),
        container(json!({"resources": {"limits": {"cpu": "1"}}})),
        container(json!({"resources": {"limits": {"cpu": "x"}}})),
        container(json!({"imagePullPolicy": "Nonsense"})),
        container(json!({"readinessProbe": {"httpGet": {"port": 80}}})),
        container(json!({"args": ["-v"], "command": ["/c"]})),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"strategy": {"type": "Nonsense"}}}),
        json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
        json!({"spec": {"template": {"spec": {"nonsense": 1}}}}),
        json!({"spec": {"minReadySeconds": 5, "revisionHistoryLimit": 2, "progressDeadlineSeconds": 3}}),
        json!({"spec": {"progressDeadlineSeconds": 5, "minReadySeconds": 5}}),
        json!({"spec": {"template": {"spec": {"serviceAccountName": "x", "terminationGracePeriodSeconds": 5}}}}),
        json!({"spec": {"paused": true}}),
    ]
}

fn stateful_set_values() -> Vec<Value> {
    let claim = |change: Value| {
        let claim = json!({"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        json!({"spec": {"volumeClaimTemplates": [with(claim, &change)]}})
    };
    let rolling = |rolling: Value| json!({"spec": {"updateStrategy": {"rollingUpdate": rolling}}});
    vec![
        json!({}),
        json!({"spec": {"replicas": 3}}),
        json!({"spec": {"replicas": -1}}),
        json!({"spec": {"replicas": "3"}}),
        json!({"spec": {"selector": null}}),
        json!({"spec": {"selector": {"matchLabels": {"set": "other"}}}}),
        json!({"spec": {"selector": {"matchLabels": null}}}),
        json!({"spec": {"template": null}}),
        json!({"spec": null}),
        json!({"spec": {"template": {"spec": {"containers": null}}}}),
        json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
        json!({"spec": {"template": {"spec": {"activeDeadlineSeconds": 5}}}}),
        json!({"spec": {"serviceName": null}}),
        json!({"spec": {"serviceName": ""}}),
        json!({"spec": {"serviceName": "Not_A_Name"}}),
        json!({"spec": {"podManagementPolicy": "Parallel"}}),
        json!({"spec": {"podManagementPolicy": ""}}),
        json!({"spec": {"podManagementPolicy": "Nonsense"}}),
        json!({"spec": {"updateStrategy": {}}}),
        json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
        json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
        json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}}),
        json!({"spec": {"updateStrategy": {"type": "Nonsense"}}}),
        json!({"spec": {"updateStrategy": {"type": "Recreate"}}}),
        rolling(json!({})),
        rolling(json!({"partition": 2})),
        rolling(json!({"partition": -1})),
        rolling(json!({"maxUnavailable": 2})),
        rolling(json!({"maxUnavailable": 0})),
        rolling(json!({"maxUnavailable": -1})),
        rolling(json!({"maxUnavailable": "50%"})),
        rolling(json!({"maxUnavailable": "0%"})),
        rolling(json!({"maxUnavailable": "101%"})),
        rolling(json!({"maxUnavailable": "half"})),
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}),
        json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Nonsense"}}}),
        json!({"spec": {"ordinals": {"start": 2}}}),
        json!({"spec": {"ordinals": {"start": -2}}}),
        json!({"spec": {"minReadySeconds": 5, "revisionHistoryLimit": 2}}),
        json!({"spec": {"minReadySeconds": -5}}),
        claim(json!({})),
        claim(json!({"spec": {"accessModes": null}})),
        claim(json!({"spec": {"resources": null}})),
        claim(json!({"spec": null})),
        json!({"metadata": {"name": "a.b"}}),
        json!({"metadata": {"name": "Upper"}}),
        json!({"status": {"replicas": 3}, "nonsense": 1}),
    ]
}

/// What an update may change: asked of a set without replicas, and never stored.
fn stateful_set_writes() -> Script {
    let one = format!("{STATEFUL_SETS}/a");
    let mut steps = vec![
        post(STATEFUL_SETS, &with(stateful_set("a"), &json!({"spec": {"replicas": 0}}))),
        get(&one).until_settled(),
        get(format!("{one}/scale")),
        get(format!("{one}/status")),
    ];
    for change in [
        json!({"replicas": 3}),
        json!({"template": {"spec": {"containers": [{"name": "c", "image": "store:2"}]}}}),
        json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}}),
        json!({"minReadySeconds": 3, "revisionHistoryLimit": 1, "ordinals": {"start": 1}}),
        json!({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}),
        json!({"serviceName": "other"}),
        json!({"serviceName": "Not_A_Name"}),
        json!({"podManagementPolicy": "Parallel"}),
        json!({"selector": {"matchLabels": {"set": "other"}}}),
        json!({"selector": null}),
        json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}),
        json!({"template": {"metadata": {"labels": {"set": "other"}}}}),
    ] {
        steps.push(merge(format!("{one}?dryRun=All"), &json!({"spec": change})));
    }
    for status in [
        json!({"replicas": 2, "readyReplicas": 1}),
        json!({"replicas": 1, "currentReplicas": 2}),
        json!({"replicas": -1}),
        json!({"collisionCount": null}),
        Value::Null,
    ] {
        steps.push(merge(format!("{one}/status?dryRun=All"), &json!({"status": status})));
    }
    let labels =
        json!({"metadata": {"labels": {"x": "1"}}, "spec": {"replicas": 5}, "status": {"replicas": 2}});
    steps.push(merge(format!("{one}/status?dryRun=All"), &labels));
    steps.push(put(format!("{one}?dryRun=All"), &stateful_set("a")));
    steps.push(put(format!("{STATEFUL_SETS}/b?dryRun=All"), &stateful_set("b")));
    script("a stateful set without replicas", steps)
}

fn stateful_set_life() -> Script {
    let one = format!("{STATEFUL_SETS}/a");
    script(
        "a stateful set",
        vec![
            post(STATEFUL_SETS, &stateful_set("a")),
            get(&one).until_settled(),
            merge(format!("{one}/scale"), &json!({"spec": {"replicas": 2}})),
            get(&one).until_settled(),
            get(format!("{one}/scale")),
            json_patch(
                &one,
                &json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "store:2"}]),
            ),
            get(&one).until_settled(),
            get(STATEFUL_SETS).accept(TABLE),
            merge(&one, &json!({"metadata": {"annotations": {"tests.dev/n": "1"}}})),
            get(&one).until_settled(),
            delete(&one),
            get(&one).until(404),
        ],
    )
}

fn autoscaler_values() -> Vec<Value> {
    let behavior = |behavior: Value| json!({"spec": {"behavior": behavior}});
    let policy = |policy: Value| json!({"spec": {"behavior": {"scaleUp": {"policies": [policy]}}}});
    vec![
        json!({}),
        json!({"spec": null}),
        json!({"spec": {"maxReplicas": null}}),
        json!({"spec": {"maxReplicas": 0}}),
        json!({"spec": {"maxReplicas": -1}}),
        json!({"spec": {"maxReplicas": "3"}}),
        json!({"spec": {"minReplicas": 3}}),
        json!({"spec": {"minReplicas": 4}}),
        json!({"spec": {"minReplicas": 0}}),
        json!({"spec": {"minReplicas": -1}}),
        json!({"spec": {"scaleTargetRef": null}}),
        json!({"spec": {"scaleTargetRef": {"kind": null}}}),
        json!({"spec": {"scaleTargetRef": {"kind": "", "name": ""}}}),
        json!({"spec": {"scaleTargetRef": {"kind": "a/b", "name": "a%b"}}}),
        json!({"spec": {"scaleTargetRef": {"kind": ".", "name": ".."}}}),
        json!({"spec": {"scaleTargetRef": {"apiVersion": null}}}),
        json!({"spec": {"scaleTargetRef": {"apiVersion": "v1"}}}),
        json!({"spec": {"scaleTargetRef": {"apiVersion": "a/b/c"}}}),
        json!({"spec": {"scaleTargetRef": {"apiVersion": "/v1"}}}),
        json!({"spec": {"scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController"}}}),
        json!({"spec": {"metrics": []}}),
        behavior(json!({})),
        behavior(json!({"scaleUp": {}})),
        behavior(json!({"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Disabled"}})),
        behavior(json!({"scaleDown": {"stabilizationWindowSeconds": -1}})),
        behavior(json!({"scaleUp": {"stabilizationWindowSeconds": 3601}})),
        behavior(json!({"scaleUp": {"selectPolicy": "Nonsense"}})),
        behavior(json!({"scaleUp": {"policies": []}})),
        behavior(json!({"scaleUp": {"tolerance": "50m"}})),
        behavior(json!({"scaleUp": {"tolerance": "-1"}})),
        behavior(json!({"scaleUp": {"tolerance": "x"}})),
        policy(json!({"type": "Pods", "value": 2, "periodSeconds": 30})),
        policy(json!({"type": "Pods", "value": 0, "periodSeconds": 0})),
        policy(json!({"type": "Nonsense", "value": 1, "periodSeconds": 1801})),
        policy(json!({"value": 1, "periodSeconds": 5})),
        policy(json!({})),
        json!({"metadata": {"name": "a.b"}}),
        json!({"metadata": {"name": "Upper"}}),
        json!({"status": {"desiredReplicas": 3}, "nonsense": 1}),
    ]
}

fn autoscaler_metrics() -> Vec<Value> {
    let cpu = json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let queue = json!({"type": "External", "external": {
        "metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "30"}}});
    let pods = json!({"type": "Pods", "pods": {
        "metric": {"name": "calls"}, "target": {"type": "AverageValue", "averageValue": "2"}}});
    let route = json!({"type": "Object", "object": {
        "describedObject": {"kind": "Service", "name": "web"}, "metric": {"name": "calls"},
        "target": {"type": "Value", "value": "100"}}});
    let sidecar = json!({"type": "ContainerResource", "containerResource": {
        "name": "memory", "container": "c", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
    let changed = |metric: &Value, change: Value| json!([with(metric.clone(), &change)]);
    [
        json!([cpu, queue, pods, route, sidecar]),
        json!([{}]),
        json!([{"type": "Nonsense"}]),
        json!([{"type": "Pods"}]),
        changed(&cpu, json!({"type": "Pods"})),
        changed(&cpu, json!({"pods": pods["pods"]})),
        changed(&cpu, json!({"resource": {"name": null}})),
        changed(&cpu, json!({"resource": {"target": null}})),
        changed(&cpu, json!({"resource": {"target": {"type": "Nonsense"}}})),
        changed(&cpu, json!({"resource": {"target": {"averageUtilization": 0}}})),
        changed(&cpu, json!({"resource": {"target": {"averageUtilization": null}}})),
        changed(&cpu, json!({"resource": {"target": {"averageValue": "1"}}})),
        changed(&cpu, json!({"resource": {"target": {"averageValue": "x"}}})),
        changed(&sidecar, json!({"containerResource": {"container": null}})),
        changed(&sidecar, json!({"containerResource": {"container": "Not_A_Name"}})),
        changed(&queue, json!({"external": {"metric": null}})),
        changed(&queue, json!({"external": {"metric": {"name": "a/b"}}})),
        changed(&queue, json!({"external": {"target": {"value": "3"}}})),
        changed(&queue, json!({"external": {"target": {"averageValue": null}}})),
        changed(&queue, json!({"external": {"target": {"averageValue": "0"}}})),
        changed(&queue, json!({"external": {"target": {"averageValue": "-2"}}})),
        changed(&pods, json!({"pods": {"target": {"averageValue": null}}})),
        changed(&route, json!({"object": {"describedObject": null}})),
        changed(&route, json!({"object": {"describedObject": {"apiVersion": "a/b/c"}}})),
        changed(&route, json!({"object": {"target": {"value": null}}})),
    ]
    .into_iter()
    .map(|metrics| json!({"spec": {"metrics": metrics}}))
    .chain([json!({"spec": {"minReplicas": 0, "metrics": [queue]}})])
    .collect()
}

fn autoscaler_writes() -> Script {
    let one = format!("{AUTOSCALERS}/a");
    script(
        "an autoscaler",
        vec![
            post(AUTOSCALERS, &autoscaler("a")),
            get(&one).until_settled(),
            get(AUTOSCALERS).accept(TABLE),
            merge(&one, &json!({"spec": {"maxReplicas": 5}})),
            merge(&one, &json!({"spec": {"maxReplicas": 5}})),
            merge(&one, &json!({"spec": {"minReplicas": 6}})),
            merge(&one, &json!({"spec": {"scaleTargetRef": {"apiVersion": "v1"}}})),
            merge(&one, &json!({"spec": {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}})),
            merge(&one, &json!({"spec": {"behavior": null}, "status": {"desiredReplicas": 7}})),
            merge(format!("{one}/status"), &json!({"status": {"currentReplicas": 2, "desiredReplicas": 3}})),
            merge(format!("{one}/status"), &json!({"status": {"currentReplicas": -2}})),
            merge(
                format!("{one}/status"),
                &json!({"metadata": {"labels": {"s": "1"}}, "spec": {"maxReplicas": 9}}),
            ),
            merge(
                format!("{one}/status"),
                &json!({"status": {"currentMetrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "current": {"averageUtilization": 12}}}]}}),
            ),
            get(&one).accept(TABLE),
            merge(format!("{one}/status?dryRun=All"), &json!({"status": null})),
            get(format!("{one}/scale")),
            put(&one, &autoscaler("a")),
            put(&one, &with(autoscaler("a"), &json!({"metadata": {"resourceVersion": "$oldrv(a)"}}))),
            put(format!("{AUTOSCALERS}/b"), &autoscaler("b")),
            delete(&one),
        ],
    )
}
