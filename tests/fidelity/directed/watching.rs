//! Watches: from a version, from what exists, with selectors, bookmarks, and versions that do not serve.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{config_map, widget, with};
use crate::step::{
    AUTOSCALERS, CONFIG_MAPS, CORE_EVENTS, DEPLOYMENTS, EVENTS, HTTP_ROUTES, LEASES, METADATA, ROLLOUTS,
    SERVICES, STATEFUL_SETS, Step, TABLE, WIDGETS, delete, get, merge, post,
};

fn watch(path: &str, query: &str) -> Step {
    get(format!("{path}?watch=1&timeoutSeconds=1&{query}"))
}

pub fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for (kind, path, object) in
        [("config map", CONFIG_MAPS, config_map("a")), ("widget", WIDGETS, widget("a"))]
    {
        let one = format!("{path}/a");
        let history = vec![
            post(path, &with(object.clone(), &json!({"metadata": {"labels": {"x": "1"}}}))),
            merge(&one, &json!({"metadata": {"labels": {"x": "2"}}})),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "b", "labels": {"x": "1"}}}))),
            merge(&one, &json!({"metadata": {"labels": {"x": "1"}}})),
            delete(format!("{path}/b")),
            merge(&one, &json!({"metadata": {"labels": {"x": "3"}}})),
        ];
        for (what, query, accept) in [
            ("from a version", "resourceVersion=$oldrv(a)", ""),
            ("from the last version", "resourceVersion=$rv(a)", ""),
            ("of labels", "resourceVersion=$oldrv(a)&labelSelector=x%3D1", ""),
            ("of a name", "resourceVersion=$oldrv(a)&fieldSelector=metadata.name%3Db", ""),
            ("as tables", "resourceVersion=$oldrv(a)", TABLE),
            ("as metadata", "resourceVersion=$oldrv(a)", METADATA),
            ("garbage", "resourceVersion=garbage", ""),
        ] {
            let mut steps = history.clone();
            let step = watch(path, query);
            steps.push(if accept.is_empty() { step } else { step.accept(accept) });
            scripts.push(script(&format!("{kind}: watch {what}"), steps));
        }
    }
    scripts.extend(opening());
    scripts.push(bookmarks());
    scripts.push(rows_of_bookmarks());
    scripts
}

/// The last bookmark comes two seconds before the end, if a watch lasts that long.
fn bookmarks() -> Script {
    let last = |query: &str| {
        let query = format!("resourceVersion=$oldrv(a)&allowWatchBookmarks={query}");
        get(format!("{WIDGETS}?watch=1&timeoutSeconds=4&{query}"))
    };
    script(
        "watch with bookmarks",
        vec![
            post(WIDGETS, &widget("a")),
            merge(format!("{WIDGETS}/a"), &json!({"spec": {"color": "green"}})),
            last("true"),
            last("true").accept(TABLE),
            last("true").accept(METADATA),
            last("true&labelSelector=x"),
            last("false"),
        ],
    )
}

/// A bookmark as a row: every kind has its own way to show nothing.
fn rows_of_bookmarks() -> Script {
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let kinds = [
        CONFIG_MAPS,
        SERVICES,
        CORE_EVENTS,
        EVENTS,
        LEASES,
        DEPLOYMENTS,
        STATEFUL_SETS,
        AUTOSCALERS,
        ROLLOUTS,
        HTTP_ROUTES,
    ];
    let steps = kinds.map(|path| watch(path, &format!("{initial}&labelSelector=absent")).accept(TABLE));
    script("watch without anything as a table", steps.into())
}

fn opening() -> Vec<Script> {
    let two = || {
        vec![
            post(WIDGETS, &with(widget("a"), &json!({"metadata": {"labels": {"x": "1"}}}))),
            post(WIDGETS, &widget("b")),
            merge(format!("{WIDGETS}/a"), &json!({"spec": {"color": "green"}})),
        ]
    };
    [
        ("without a version", format!("{WIDGETS}?watch=1&timeoutSeconds=1")),
        ("from version 0", format!("{WIDGETS}?watch=true&timeoutSeconds=1&resourceVersion=0")),
        ("without a version, with bookmarks", format!("{WIDGETS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")),
        ("from version 0, with bookmarks", format!("{WIDGETS}?watch=1&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true")),
        ("of one by its path", format!("{WIDGETS}/a?watch=1&timeoutSeconds=1")),
        ("of an absent one by its path", format!("{WIDGETS}/absent?watch=1&timeoutSeconds=1")),
        ("with a negative version", format!("{WIDGETS}?watch=1&timeoutSeconds=1&resourceVersion=-1")),
        ("with initial events", format!("{WIDGETS}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")),
        ("with initial events and no match", format!("{WIDGETS}?watch=1&timeoutSeconds=1&sendInitialEvents=true")),
        ("with a match alone", format!("{WIDGETS}?watch=1&timeoutSeconds=1&resourceVersionMatch=NotOlderThan&resourceVersion=$rv(a)")),
        ("with a continue token", format!("{WIDGETS}?watch=1&timeoutSeconds=1&continue=abc")),
        ("with a limit", format!("{WIDGETS}?watch=1&timeoutSeconds=1&limit=1")),
        ("of a bad selector", format!("{WIDGETS}?watch=1&timeoutSeconds=1&labelSelector=x%20in%201")),
        ("of a bad field", format!("{WIDGETS}?watch=1&timeoutSeconds=1&fieldSelector=nonsense%3D1")),
        ("of a name by two ways", format!("{WIDGETS}/a?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Db")),
        ("that is none", format!("{WIDGETS}?watch=nonsense&timeoutSeconds=1")),
    ]
    .map(|(what, path)| {
        let mut steps = two();
        // What is asked for at any version is answered from a cache: it must have seen the last write.
        steps.push(get(format!("{WIDGETS}?resourceVersion=$rv(a)")));
        steps.push(get(path));
        script(&format!("watch {what}"), steps)
    })
    .into()
}
