use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn controller(name: &str) -> Shards {
    Shards::new(name.into(), "s".into(), Terms::default())
}

fn slot(version: u64, holder: Option<&str>, knows: &[&str]) -> Slot {
    let knows = knows.iter().map(ToString::to_string).collect();
    Slot { version, holder: holder.map(str::to_owned), duration: 12 * SECOND, knows }
}

/// Its write is stored, and the watch shows it.
fn write(shards: &mut Shards, name: &str, version: u64, now: Duration) {
    let told = shards.living(now);
    let me = shards.me().to_owned();
    shards.stored(Stored { name: name.into(), version, sent: now, told: told.clone() }, now);
    let slot = Slot { version, holder: Some(me), duration: 12 * SECOND, knows: told };
    shards.show(name, Some(slot), now);
}

fn acts(shards: &mut Shards, now: Duration) -> bool {
    let _ = shards.next(now);
    shards.share(now).is_some()
}

#[test]
fn one_that_is_alone_acts_at_once_and_owns_everything() {
    let mut one = controller("a");
    assert_eq!(one.next(SECOND), Move::Make("s-0".into()));
    assert!(one.share(SECOND).is_none(), "before it has a slot");
    write(&mut one, "s-0", 1, SECOND);
    assert_eq!(one.next(SECOND), Move::Wait);
    let (share, until) = one.share(SECOND).unwrap();
    assert_eq!((share.of(), until), (1, 9 * SECOND));
    assert!((0..100).all(|uid| share.owns(&uid.to_string())));
    assert_eq!(one.next(3 * SECOND), Move::Renew("s-0".into()));
}

#[test]
fn who_comes_waits_until_those_who_live_know_of_it() {
    let mut new = controller("b");
    new.show("s-0", Some(slot(1, Some("a"), &[])), SECOND);
    assert_eq!(new.next(SECOND), Move::Make("s-1".into()));
    write(&mut new, "s-1", 2, SECOND);
    assert!(!acts(&mut new, 2 * SECOND));
    new.show("s-0", Some(slot(3, Some("a"), &["b"])), 2 * SECOND);
    assert!(acts(&mut new, 2 * SECOND));
    assert_eq!(new.share(2 * SECOND).unwrap().0.of(), 2);
}

#[test]
fn nobody_is_known_to_be_alone_before_its_own_write_is_shown() {
    let mut new = controller("b");
    new.show("s-0", Some(slot(1, None, &[])), SECOND);
    let write = Stored { name: "s-0".into(), version: 3, sent: SECOND, told: BTreeSet::new() };
    new.stored(write, SECOND);
    assert!(!acts(&mut new, SECOND));
    // It came before, and was not shown yet.
    new.show("s-1", Some(slot(2, Some("a"), &[])), SECOND);
    new.show("s-0", Some(slot(3, Some("b"), &[])), SECOND);
    assert!(!acts(&mut new, SECOND));
    new.show("s-1", Some(slot(4, Some("a"), &["b"])), SECOND);
    assert!(acts(&mut new, SECOND));
}

#[test]
fn or_until_nobody_can_act_by_what_he_saw_before() {
    let mut new = controller("b");
    new.show("s-0", Some(slot(1, Some("a"), &[])), SECOND);
    write(&mut new, "s-1", 2, SECOND);
    for second in 2..13 {
        // It lives, and does not see the new one.
        new.show("s-0", Some(slot(u64::from(second) + 10, Some("a"), &[])), second * SECOND);
        if second == 6 {
            write(&mut new, "s-1", 30, second * SECOND);
        }
        assert!(!acts(&mut new, second * SECOND), "{second}");
    }
    assert!(acts(&mut new, 13 * SECOND), "a whole duration after it came");
}

#[test]
fn a_slot_that_is_not_renewed_is_taken_and_its_share_goes_to_the_others() {
    let mut other = controller("b");
    other.show("s-0", Some(slot(1, Some("a"), &["b"])), Duration::ZERO);
    write(&mut other, "s-1", 2, SECOND);
    assert!(acts(&mut other, SECOND));
    write(&mut other, "s-1", 3, 8 * SECOND);
    assert_eq!(other.share(13 * SECOND).unwrap().0.of(), 2, "its watch may stand still");
    write(&mut other, "s-1", 4, 13 * SECOND);
    assert_eq!(other.share(13 * SECOND).unwrap().0.of(), 1, "it has run out");

    let mut next = controller("c");
    next.show("s-0", Some(slot(1, Some("a"), &[])), Duration::ZERO);
    next.show("s-1", Some(slot(2, None, &[])), Duration::ZERO);
    assert_eq!(next.next(Duration::ZERO), Move::Take("s-1".into()), "one that was let go is free");
    next.show("s-1", Some(slot(3, Some("b"), &[])), SECOND);
    assert_eq!(next.next(SECOND), Move::Make("s-2".into()));
    assert_eq!(next.next(12 * SECOND), Move::Take("s-0".into()), "one that has run out as well");
    next.show("s-0", None, 12 * SECOND);
    assert_eq!(next.next(12 * SECOND), Move::Take("s-0".into()), "gone or not");
}

#[test]
fn a_lease_that_is_no_slot_is_left_alone_and_an_answer_that_was_lost_makes_no_second_slot() {
    let mut one = controller("a");
    one.avoid("s-0");
    assert_eq!(one.next(SECOND), Move::Make("s-1".into()));
    one.show("s-1", Some(slot(1, Some("a"), &[])), SECOND);
    assert_eq!(one.next(SECOND), Move::Take("s-1".into()), "it is ours already");
}

#[test]
fn whoever_has_longer_terms_is_waited_for_longer() {
    let mut new = controller("b");
    let long = |version| Slot { duration: 24 * SECOND, ..slot(version, Some("a"), &[]) };
    new.show("s-0", Some(long(1)), Duration::ZERO);
    for second in (1..30).step_by(2) {
        let now = second * SECOND;
        new.show("s-0", Some(long(u64::from(second) + 1)), now);
        write(&mut new, "s-1", 100 + u64::from(second), now);
        assert_eq!(acts(&mut new, now), second >= 25, "{second}");
    }
}

#[test]
fn whose_watch_stands_still_stops_acting_and_whose_writes_fail_ends() {
    let mut one = controller("a");
    write(&mut one, "s-0", 1, Duration::ZERO);
    assert!(acts(&mut one, SECOND));
    // Renewed, but not shown: somebody may have come before that.
    one.stored(
        Stored { name: "s-0".into(), version: 2, sent: 6 * SECOND, told: BTreeSet::new() },
        6 * SECOND,
    );
    assert!(acts(&mut one, 7 * SECOND));
    assert!(!acts(&mut one, 8 * SECOND));
    one.show("s-0", Some(slot(2, Some("a"), &[])), 9 * SECOND);
    assert!(acts(&mut one, 9 * SECOND), "it was shown everything up to there");
    assert_eq!(one.next(14 * SECOND), Move::End, "others may take it for dead");

    let mut robbed = controller("a");
    write(&mut robbed, "s-0", 1, Duration::ZERO);
    robbed.show("s-0", Some(slot(2, Some("b"), &[])), SECOND);
    assert_eq!(robbed.next(SECOND), Move::End);
    assert!(robbed.share(SECOND).is_none());
}

#[test]
fn shares_are_even_and_one_more_moves_only_its_own() {
    let share = |mine: usize, of: usize| Share {
        mine: format!("tidegate-{mine}"),
        slots: (0..of).map(|slot| format!("tidegate-{slot}")).collect(),
    };
    let uids: Vec<String> = (0..9_000).map(|uid| format!("0b6b2ad6-7f3c-4ad5-9c36-{uid:012x}")).collect();
    for of in 1..=5 {
        for mine in 0..of {
            let owned = uids.iter().filter(|uid| share(mine, of).owns(uid)).count();
            let even = uids.len() / of;
            assert!(owned.abs_diff(even) * 20 <= even, "{mine} of {of} has {owned}, even were {even}");
            let moved = |uid: &&String| !share(mine, of).owns(uid) && share(mine, of + 1).owns(uid);
            assert_eq!(uids.iter().filter(moved).count(), 0, "nothing moves between those who stay");
        }
        let owners = |uid: &String| (0..of).filter(|mine| share(*mine, of).owns(uid)).count();
        assert!(uids.iter().all(|uid| owners(uid) == 1));
    }
}

mod together {
    //! Several of them against an API server, with clocks that run a tenth apart, watches that lag and stand still, calls
    //! that are lost, and processes that are stopped and killed: never do two act on the same Rollout.

    use super::*;

    /// Milliseconds of one world.
    const SPAN: u64 = 90_000;
    const TICK: u64 = 50;

    #[derive(Clone)]
    struct Stored {
        name: String,
        slot: Slot,
    }

    struct Process {
        shards: Shards,
        rate: f64,
        started: u64,
        /// How many of the server's changes it has been shown.
        shown: usize,
        frozen_until: u64,
        stopped_until: u64,
        /// A write on its way: when it arrives, when its answer does, and whether it is lost on the way there.
        call: Option<Call>,
        again_at: u64,
    }

    struct Call {
        arrives: u64,
        answers: u64,
        lost: bool,
        name: String,
        over: u64,
        told: BTreeSet<String>,
        sent: Duration,
        outcome: Option<u64>,
    }

    struct World {
        rng: fastrand::Rng,
        now: u64,
        log: Vec<Stored>,
        processes: Vec<Process>,
        born: u64,
    }

    impl World {
        fn new(seed: u64) -> Self {
            Self { rng: fastrand::Rng::with_seed(seed), now: 0, log: vec![], processes: vec![], born: 0 }
        }

        fn start(&mut self) {
            self.born += 1;
            let name = format!("p{}", self.born);
            let mut shards = controller(&name);
            // Its first list is as new as the server.
            let mut latest = BTreeMap::new();
            for stored in &self.log {
                latest.insert(stored.name.clone(), stored.slot.clone());
            }
            for (name, slot) in latest {
                shards.show(&name, Some(slot), Duration::ZERO);
            }
            self.processes.push(Process {
                shards,
                rate: [0.9, 1.0, 1.1][self.rng.usize(0..3)],
                started: self.now,
                shown: self.log.len(),
                frozen_until: 0,
                stopped_until: 0,
                call: None,
                again_at: 0,
            });
        }

        fn version(&self, name: &str) -> u64 {
            self.log.iter().rev().find(|stored| stored.name == name).map_or(0, |stored| stored.slot.version)
        }

        fn tick(&mut self) {
            self.now += TICK;
            if self.rng.u32(0..200) == 0 && self.processes.len() < 5 {
                self.start();
            }
            if self.rng.u32(0..750) == 0 && !self.processes.is_empty() {
                let dead = self.rng.usize(0..self.processes.len());
                self.processes.remove(dead);
            }
            for index in 0..self.processes.len() {
                self.trouble(index);
                self.serve(index);
                self.act(index);
            }
            let now = self.now;
            self.processes.retain_mut(|process| {
                now < process.stopped_until || process.shards.clone().next(process.clock(now)) != Move::End
            });
        }

        fn trouble(&mut self, index: usize) {
            let (now, process) = (self.now, &mut self.processes[index]);
            if self.rng.u32(0..300) == 0 {
                process.frozen_until = now + self.rng.u64(0..30_000);
            }
            if self.rng.u32(0..450) == 0 {
                process.stopped_until = now + self.rng.u64(0..30_000);
            }
        }

        /// The server handles what arrives, whether its sender is stopped or not.
        fn serve(&mut self, index: usize) {
            let now = self.now;
            let Some(call) = &self.processes[index].call else { return };
            if call.outcome.is_some() || call.lost || now < call.arrives {
                return;
            }
            let (name, over, told) = (call.name.clone(), call.over, call.told.clone());
            let version = self.log.len() as u64 + 1;
            let fits = self.version(&name) == over;
            if fits {
                let holder = Some(self.processes[index].shards.me().to_owned());
                let slot = Slot { version, holder, duration: 12 * SECOND, knows: told };
                self.log.push(Stored { name, slot });
            }
            if let Some(call) = &mut self.processes[index].call {
                call.outcome = Some(if fits { version } else { 0 });
            }
        }

        fn act(&mut self, index: usize) {
            let now = self.now;
            let process = &mut self.processes[index];
            if now < process.stopped_until {
                return;
            }
            let clock = process.clock(now);
            if now >= process.frozen_until {
                // A watch lags by a change at times.
                let upto = self.log.len() - self.rng.usize(0..=1).min(self.log.len() - process.shown);
                for stored in &self.log[process.shown..upto] {
                    process.shards.show(&stored.name, Some(stored.slot.clone()), clock);
                }
                process.shown = upto;
            }
            if let Some(call) = process.call.take_if(|call| now >= call.answers) {
                match call.outcome.filter(|version| *version > 0) {
                    Some(version) => {
                        let write =
                            super::Stored { name: call.name, version, sent: call.sent, told: call.told };
                        process.shards.stored(write, clock);
                    }
                    None => process.again_at = now + 500,
                }
            }
            let next = process.shards.next(clock);
            let name = match next {
                Move::Take(name) | Move::Make(name) | Move::Renew(name) => name,
                Move::Wait | Move::End => return,
            };
            if process.call.is_some() || now < process.again_at {
                return;
            }
            let arrives = now + self.rng.u64(0..300);
            let told = process.shards.living(clock);
            let shown = process.shards.known.get(&name).map_or(0, |known| known.slot.version);
            let mine = process.shards.mine.as_ref().and_then(|mine| mine.unshown.last());
            let over = mine.map_or(shown, |(version, _)| shown.max(*version));
            process.call = Some(Call {
                arrives,
                answers: arrives + self.rng.u64(0..1_500),
                lost: self.rng.u32(0..20) == 0,
                name,
                over,
                told,
                sent: clock,
                outcome: None,
            });
        }

        /// Those who act on a Rollout now; one that is stopped acts by what it knew when it goes on.
        fn owners(&self, uid: &str) -> Vec<String> {
            let acts = |process: &&Process| {
                let share = process.shards.share(process.clock(self.now));
                share.is_some_and(|(share, _)| share.owns(uid))
            };
            self.processes.iter().filter(acts).map(|process| process.shards.me().to_owned()).collect()
        }
    }

    impl Process {
        fn clock(&self, now: u64) -> Duration {
            Duration::from_millis(now - self.started).mul_f64(self.rate)
        }
    }

    #[test]
    fn two_never_act_on_one_rollout() {
        let uids = ["a", "b", "c", "d"];
        let (mut served, mut ticks) = (0_u64, 0_u64);
        for seed in 0..100 {
            let mut world = World::new(seed);
            world.start();
            while world.now < SPAN {
                world.tick();
                for uid in uids {
                    let owners = world.owners(uid);
                    assert!(owners.len() <= 1, "seed {seed} at {} ms: {owners:?} act on {uid}", world.now);
                    served += owners.len() as u64;
                    ticks += 1;
                }
            }
        }
        assert!(served * 4 > ticks, "served {served} of {ticks}: it would be easy never to act");
    }

    #[test]
    fn once_trouble_ends_everything_is_served() {
        for seed in 0..50 {
            let mut world = World::new(seed);
            world.start();
            while world.now < 30_000 {
                world.tick();
            }
            if world.processes.is_empty() {
                world.start();
            }
            for process in &mut world.processes {
                (process.frozen_until, process.stopped_until) = (0, 0);
            }
            // Nobody comes, goes, stops or loses a call any more.
            for _ in 0..40_000 / TICK {
                world.now += TICK;
                for index in 0..world.processes.len() {
                    world.serve(index);
                    world.act(index);
                    if let Some(call) = &mut world.processes[index].call {
                        call.lost = false;
                    }
                }
                let now = world.now;
                world.processes.retain_mut(|process| process.shards.next(process.clock(now)) != Move::End);
                if world.processes.is_empty() {
                    world.start();
                }
            }
            for uid in ["a", "b", "c", "d"] {
                assert_eq!(world.owners(uid).len(), 1, "seed {seed}: {uid}");
            }
        }
    }
}
