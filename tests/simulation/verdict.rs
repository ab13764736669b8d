//! One case from its beginning to its end: trouble, then quiet, then what must have come of it.

use std::sync::Arc;

use tidegate::{
    api::{EndReason, Phase, RequestAction, Target},
    engine::{
        ON_THE_WAY,
        observed::{RouteView, WorkloadSeen},
    },
};

use crate::{
    faults::{Fault, Faults},
    kept::Actor,
    mutants::Mutant,
    oracle::{Violation, index, mirrors, previews_standing, share},
    setup::{Identity, Neighbours},
    shapes::Rules,
    story::Story,
    world::{Case, World},
};

/// How long after the end of all trouble a run may take.
const LONG: u64 = 600_000;
/// By then every controller is up, and all have seen what there is; who leads or shares is found out a little later.
const EVERYBODY_IS_BACK: u64 = 45_000;
/// How long after the end of trouble a bad version may still have traffic.
const MOVED_BY: u64 = 60_000;
/// How long a step may stand before it is known to be bad.
const FOUND_OUT_BY: u64 = 45_000;
/// What somebody gives a failed version is taken back once a minute, each time on each route.
const TAKEN_BACK_BY: u64 = 150_000;
/// A run that has not gone on for so long says why. Its longest hold is 30 s, and who leads may have to be found out.
const SAYS_WHY_BY: u64 = 150_000;
/// What is still on its way once a run is over, a call that was doubled included, arrives within this.
const ARRIVED_BY: u64 = 36_000;
/// At rest nothing is written for so long: more than a correction that comes once a minute.
const REST: u64 = 70_000;

/// The case of a seed: a few kinds of trouble, chosen by it.
pub fn case(seed: u64) -> Case {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x7469_6465);
    // One seed in eight is undisturbed.
    let rate = [0, 1, 1, 2, 2, 3, 4, 6][rng.usize(0..8)];
    let mut faults = Faults::default();
    for fault in Fault::ALL {
        if rng.u32(0..20) < rate {
            faults = faults.with(fault);
        }
    }
    Case { seed, faults }
}

/// What a case violates, if anything; and how much was done in it.
pub fn run(case: Case, mutant: Option<Mutant>) -> (Option<Violation>, u64) {
    let world = play(World::new(case, mutant, Story::default()));
    (world.oracle.violation, world.actions)
}

/// The same, retold.
pub fn retell(case: Case, mutant: Option<Mutant>) -> (Option<Violation>, String) {
    let world = play(World::new(case, mutant, Story::told()));
    (world.oracle.violation, world.story.text())
}

fn play(mut world: World) -> World {
    while world.oracle.quiet_at.is_none() && world.oracle.is_content() {
        let until = world.now + 10_000;
        world.run_until(until);
    }
    let quiet_at = world.oracle.quiet_at.unwrap_or(world.now);
    let rollouts = 0..world.server.rollouts.len();
    let mut unsettled: Vec<usize> = rollouts.clone().collect();
    let mut stands: Vec<Stands> = rollouts.clone().map(|_| Stands::default()).collect();
    while world.oracle.is_content() && world.now < quiet_at + LONG && !unsettled.is_empty() {
        let until = world.now + 5_000;
        world.run_until(until);
        for (rollout, stands) in stands.iter_mut().enumerate() {
            stands.says_why(&mut world, rollout);
            if world.now > quiet_at + MOVED_BY {
                stands.bad_is_off(&mut world, rollout);
            }
        }
        if world.now > quiet_at + EVERYBODY_IS_BACK {
            unsettled = rollouts.clone().filter(|rollout| !is_settled(&world, *rollout)).collect();
        }
    }
    if !world.oracle.is_content() {
        return world;
    }
    if let Some(rollout) = unsettled.first() {
        let status = &world.server.rollout(*rollout).status;
        let sentence =
            format!("no end: {:?} {}", status.phase, status.message.as_deref().unwrap_or_default());
        world.oracle.violated("L2", sentence);
        return world;
    }
    for rollout in rollouts {
        came_to_its_end(&mut world, rollout);
    }
    rests(&mut world);
    world
}

/// Where a run stands, whether its version has traffic, and since when somebody who may act has seen it so.
#[derive(Default)]
struct Stands {
    place: Option<(i64, i32, bool)>,
    since: u64,
}

impl Stands {
    /// A run that does not go on says what holds it up.
    fn says_why(&mut self, world: &mut World, rollout: usize) {
        let status = world.server.rollout(rollout).status.clone();
        let active = status.run.as_ref().filter(|run| run.ended.is_none());
        let given = shares(world, rollout, status.canary.as_ref()).iter().any(|share| *share > 0);
        let place = active.map(|run| (run.number, index(&status), given));
        if place != self.place || !is_led(world, rollout) {
            (self.place, self.since) = (place, world.now);
        }
        let Some((run, step, _)) = place.filter(|_| world.now > self.since + SAYS_WHY_BY) else { return };
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let told = ready.is_some_and(|condition| !ON_THE_WAY.contains(&condition.reason.as_str()));
        let out_of_sync = status.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "False");
        if !told && !out_of_sync {
            let sentence =
                format!("run {run} stands at step {step} and does not say why: {:?}", status.message);
            world.oracle.violated("L5", sentence);
        }
    }

    /// A version that is bad has no traffic any more, once its run has stood for as long as it takes to find out.
    fn bad_is_off(&self, world: &mut World, rollout: usize) {
        let now = world.server.rollout(rollout).clone();
        let status = &now.status;
        let Some(run) = status.run.as_ref().filter(|_| !now.is_gone()) else { return };
        let bad = world.traffic[rollout].bad_from.is_some_and(|from| from + MOVED_BY < world.now);
        let version = world.server.identities[rollout].versions[1];
        let is_canary = status.canary.as_ref().is_some_and(|canary| canary.name == version);
        let promoted = run.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Promoted);
        // What both name is the other's as long as this one has given nothing.
        let others = world.neighbours == Neighbours::Rivals && index(status) == 0;
        if !bad || !is_canary || promoted || others || world.now < self.since + FOUND_OUT_BY {
            return;
        }
        let settled = run.ended.as_ref().is_some_and(|ended| ended.settled);
        if settled && world.now < world.oracle.quiet_at.unwrap_or(0) + TAKEN_BACK_BY {
            return;
        }
        let shares = shares(world, rollout, status.canary.as_ref());
        if shares.iter().any(|share| *share > 0) {
            let sentence = format!("the bad version still has {shares:?}%: {:?}", status.message);
            world.oracle.violated("L1", sentence);
        }
    }
}

fn shares(world: &World, rollout: usize, target: Option<&Target>) -> Vec<i64> {
    let Some(target) = target else { return Vec::new() };
    let given = world.server.views(rollout).flatten().map(|view| share(view, target));
    let to_it = |(_, to): &(String, Option<String>)| to.as_ref() == Some(&target.name);
    let previews = previews_standing(&world.server, rollout).into_iter().filter(to_it).map(|_| 1);
    given.chain(previews).collect()
}

/// Whether somebody may act for a Rollout.
fn is_led(world: &World, rollout: usize) -> bool {
    (0..world.processes.len()).any(|process| world.leads(Actor { process, rollout }))
}

fn is_settled(world: &World, rollout: usize) -> bool {
    let now = world.server.rollout(rollout);
    if now.is_gone() {
        return true;
    }
    let status = &now.status;
    let answered = status.observed_generation == Some(now.generation);
    let wanted = now.spec.target.name == world.server.identities[rollout].versions[1];
    if !answered || !wanted || now.spec.suspend || !is_led(world, rollout) {
        return false;
    }
    // Of two that name the same rule one is refused as long as the other lives.
    let refused = status.conditions.iter().any(|condition| condition.reason == "RouteOwned");
    if refused && world.neighbours == Neighbours::Rivals && !world.server.rollout(1 - rollout).is_gone() {
        return true;
    }
    if !has_retired(world, rollout) {
        return false;
    }
    let over = status.run.as_ref().is_none_or(|run| run.ended.as_ref().is_some_and(|ended| ended.settled));
    let in_sync = status.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "True");
    let told = status.notices.is_empty();
    over && told && !now.finalizer && in_sync && matches!(status.phase, Some(Phase::Healthy | Phase::Failed))
}

/// Whether what a run has left without traffic has no more pods than it should, where nothing hinders that.
fn has_retired(world: &World, rollout: usize) -> bool {
    let now = world.server.rollout(rollout);
    let alone = world.neighbours == Neighbours::None;
    // Where clocks stand an hour apart it may be due an hour later.
    let soon = alone && !world.faults.has(Fault::ClocksDiffer);
    let Some(retire) = now.spec.retire.as_ref().filter(|_| soon) else { return true };
    let Identity { versions: [first, second, _], places, .. } = &world.server.identities[rollout];
    // A rule that it does not step sends traffic to the first one still.
    let beside = places.iter().any(|place| world.server.objects[place.object].shape.rules == Rules::Named);
    let idle = match now.status.phase {
        Some(Phase::Healthy) if now.status.history.len() == 1 && !beside => first,
        Some(Phase::Failed) => second,
        _ => return true,
    };
    let at = world.server.workloads.iter().position(|(name, _)| name == idle);
    let few = at.is_some_and(|at| match &world.server.workload(at).seen {
        WorkloadSeen::Present(pods) => pods.replicas <= retire.scale_to,
        WorkloadSeen::Missing | WorkloadSeen::Unreadable(_) => false,
    });
    // Whoever scales it up again may.
    let noted = now.status.retired.iter().any(|retired| retired.name == *idle && retired.done);
    noted && (few || world.faults.has(Fault::PeopleScale))
}

/// What has come to its end is where the end says.
fn came_to_its_end(world: &mut World, rollout: usize) {
    let now = world.server.rollout(rollout).clone();
    let status = &now.status;
    if let Some((preview, _)) = previews_standing(&world.server, rollout).first() {
        world.oracle.violated("L1", format!("{preview} is there, and no run is"));
    }
    if now.is_gone() {
        return;
    }
    if copies_are_left(world, rollout) {
        world.oracle.violated("L1", "the run is over, and requests are copied to its canary".to_owned());
    }
    match status.phase {
        Some(Phase::Healthy) => {
            let on = |view: Option<&Arc<RouteView>>| {
                view.is_some_and(|view| status.stable.as_ref().is_some_and(|stable| view.all_on(stable)))
            };
            if !world.server.views(rollout).all(on) {
                world.oracle.violated("L2", "Healthy, but not all traffic is on stable".to_owned());
            }
        }
        // What both name is the other's where this one was ended before it gave anything.
        Some(Phase::Failed) if world.neighbours == Neighbours::Rivals && index(status) == 0 => {}
        Some(Phase::Failed)
            if shares(world, rollout, status.canary.as_ref()).iter().any(|share| *share > 0) =>
        {
            world.oracle.violated("L1", "Failed, and the canary has traffic".to_owned());
        }
        _ => {}
    }
    if world.faults == Faults::default() && world.neighbours != Neighbours::Rivals {
        let bad_from = world.traffic[rollout].bad_from;
        let wanted = if bad_from.is_none() { Phase::Healthy } else { Phase::Failed };
        let late = bad_from.is_some_and(|from| from > 0);
        // Whether the gate did say no is G1's.
        let reason = status.run.as_ref().and_then(|run| run.ended.as_ref()).map(|ended| ended.reason);
        let refused = reason == Some(EndReason::GateRefused);
        // Metrics that answer too late to prove anything end in a pause, and whoever says to go on all the same has said so.
        let asked = status.last_request.as_ref();
        let blind = world.slow_metrics
            && reason == Some(EndReason::Promoted)
            && asked.is_some_and(|asked| asked.action == Some(RequestAction::Promote));
        if status.phase != Some(wanted) && !late && !refused && !blind {
            let sentence = format!("undisturbed it ends {:?}: {:?}", status.phase, status.message);
            world.oracle.violated("L2", sentence);
        }
    }
}

/// Whether requests are still copied to the canary of a run that did that; what people have copied is theirs.
fn copies_are_left(world: &World, rollout: usize) -> bool {
    let status = &world.server.rollout(rollout).status;
    let Some((run, canary)) = status.run.as_ref().zip(status.canary.as_ref()) else { return false };
    let rivals = world.neighbours == Neighbours::Rivals;
    let ours = !world.faults.has(Fault::PeopleSetWeights) && !rivals;
    ours && !world.server.views(rollout).flatten().all(|view| mirrors(view, canary, run, 0))
}

/// At rest nothing is written any more.
fn rests(world: &mut World) {
    // Whoever is refused what another steps notes what it sees there once a minute.
    let noted_by = if world.neighbours == Neighbours::Rivals { 60_000 } else { 0 };
    let until = world.now + ARRIVED_BY + noted_by;
    world.run_until(until);
    let writes = world.oracle.writes;
    let until = world.now + REST;
    world.run_until(until);
    if world.oracle.is_content() && world.oracle.writes != writes {
        let more = world.oracle.writes - writes;
        world.oracle.violated("L3", format!("{more} writes at rest"));
    }
}

/// The same violation with as little trouble as it takes.
pub fn shrink(case: Case, mutant: Option<Mutant>) -> Case {
    let Some(found) = run(case, mutant).0 else { return case };
    let mut least = case;
    for fault in Fault::ALL {
        if !least.faults.has(fault) {
            continue;
        }
        let fewer = Case { faults: least.faults.without(fault), ..least };
        if run(fewer, mutant).0.is_some_and(|violation| violation.rule == found.rule) {
            least = fewer;
        }
    }
    least
}
