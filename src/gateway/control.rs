//! The loop: what the watches show becomes plans, what Envoys acknowledge becomes statuses.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures::{FutureExt, StreamExt};
use kube::Client;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    plans::Plans,
    statuses::Statuses,
    world::{Touched, World, watches},
};
use crate::{clock::Clock, xds::Hub};

/// How often all objects are looked at for what has become due.
const SWEEP: Duration = Duration::from_secs(1);
/// So much of what watches bring at once is taken in before plans are made of it.
const AT_ONCE: usize = 10_000;

/// Follows the objects of some namespaces, or of all, and keeps the hub's fleets and the objects' statuses at what they say.
/// `lacks` says what has not been listed yet. Statuses are written while `leads` says so.
pub async fn run(
    client: Client,
    namespaces: Vec<String>,
    hub: Hub,
    leads: impl Fn() -> bool,
    lacks: watch::Sender<Vec<String>>,
) {
    let mut shown = pin!(watches(&client, &namespaces));
    let mut world = World::new(&namespaces);
    let mut plans = Plans::new(hub.clone());
    let clock = Clock::start();
    let mut statuses = Statuses::new(client, clock);
    let mut said = hub.news();
    let mut sweeps = interval(SWEEP);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut touched = Touched::default();
    // Something has happened since the last look at all of them.
    let mut stirred = true;
    let mut led = false;
    loop {
        let mut sweep = false;
        tokio::select! {
            news = shown.next() => {
                let Some(news) = news else { return };
                world.take(news, &mut touched);
                for _ in 0..AT_ONCE {
                    let Some(Some(news)) = shown.next().now_or_never() else { break };
                    world.take(news, &mut touched);
                }
                world.settle();
            }
            changed = said.changed() => if changed.is_err() { return },
            written = statuses.written() => statuses.take(written, &mut world),
            _ = sweeps.tick() => sweep = true,
        }
        let missing = world.lacks();
        if !missing.is_empty() || !lacks.borrow().is_empty() {
            lacks.send_replace(missing);
        }
        if !lacks.borrow().is_empty() {
            continue;
        }
        let touched = std::mem::take(&mut touched);
        let now = clock.elapsed();
        // Most turns are an acknowledgement, or a status that is written.
        if !touched.is_nothing() {
            plans.follow(&world, &touched, now);
        }
        let leading = leads();
        if leading && !led {
            plans.lead(&world, now);
        }
        led = leading;
        stirred |= plans.hear(&world, now);
        if !led {
            stirred = true;
            continue;
        }
        // What a change means for the objects beside those that it touched can wait for a moment.
        let whole = sweep && (std::mem::take(&mut stirred) || statuses.is_behind());
        stirred |= !sweep;
        let names: BTreeSet<_> = if whole {
            let all = plans.named(&world);
            statuses.forget_others(&all);
            all
        } else {
            let touched = touched.objects.iter().chain(&touched.statuses);
            let of_now = touched.filter(|named| plans.tells_of(&world, named));
            of_now.chain(statuses.urgent()).cloned().collect()
        };
        statuses.tell(&world, &plans, names);
    }
}
