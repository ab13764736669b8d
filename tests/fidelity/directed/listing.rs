//! Lists: selectors, pages, versions, tables, metadata only.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{
    autoscaler, config_map, deployment, gateway_route, http_route, lease, rollout, service, stateful_set,
    virtual_router, widget, with,
};
use crate::step::{
    AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, GATEWAY_ROUTES, HTTP_ROUTES, LEASES, METADATA, METADATA_LIST,
    ROLLOUTS, SERVICES, STATEFUL_SETS, Step, TABLE, VIRTUAL_ROUTERS, WIDGETS, get, merge, post,
};

pub fn scripts() -> Vec<Script> {
    vec![selectors(), pages(), versions(), tables(), tables_of_kinds(), forms()]
}

fn three() -> Vec<Step> {
    let labelled = |name: &str, color: &str, labels| {
        post(
            WIDGETS,
            &with(
                widget(name),
                &json!({"metadata": {"labels": labels}, "spec": {"color": color, "replicas": 2}}),
            ),
        )
    };
    vec![
        labelled("a", "red", json!({"x": "1", "y": "2"})),
        labelled("b", "green", json!({"x": "2"})),
        labelled("c", "blue", json!({"x": "", "tests.dev/z": "3"})),
    ]
}

fn selectors() -> Script {
    let mut steps = three();
    for selector in [
        "x=1",
        "x==1",
        "x!=1",
        "x",
        "!x",
        "x in (1,2)",
        "x notin (1,2)",
        "x in (1)",
        "x in ()",
        "x=",
        "x in (,1)",
        "x,y",
        "x=1,y=2",
        "x=1,",
        ",",
        "x=1,,y=2",
        "x = 1",
        " x",
        "tests.dev/z=3",
        "tests.dev/z",
        "x>0",
        "x<2",
        "x>a",
        "=1",
        "x=1=2",
        "x in 1",
        "x in (1",
        "in in (in)",
        "!x=1",
        "x notin",
        "a b",
        "-x",
        "x=_",
        "X Y in (1)",
        "x=v/w",
        "y!=2,x",
        "absent!=1",
    ] {
        steps.push(get(format!("{WIDGETS}?labelSelector={}", encode(selector))));
    }
    for selector in [
        "metadata.name=a",
        "metadata.name!=a",
        "metadata.name==b",
        "metadata.name=a,metadata.namespace=$NS",
        "metadata.namespace=other",
        "spec.color=red",
        "spec.color!=red",
        "spec.color=",
        "spec.replicas=2",
        "nonsense=1",
        "metadata.name",
        "metadata.name=",
        "=a",
        "metadata.name=a,",
        ",",
        "metadata.name in (a)",
        "metadata.uid=x",
        "metadata.name=a\\,b",
        "metadata.name = a",
        "status.phase=x",
    ] {
        steps.push(get(format!("{WIDGETS}?fieldSelector={}", encode(selector))));
    }
    for selector in ["metadata.name=a", "data.a=1", "type=x", "metadata.labels=x"] {
        steps.push(get(format!("{CONFIG_MAPS}?fieldSelector={}", encode(selector))));
    }
    for selector in ["spec.type=ClusterIP", "spec.clusterIP=None", "status.phase=x"] {
        steps.push(get(format!("{SERVICES}?fieldSelector={}", encode(selector))));
    }
    steps.push(get("/api/v1/namespaces?fieldSelector=status.phase%3DNonsense"));
    steps.push(get("/api/v1/namespaces?fieldSelector=metadata.name%3D$NS"));
    steps.push(get(format!("{WIDGETS}/a?labelSelector=x%3D9")));
    script("selectors", steps)
}

fn pages() -> Script {
    let mut steps = three();
    steps.extend([
        get(format!("{WIDGETS}?limit=2")),
        get(format!("{WIDGETS}?limit=2&continue=$continue")),
        get(format!("{WIDGETS}?limit=1")),
        get(format!("{WIDGETS}?limit=1&continue=$continue")),
        get(format!("{WIDGETS}?limit=1&continue=$continue")),
        get(format!("{WIDGETS}?limit=1")),
        post(WIDGETS, &widget("b2")),
        get(format!("{WIDGETS}?limit=9&continue=$continue")),
        get(format!("{WIDGETS}?limit=1&labelSelector=x")),
        get(format!("{WIDGETS}?limit=2&labelSelector=x&continue=$continue")),
        get(format!("{WIDGETS}?limit=1&fieldSelector=spec.color%3Dred")),
        get(format!("{WIDGETS}?limit=0")),
        get(format!("{WIDGETS}?limit=-1")),
        get(format!("{WIDGETS}?limit=x")),
        get(format!("{WIDGETS}?limit=")),
        get(format!("{WIDGETS}?limit=3")),
        get(format!("{WIDGETS}?continue=garbage")),
        get(format!("{WIDGETS}?limit=1")),
        get(format!("{WIDGETS}?continue=$continue&resourceVersion=5")),
        get(format!("{WIDGETS}?continue=$continue&resourceVersion=0")),
        get(format!("{WIDGETS}?limit=1")).accept(TABLE),
        get(format!("{WIDGETS}?limit=1&continue=$continue")).accept(TABLE),
    ]);
    script("pages", steps)
}

fn versions() -> Script {
    let mut steps = three();
    steps.push(get(WIDGETS));
    steps.push(merge(format!("{WIDGETS}/a"), &json!({"spec": {"color": "green"}})));
    for query in [
        "resourceVersion=$rv(a)",
        "resourceVersion=0",
        "resourceVersion=$oldrv(a)",
        "resourceVersion=garbage",
        "resourceVersion=-1",
        "resourceVersion=$listrv&resourceVersionMatch=Exact",
        "resourceVersion=$oldrv(a)&resourceVersionMatch=Exact",
        "resourceVersion=$oldrv(a)&resourceVersionMatch=NotOlderThan",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
        "resourceVersion=$rv(a)&resourceVersionMatch=Nonsense",
        "resourceVersion=0&limit=1",
        "resourceVersion=$rv(a)&limit=1",
        "resourceVersion=$oldrv(a)&resourceVersionMatch=Exact&limit=1",
        "sendInitialEvents=true",
        "timeoutSeconds=x",
        "timeoutSeconds=5",
        "watch=false",
        "allowWatchBookmarks=true",
        "pretty=true",
    ] {
        steps.push(get(format!("{WIDGETS}?{query}")));
    }
    for query in [
        "resourceVersion=0",
        "resourceVersion=$oldrv(a)",
        "resourceVersion=garbage",
        "resourceVersion=99999999999",
    ] {
        steps.push(get(format!("{WIDGETS}/a?{query}")));
    }
    script("lists and reads at a version", steps)
}

fn tables() -> Script {
    let mut steps = three();
    let status = json!({"status": {"since": "2020-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]}});
    steps.push(merge(format!("{WIDGETS}/b/status"), &status));
    steps.extend([
        get(WIDGETS).accept(TABLE),
        get(format!("{WIDGETS}/b")).accept(TABLE),
        get(format!("{WIDGETS}/absent")).accept(TABLE),
        get(format!("{WIDGETS}?includeObject=None")).accept(TABLE),
        get(format!("{WIDGETS}?includeObject=Object")).accept(TABLE),
        get(format!("{WIDGETS}?includeObject=Metadata")).accept(TABLE),
        get(format!("{WIDGETS}?includeObject=Nonsense")).accept(TABLE),
        get(format!("{WIDGETS}?labelSelector=absent")).accept(TABLE),
        get(WIDGETS).accept("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
        get(WIDGETS).accept("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"),
        get(WIDGETS).accept("application/json;as=Table;v=v9;g=meta.k8s.io"),
        get(WIDGETS).accept("application/json;as=Nonsense;v=v1;g=meta.k8s.io"),
        merge(format!("{WIDGETS}/b"), &json!({"spec": {"color": "red"}})).accept(TABLE),
        post(WIDGETS, &widget("d")).accept(TABLE),
        post(WIDGETS, &widget("d")).accept(TABLE),
        crate::step::delete(format!("{WIDGETS}/d")).accept(TABLE),
    ]);
    script("tables", steps)
}

fn tables_of_kinds() -> Script {
    script("tables of kinds", vec![
        post(CONFIG_MAPS, &config_map("a")),
        get(format!("{CONFIG_MAPS}/a")).accept(TABLE),
        post(ROLLOUTS, &rollout("a")),
        get(ROLLOUTS).accept(TABLE),
        post(LEASES, &lease("a")),
        get(LEASES).accept(TABLE),
        post(SERVICES, &with(service("a"), &json!({"spec": {"clusterIP": "None"}}))),
        get(SERVICES).accept(TABLE),
        post(GATEWAY_ROUTES, &gateway_route("a")),
        get(GATEWAY_ROUTES).accept(TABLE),
        post(VIRTUAL_ROUTERS, &virtual_router("a")),
        get(VIRTUAL_ROUTERS).accept(TABLE),
        post(HTTP_ROUTES, &http_route("a")),
        get(HTTP_ROUTES).accept(TABLE),
        get("/api/v1/namespaces/$NS").accept(TABLE),
        get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.fidelity.tidegate.dev?includeObject=None").accept(TABLE),
        post(format!("{DEPLOYMENTS}?dryRun=All"), &deployment("a")).accept(TABLE),
        post(format!("{STATEFUL_SETS}?dryRun=All"), &stateful_set("a")).accept(TABLE),
        post(format!("{AUTOSCALERS}?dryRun=All"), &autoscaler("a")).accept(TABLE),
    ])
}

fn forms() -> Script {
    let mut steps = three();
    steps.extend([
        get(WIDGETS).accept(METADATA_LIST),
        get(format!("{WIDGETS}/a")).accept(METADATA),
        get(WIDGETS).accept(METADATA),
        get(format!("{WIDGETS}/a")).accept(METADATA_LIST),
        get(format!("{WIDGETS}/absent")).accept(METADATA),
        merge(format!("{WIDGETS}/a"), &json!({"metadata": {"labels": {"q": "1"}}})).accept(METADATA),
        get(format!("{WIDGETS}/a")).accept("*/*"),
        get(format!("{WIDGETS}/a")).accept("application/*"),
        get(format!("{WIDGETS}/a")).accept("text/html"),
        get(format!("{WIDGETS}/a")).accept("text/html,application/json;q=0.5"),
        get(format!("{WIDGETS}/a")).accept("nonsense"),
        get(CONFIG_MAPS).accept(METADATA_LIST),
    ]);
    script("forms", steps)
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~$()".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
