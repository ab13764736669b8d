//! What is held against writes to routes that were stored, or refused.

use json_patch::PatchOperation;
use tidegate::{
    api::{EndReason, Stamp, stamp_annotation},
    engine::{
        decision::{Purpose, RouteWrite},
        observed::{ListSeen, RouteView},
    },
};

use super::{
    Oracle, Sender,
    reading::{is_marked, planned, share, stamp},
};
use crate::{
    server::{Answer, Code, Request, Server},
    setup::Identity,
    versions::RouteNow,
};

/// A change of a route that a controller has sent for a Rollout and that is stored.
#[derive(Clone, Copy)]
pub struct Landed<'a> {
    pub server: &'a Server,
    pub sender: Sender,
    pub rollout: usize,
    pub route: usize,
    pub write: &'a RouteWrite,
}

impl Oracle {
    /// A change of a route by a controller is stored.
    pub fn route_written(&mut self, landed: &Landed, before: &RouteNow, request: &Request) {
        let Landed { server, sender, rollout, route, write } = *landed;
        self.wrote(rollout);
        self.touches_only_ours(landed, request);
        self.leaves_others_alone(landed, before);
        let (Some(was), Some(is)) = (before.view(rollout), server.route(route).view(rollout)) else {
            return self.violated("S4", format!("route {route} can't be read any more"));
        };
        let identity = &server.identities[rollout];
        let (old, new) = (stamp(identity, was), stamp(identity, is));
        // An epoch that was never recorded is forged.
        let recorded = old.is_some_and(|old| self.of[rollout].epochs.contains_key(&old.epoch));
        let above = |old: &Stamp, new: &Stamp| new.epoch >= old.epoch;
        let keeps = old.zip(new).is_none_or(|(old, new)| above(old, new));
        self.demand(keeps || !recorded, "S3", || format!("{old:?} was written over by {new:?}"));
        if let Some((old, new)) = old.zip(new) {
            let unmarked = old.aborted && !new.aborted && old.run == new.run;
            self.demand(!unmarked, "S2", || format!("the mark of run {} was taken away", old.run));
        }
        self.mirrors_written(landed, was, is, new);
        match write.purpose {
            Purpose::Raise => self.raised(landed, was, is),
            Purpose::Lower => self.lowered(landed, was, is),
            Purpose::Claim => {
                self.owns(server, rollout, sender, new);
                let kept = |(was, is): (&ListSeen, &ListSeen)| {
                    was.entries.iter().all(|old| {
                        is.entries.iter().any(|new| (&new.name, new.weight) == (&old.name, old.weight))
                    })
                };
                let same = was.lists.iter().zip(&is.lists).all(kept);
                self.demand(same, "S4", || "a claim changed weights".to_owned());
            }
            Purpose::Correct | Purpose::Retire | Purpose::Release => self.may_only_take(landed, was, is),
        }
    }

    /// What is another Rollout's stays as it is, and what both name is written only by whose stamp it bears.
    fn leaves_others_alone(&mut self, landed: &Landed, before: &RouteNow) {
        let Landed { server, rollout, route, .. } = *landed;
        for other in server.on(route).into_iter().filter(|other| *other != rollout) {
            let views = before.view(other).zip(server.route(route).view(other));
            let Some((was, is)) = views else { continue };
            let Identity { name, .. } = server.identities[other];
            let kept = was.stamps.get(name) == is.stamps.get(name);
            self.demand(kept, "S4", || format!("the stamp of {name} was changed"));
            if server.identities[other].own(route) == server.identities[rollout].own(route) {
                let theirs = stamp(&server.identities[other], was).is_some();
                // Whoever has not heard that a Rollout is gone acts for it as before.
                let living = !server.rollout(other).is_gone() && !server.rollout(rollout).is_gone();
                self.demand(!(theirs && living), "S6", || format!("a write goes to a rule of {name}"));
            } else {
                let same = was.lists.iter().zip(&is.lists).all(|(was, is)| was.entries == is.entries);
                self.demand(same, "S6", || format!("what {name} steps was changed"));
            }
        }
    }

    /// Whoever raises or claims does it under an epoch that is its own.
    fn owns(&mut self, server: &Server, rollout: usize, sender: Sender, stamp: Option<&Stamp>) {
        let Some(stamp) = stamp else { return };
        let owner = self.of[rollout].epochs.get(&stamp.epoch).copied();
        let recorded = server.rollout(rollout).status.epoch;
        self.demand(owner == Some(sender), "S3", || {
            format!(
                "controller {sender:?} writes under epoch {}, which is {owner:?}'s; recorded is {recorded}",
                stamp.epoch
            )
        });
    }

    fn raised(&mut self, landed: &Landed, was: &RouteView, is: &RouteView) {
        let Landed { server, sender, rollout, write, .. } = *landed;
        let identity = &server.identities[rollout];
        let status = &server.rollout(rollout).status;
        let Some((stamped, run)) = stamp(identity, is).zip(status.run.as_ref()) else {
            return self.violated("S1", "a raise outside any run".to_owned());
        };
        self.owns(server, rollout, sender, Some(stamped));
        self.demand(was.resource_version == write.view.resource_version, "S1", || {
            "a raise landed on a route that is not the one its sender saw".to_owned()
        });
        let step = status.step.as_ref().map_or(0, |step| step.index);
        self.demand(stamped.run == run.number && stamped.step <= step, "S1", || {
            format!(
                "a raise for run {} step {} while run {} step {step} is intended",
                stamped.run, stamped.step, run.number
            )
        });
        let Some((stable, canary)) = status.stable.as_ref().zip(status.canary.as_ref()) else { return };
        let planned = planned(run, stamped.step);
        for list in &is.lists {
            let (given, rest) = (list.weight(canary), list.weight(stable));
            self.demand(given == planned && rest == 100 - planned, "S1", || {
                format!("{} has {given}% and {} {rest}% in a step of {planned}%", canary.name, stable.name)
            });
            self.demand(list.total() == 100, "S1", || {
                "the weights do not sum to 100 after a raise".to_owned()
            });
        }
        self.demand(!is_marked(identity, was, stamped.run), "S2", || {
            format!("run {} rose on a route that bears its mark", stamped.run)
        });
    }

    /// What is put right, taken out or let go gives no canary more, and is done in a run by whoever holds it.
    fn may_only_take(&mut self, landed: &Landed, was: &RouteView, is: &RouteView) {
        let Landed { server, sender, rollout, write, .. } = *landed;
        let identity = &server.identities[rollout];
        let status = &server.rollout(rollout).status;
        let in_a_run = status.run.as_ref().is_some_and(|run| run.ended.is_none());
        let failed = status
            .run
            .as_ref()
            .is_some_and(|run| run.ended.as_ref().is_some_and(|ended| ended.reason != EndReason::Promoted));
        let given = |view: &RouteView| status.canary.as_ref().map_or(0, |canary| share(view, canary));
        let live =
            status.stable.as_ref().map(|stable| &stable.name) == status.canary.as_ref().map(|c| &c.name);
        self.demand(live || !(in_a_run || failed) || given(is) <= given(was), "S1", || {
            format!("to {} gave the canary {}% in place of {}%", write.purpose.verb(), given(is), given(was))
        });
        // One that was decided at rest, and lands after the next run's intent and before its claim, leaves the stamp as it is.
        let before_the_claim = stamp(identity, was) == stamp(identity, is)
            && stamp(identity, is).is_none_or(|stamp| stamp.epoch < status.epoch);
        if in_a_run && write.purpose == Purpose::Correct && !before_the_claim {
            self.owns(server, rollout, sender, stamp(identity, is));
        }
    }

    /// Whoever was deposed without a stamp to tell him, or ends a run that is not stored yet, lowers the canary that he knows
    /// of, which may not be the one of the stored run: that one gets no more by it.
    fn lowered(&mut self, landed: &Landed, was: &RouteView, is: &RouteView) {
        let Landed { server, rollout, .. } = *landed;
        let stamp = stamp(&server.identities[rollout], is);
        self.demand(stamp.as_ref().is_some_and(|stamp| stamp.aborted), "S2", || {
            "a lowering left no mark".to_owned()
        });
        let status = &server.rollout(rollout).status;
        let given = |view: &RouteView| status.canary.as_ref().map_or(0, |canary| share(view, canary));
        let stored = status.run.as_ref().map(|run| run.number);
        let of_another = stamp
            .is_some_and(|stamp| stamp.epoch < status.epoch || stored.is_some_and(|run| run < stamp.run));
        let of = |list: &ListSeen| status.canary.as_ref().map_or(0, |canary| list.weight(canary));
        let lower = was
            .lists
            .iter()
            .zip(&is.lists)
            .all(|(was, is)| was.total() > 0 && of(is) * was.total() <= of(was) * is.total());
        let left = given(is);
        self.demand(left == 0 || (of_another && lower), "S1", || {
            format!("a lowering left the canary {left}%")
        });
        let all_have = is.lists.iter().all(|list| list.total() > 0);
        self.demand(all_have, "S4", || "nothing has weight after a lowering".to_owned());
    }

    /// A lowering may be refused for what it tests, and for nothing else.
    pub fn route_refused(
        &mut self,
        server: &Server,
        rollout: usize,
        write: &RouteWrite,
        now: &RouteNow,
        answer: &Answer,
    ) {
        let (Answer::Refused(Code::Unprocessable), Some(view)) = (answer, now.view(rollout)) else { return };
        let name = server.identities[rollout].name;
        let stamp = |view: &RouteView| view.stamps.get(name).cloned();
        let stamped = stamp(view).is_some() && stamp(view) == stamp(&write.view);
        let names = |view: &RouteView| {
            let entries = view.lists.iter().flat_map(|list| &list.entries);
            entries.map(|entry| entry.name.clone()).collect::<Vec<_>>()
        };
        let places = |view: &RouteView| {
            view.lists
                .iter()
                .map(|list| (list.path.clone(), list.rule_field.clone(), list.rule.clone()))
                .collect::<Vec<_>>()
        };
        let unmoved = places(view) == places(&write.view);
        let copies = |view: &RouteView| -> Vec<_> {
            view.lists.iter().map(|list| list.mirrors.clone().map(|mirrors| mirrors.entries)).collect()
        };
        let unmoved = unmoved && (write.mirrors.is_empty() || copies(view) == copies(&write.view));
        let same = stamped && unmoved && names(view) == names(&write.view) && write.add.is_empty();
        self.demand(write.purpose != Purpose::Lower || !same, "L1", || {
            "a lowering was refused although the stamp and the entries are as they were".to_owned()
        });
    }

    fn touches_only_ours(&mut self, landed: &Landed, request: &Request) {
        let Request::WriteRoute { patch, .. } = request else { return };
        let Landed { server, rollout, route, write, .. } = *landed;
        let lists = server.paths(rollout, route);
        let name = server.identities[rollout].name;
        let stamp = format!("/metadata/annotations/{}", stamp_annotation(name).replace('/', "~1"));
        for operation in &patch.0 {
            let path = match operation {
                PatchOperation::Test(_) => continue,
                PatchOperation::Add(add) => add.path.as_str(),
                PatchOperation::Remove(remove) => remove.path.as_str(),
                _ => "another operation",
            };
            let shape = server.objects[route].shape;
            let inside = lists.iter().find_map(|list| path.strip_prefix(list.as_str()));
            let mut mirrors = lists.iter().filter_map(|list| shape.mirrors_of(list));
            let ours = path == stamp
                || (!write.mirrors.is_empty() && mirrors.any(|list| path.starts_with(&list)))
                || (path == "/metadata/annotations" && !write.view.annotated)
                || inside.is_some_and(|rest| match rest.strip_prefix('/') {
                    Some(rest) if shape.lone => rest.ends_with("/name"),
                    Some(rest) => rest.ends_with("/weight") || !rest.contains('/'),
                    None => false,
                });
            self.demand(ours, "S4", || format!("a write touches {path}"));
        }
    }
}
