//! The routes that a Rollout makes beside those that it steps: how they are sent, what people do to them, and who takes
//! them away in the end.

use std::rc::Rc;

use serde_json::{Value, json};
use tidegate::{
    engine::decision::{Effect, PreviewChange, PreviewWrite},
    routes::preview::{preview, replacement},
};

use crate::{
    concern::Concern,
    event::Event,
    kept::Actor,
    network::{Change, Reply, Role},
    server::{Answer, Code, Request},
    world::World,
};

/// What belongs to an object that is gone is collected after so long at most.
const COLLECTS: u64 = 4_000;

impl World {
    /// Sends what becomes of a preview: a copy is made of what the API server has then.
    pub fn send_preview(&mut self, by: Actor, index: usize, write: &PreviewWrite) {
        let Some(place) = self.server.identities[by.rollout].preview(&write.route.name) else {
            return self.oracle.violated("S6", format!("{} would be a preview of nobody", write.route));
        };
        let (object, of) = (place.object, place.of);
        match &write.change {
            PreviewChange::Create(_) | PreviewChange::Replace { .. } => {
                self.send(by, Role::Copying(index), Request::CopyRoute { route: of });
            }
            PreviewChange::Remove(view) => {
                let (uid, version) = (view.uid.clone(), view.resource_version.clone());
                let request = Request::DeleteRoute { route: object, uid, version };
                self.send_change(by, index, request, write);
            }
        }
    }

    fn send_change(&mut self, by: Actor, index: usize, request: Request, write: &PreviewWrite) {
        let change = Change::Preview(Rc::new(write.clone()));
        self.send_for(by, Role::Effect(index), request, Some(change));
    }

    /// What a preview is made of was read.
    pub fn copied(&mut self, by: Actor, index: usize, reply: &Reply) {
        let decision = Rc::clone(&self.turn(by).decision);
        let Effect::Preview(write) = &decision.effects[index] else { return };
        let Some(place) = self.server.identities[by.rollout].preview(&write.route.name) else { return };
        let route = place.object;
        let Reply::Answer(Answer::Document(document)) = reply else {
            return self.write_failed(by, index, route, reply);
        };
        let copy = |content| preview(write.of.kind, document, &write.route.name, content);
        let request = match &write.change {
            PreviewChange::Create(content) => {
                copy(content).map(|copy| Request::CreateRoute { route, document: Rc::new(copy) })
            }
            PreviewChange::Replace { view, content } => copy(content).map(|copy| {
                let patch = Rc::new(replacement(view, &copy, content));
                Request::WriteRoute { route, patch }
            }),
            PreviewChange::Remove(_) => return,
        };
        if let Ok(request) = request {
            self.send_change(by, index, request, write);
        } else {
            let refused = Reply::Answer(Answer::Refused(Code::Forbidden));
            self.write_failed(by, index, route, &refused);
        }
    }

    /// What belongs to a Rollout that is gone goes too, a little later.
    pub fn collect_later(&mut self, rollout: usize) {
        if self.server.identities[rollout].previews.is_empty() || !self.server.rollout(rollout).is_gone() {
            return;
        }
        let delay = 500 + self.chance.up_to(COLLECTS);
        self.later(delay, Event::Collects { rollout });
    }

    pub fn collect(&mut self, rollout: usize) {
        let uid = self.server.identities[rollout].uid;
        for object in self.preview_objects(rollout) {
            let owned = self.server.document(object)["metadata"]["ownerReferences"][0]["uid"] == uid;
            if self.server.rollout(rollout).is_gone() && self.server.exists(object) && owned {
                self.server.remove_route(object);
                self.route_changed(object);
            }
        }
    }

    pub fn preview_objects(&self, rollout: usize) -> Vec<usize> {
        self.server.identities[rollout].previews.iter().map(|preview| preview.object).collect()
    }

    /// People do something to a preview, or put something in its place.
    pub fn befalls_a_preview(&mut self) {
        let rollout = self.anyones();
        let objects = self.preview_objects(rollout);
        let what = self.chance.below(5);
        if objects.is_empty() || !self.befalls(Concern::One(rollout)) {
            return;
        }
        let object = objects[self.chance.below(objects.len())];
        match what {
            0 if self.server.exists(object) => self.server.remove_route(object),
            1 => self.server.edit_route(object, |document| {
                if let Some(metadata) = document["metadata"].as_object_mut() {
                    metadata.remove("annotations");
                }
            }),
            2 if !self.server.exists(object) => {
                let found = &self.server.objects[object];
                let document = found.shape.document(&found.name, &found.lists, object, "1");
                self.server.create_route(object, document);
            }
            3 => self.server.edit_route(object, |document| {
                document["metadata"]["finalizers"] = json!(["example.com/held"]);
            }),
            4 => self.server.edit_route(object, forget_header),
            _ => {}
        }
        self.route_changed(object);
    }

    /// People delete what stands in a preview's place, and hold none any more.
    pub fn repair_previews(&mut self, rollout: usize) {
        let stamp = tidegate::api::stamp_annotation(self.named(rollout));
        for object in self.preview_objects(rollout) {
            if !self.server.exists(object) {
                continue;
            }
            self.server.edit_route(object, |document| {
                if let Some(metadata) = document["metadata"].as_object_mut() {
                    metadata.remove("finalizers");
                }
            });
            if self.server.exists(object)
                && self.server.document(object)["metadata"]["annotations"][&stamp].is_null()
            {
                self.server.remove_route(object);
            }
            self.route_changed(object);
        }
    }
}

/// Somebody takes out what the requests of a preview are told apart by.
fn forget_header(document: &mut Value) {
    if let Some(fields) = document.pointer_mut("/spec/httpRoute/match").and_then(Value::as_object_mut) {
        fields.remove("headers");
    }
    let rules = document.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        rule["matches"] = json!([{"path": {"value": "/"}}]);
    }
}
