//! Versions that are forgotten: lists, pages and watches at version 1, which is too old for both servers.
//!
//! Of custom resources only: what a real server had before any definition, its cache may remember from the first.

use crate::compare::{Script, script};
use crate::objects::{rollout, widget};
use crate::step::{METADATA, METADATA_LIST, ROLLOUTS, TABLE, WIDGETS, get, post};

pub fn scripts() -> Vec<Script> {
    vec![
        lists("rollout", ROLLOUTS, [rollout("a"), rollout("b")]),
        lists("widget", WIDGETS, [widget("a"), widget("b")]),
        watches(),
    ]
}

fn lists(kind: &str, path: &str, [a, b]: [serde_json::Value; 2]) -> Script {
    let exact = format!("{path}?resourceVersion=1&resourceVersionMatch=Exact");
    script(
        &format!("{kind}: lists at a forgotten version"),
        vec![
            post(path, &a),
            post(path, &b),
            get(&exact),
            get(&exact).accept(TABLE),
            get(&exact).accept(METADATA_LIST),
            get(format!("{exact}&limit=1")),
            get(format!("{exact}&labelSelector=x")),
            get(format!("{path}?resourceVersion=1&limit=9")),
            get(format!("{path}?resourceVersion=1&limit=9&resourceVersionMatch=NotOlderThan")),
            get(format!("{path}?resourceVersion=1")),
            get(format!("{path}?resourceVersion=1&resourceVersionMatch=NotOlderThan")),
            get(format!("{path}/a?resourceVersion=1")),
            get(format!("{path}?limit=9&continue=$expired")),
            get(format!("{path}?limit=9&continue=$continue")),
            get(format!("{path}?limit=9&labelSelector=x&continue=$expired")),
            get(format!("{path}?limit=9&labelSelector=x&continue=$continue")),
            get(format!("{path}?continue=$expired")).accept(TABLE),
            get(format!("{path}?continue=$continue")).accept(TABLE),
            get(format!("{path}?continue=$expired&resourceVersion=0")),
            get(format!("{path}?continue=$expired&resourceVersion=1")),
        ],
    )
}

fn watches() -> Script {
    let from = |query: &str| get(format!("{WIDGETS}?watch=1&timeoutSeconds=1&resourceVersion=1{query}"));
    let initial = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    script(
        "widget: watches from a forgotten version",
        vec![
            post(WIDGETS, &widget("a")),
            from(""),
            from("").accept(TABLE),
            from("").accept(METADATA),
            from("&allowWatchBookmarks=true"),
            from("&labelSelector=x"),
            get(format!("{WIDGETS}/a?watch=1&timeoutSeconds=1&resourceVersion=1")),
            // The cache must have seen the last write.
            get(format!("{WIDGETS}?resourceVersion=$rv(a)")),
            from(initial),
        ],
    )
}
