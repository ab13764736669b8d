//! One case from its beginning to its end: trouble, then quiet, then what must have come of it.

use tidegate::{
    api::{EndReason, Phase, Target},
    engine::ON_THE_WAY,
};

use crate::{
    faults::{Fault, Faults},
    mutants::Mutant,
    oracle::{Violation, index, share},
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
    let mut settled = false;
    let mut stands = Stands::default();
    while world.oracle.is_content() && world.now < quiet_at + LONG {
        let until = world.now + 5_000;
        world.run_until(until);
        stands.says_why(&mut world);
        if world.now > quiet_at + MOVED_BY {
            stands.bad_is_off(&mut world);
        }
        if world.now > quiet_at + EVERYBODY_IS_BACK && is_settled(&world) && is_led(&world) {
            settled = true;
            break;
        }
    }
    if !world.oracle.is_content() {
        return world;
    }
    if !settled {
        let status = &world.server.rollout().status;
        let sentence =
            format!("no end: {:?} {}", status.phase, status.message.as_deref().unwrap_or_default());
        world.oracle.violated("L2", sentence);
        return world;
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
    fn says_why(&mut self, world: &mut World) {
        let status = world.server.rollout().status.clone();
        let active = status.run.as_ref().filter(|run| run.ended.is_none());
        let given = shares(world, status.canary.as_ref()).iter().any(|share| *share > 0);
        let place = active.map(|run| (run.number, index(&status), given));
        if place != self.place || !is_led(world) {
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
    fn bad_is_off(&self, world: &mut World) {
        let status = world.server.rollout().status.clone();
        let Some(run) = &status.run else { return };
        let bad = world.traffic.bad_from.is_some_and(|from| from + MOVED_BY < world.now);
        let is_canary = status.canary.as_ref().is_some_and(|canary| canary.name == "v2");
        let promoted = run.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Promoted);
        if !bad || !is_canary || promoted || world.now < self.since + FOUND_OUT_BY {
            return;
        }
        let settled = run.ended.as_ref().is_some_and(|ended| ended.settled);
        if settled && world.now < world.oracle.quiet_at.unwrap_or(0) + TAKEN_BACK_BY {
            return;
        }
        let shares = shares(world, status.canary.as_ref());
        if shares.iter().any(|share| *share > 0) {
            let sentence = format!("the bad version still has {shares:?}%: {:?}", status.message);
            world.oracle.violated("L1", sentence);
        }
    }
}

fn shares(world: &World, target: Option<&Target>) -> Vec<i64> {
    let Some(target) = target else { return Vec::new() };
    let routes = 0..world.server.routes.len();
    routes.filter_map(|route| Some(share(world.server.route(route).view()?, target))).collect()
}

/// Whether somebody may act.
fn is_led(world: &World) -> bool {
    (0..world.processes.len()).any(|id| world.leads(id))
}

fn is_settled(world: &World) -> bool {
    let rollout = world.server.rollout();
    let status = &rollout.status;
    let over = status.run.as_ref().is_none_or(|run| run.ended.as_ref().is_some_and(|ended| ended.settled));
    let answered = status.observed_generation == Some(rollout.generation);
    let in_sync = status.conditions.iter().any(|c| c.type_ == "RoutesInSync" && c.status == "True");
    over && answered
        && in_sync
        && rollout.spec.target.name == "v2"
        && !rollout.spec.suspend
        && !rollout.finalizer
        && matches!(status.phase, Some(Phase::Healthy | Phase::Failed))
}

/// At rest everything is where it should be, and nothing is written any more.
fn rests(world: &mut World) {
    let status = world.server.rollout().status.clone();
    match status.phase {
        Some(Phase::Healthy) => {
            let on = |route: usize| {
                let view = world.server.route(route).view();
                view.is_some_and(|view| status.stable.as_ref().is_some_and(|stable| view.all_on(stable)))
            };
            if !(0..world.server.routes.len()).all(on) {
                world.oracle.violated("L2", "Healthy, but not all traffic is on stable".to_owned());
            }
        }
        Some(Phase::Failed) if shares(world, status.canary.as_ref()).iter().any(|share| *share > 0) => {
            world.oracle.violated("L1", "Failed, and the canary has traffic".to_owned());
        }
        _ => {}
    }
    if world.faults == Faults::default() {
        let good = world.traffic.bad_from.is_none();
        let wanted = if good { Phase::Healthy } else { Phase::Failed };
        let late = world.traffic.bad_from.is_some_and(|from| from > 0);
        if status.phase != Some(wanted) && !late {
            world
                .oracle
                .violated("L2", format!("undisturbed it ends {:?}: {:?}", status.phase, status.message));
        }
    }
    let until = world.now + ARRIVED_BY;
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
