//! Watches, and the machinery of kube that lives on them.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use serde_json::json;
use tidegate::sandbox::apiserver::{Effect, Fault};
use tokio::time::timeout;

use crate::support::{get, raw, refusal, server, widget, widgets, widgets_resource};

const LONG: Duration = Duration::from_secs(20);

fn told(event: &WatchEvent<DynamicObject>) -> String {
    match event {
        WatchEvent::Added(object) => format!("+{}", object.name_any()),
        WatchEvent::Modified(object) => format!("~{}", object.name_any()),
        WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".into(),
        WatchEvent::Error(status) => status.code.to_string(),
    }
}

async fn watch_all(api: &Api<DynamicObject>, params: &WatchParams, from: &str) -> Vec<String> {
    let events: Vec<_> = api.watch(params, from).await.unwrap().try_collect().await.unwrap();
    events.iter().map(told).collect()
}

#[tokio::test]
async fn a_watch_tells_what_is_there_what_comes_and_where_it_is() {
    let server = server().await;
    let api = widgets(&server);
    let mut red = widget("red", json!({}));
    red.metadata.labels = Some([("color".to_owned(), "red".to_owned())].into());
    api.create(&PostParams::default(), &red).await.unwrap();
    let start = server.revision().to_string();
    api.create(&PostParams::default(), &widget("plain", json!({}))).await.unwrap();
    let label = |color: &str| Patch::Merge(json!({"metadata": {"labels": {"color": color}}}));
    api.patch("plain", &PatchParams::default(), &label("red")).await.unwrap();
    api.patch("plain", &PatchParams::default(), &Patch::Merge(json!({"spec": {"color": "x"}})))
        .await
        .unwrap();
    api.patch("plain", &PatchParams::default(), &label("blue")).await.unwrap();
    api.delete("plain", &DeleteParams::default()).await.unwrap();
    let brief = WatchParams::default().timeout(1);
    // The last bookmark comes two seconds before the end.
    assert_eq!(
        watch_all(&api, &brief.clone().timeout(3), &start).await,
        ["+plain", "~plain", "~plain", "~plain", "-plain", "bookmark"]
    );
    assert_eq!(watch_all(&api, &brief, "0").await, ["+red", "bookmark"]);
    let reds = brief.labels("color=red").disable_bookmarks();
    assert_eq!(watch_all(&api, &reds, &start).await, ["+plain", "~plain", "-plain"]);
}

#[tokio::test]
async fn what_was_compacted_has_expired() {
    let server = server().await;
    let api = widgets(&server);
    let old = server.revision().to_string();
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    server.compact();
    assert_eq!(watch_all(&api, &WatchParams::default().timeout(5), &old).await, ["410"]);
    let exact = ListParams::default().at(&old).matching(kube::api::VersionMatch::Exact);
    assert_eq!(refusal(api.list(&exact).await), (410, "Expired".into(), 0));
}

#[tokio::test]
async fn a_watch_can_begin_with_what_there_is() {
    let server = server().await;
    let api = widgets(&server);
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let path = "/apis/test.dev/v1/widgets?watch=true&timeoutSeconds=1&sendInitialEvents=true\
                &resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let (status, body) = raw(&server, get(path, "application/json")).await;
    let told = body.as_str().unwrap_or_default();
    let (first, second) = told.split_once('\n').unwrap();
    assert_eq!(status.as_u16(), 200);
    assert!(first.contains("ADDED") && second.contains("k8s.io/initial-events-end"), "{told}");
}

#[tokio::test]
async fn kubes_watcher_recovers_from_everything() {
    let server = server().await;
    let api = widgets(&server);
    let stream = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects();
    let mut stream = std::pin::pin!(stream.filter_map(|object| async { object.ok() }));
    let faults: [&dyn Fn(); 4] = [
        &|| {},
        &|| {
            server.faults().add(Fault::once(Effect::DropWatch).resource("widgets"));
        },
        &|| {
            server.faults().add(Fault::once(Effect::Expired).verb("watch"));
            server.faults().add(Fault::once(Effect::DropWatch).resource("widgets"));
        },
        &|| {
            server.faults().add(Fault::once(Effect::Status(503)).verb("watch").times(2));
            server.faults().add(Fault::once(Effect::DropWatch).resource("widgets"));
        },
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        fault();
        let name = format!("w{round}");
        api.create(&PostParams::default(), &widget(&name, json!({}))).await.unwrap();
        let seen = async { while stream.next().await.unwrap().name_any() != name {} };
        timeout(LONG, seen).await.unwrap_or_else(|_| panic!("round {round}"));
    }
}

#[tokio::test]
async fn a_frozen_watch_says_nothing_until_it_is_opened_anew() {
    let server = server().await;
    let api = widgets(&server);
    server.faults().add(Fault::once(Effect::FreezeWatch).resource("widgets"));
    let start = server.revision().to_string();
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let brief = WatchParams::default().timeout(1);
    assert!(watch_all(&api, &brief, &start).await.is_empty());
    assert_eq!(watch_all(&api, &brief.disable_bookmarks(), &start).await, ["+a"]);
}

#[tokio::test]
async fn kubes_controller_reconciles_and_its_recorder_tells() {
    let server = server().await;
    let api = widgets(&server);
    let client = server.client().unwrap();
    let reporter = "tester".into();
    let recorder = Recorder::new(client.clone(), reporter);
    let reconcile = |object: Arc<DynamicObject>, context: Arc<(Api<DynamicObject>, Recorder)>| async move {
        let (api, recorder) = &*context;
        let event = Event {
            type_: EventType::Normal,
            reason: "Seen".into(),
            note: Some("the widget was seen".into()),
            action: "Reconcile".into(),
            secondary: None,
        };
        recorder.publish(&event, &object.object_ref(&widgets_resource())).await?;
        let status =
            json!({"metadata": {"resourceVersion": object.resource_version()}, "status": {"phase": "Seen"}});
        api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok::<_, kube::Error>(Action::await_change())
    };
    let controller = Controller::new_with(api.clone(), watcher::Config::default(), widgets_resource())
        .owns(Api::<ConfigMap>::default_namespaced(client.clone()), watcher::Config::default())
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_millis(50)),
            Arc::new((api.clone(), recorder)),
        );
    let running = tokio::spawn(controller.for_each(|_| async {}));
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let is_seen = |object: Option<&DynamicObject>| {
        object.is_some_and(|object| object.data["status"]["phase"] == "Seen")
    };
    timeout(LONG, kube::runtime::wait::await_condition(api.clone(), "a", is_seen)).await.unwrap().unwrap();
    running.abort();
    let by_object = ListParams::default().fields("involvedObject.kind=Widget,involvedObject.name=a");
    let core: Api<CoreEvent> = Api::default_namespaced(client.clone());
    let events = core.list(&by_object).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].message.as_deref(), Some("the widget was seen"));
    assert_eq!(events[0].reporting_component.as_deref(), Some("tester"));
    let new: Api<NewEvent> = Api::default_namespaced(client);
    let events = new.list(&ListParams::default().fields("regarding.name=a")).await.unwrap().items;
    assert_eq!(events[0].note.as_deref(), Some("the widget was seen"));
}
