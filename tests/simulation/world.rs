//! The world of one seed: virtual time, what is due when, and whom it concerns.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use crate::{
    chance::Chance,
    concern::Concern,
    event::Event,
    faults::{Fault, Faults},
    kept::{Actor, Kept},
    mutants::Mutant,
    network::{Call, Reply},
    oracle::Oracle,
    outside::{self, Outside},
    process::{Clock, Process},
    server::Server,
    setup::{Neighbours, Setup},
    story::Story,
    traffic::Traffic,
};

/// More than any honest Rollout needs.
const MOST: u64 = 60_000;

/// How the controllers share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rivalry {
    /// One controller.
    Alone,
    /// Several, none of which knows of the others.
    Unled,
    /// Several, one of which leads by a Lease.
    Led,
    /// Several that share the Rollouts by a Lease each.
    Shared,
}

/// What one seed is about; chance decides the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub seed: u64,
    pub faults: Faults,
}

pub struct World {
    pub now: u64,
    pub chance: Chance,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    events: Vec<Option<Event>>,
    pub server: Server,
    pub processes: Vec<Process>,
    pub calls: Vec<Call>,
    /// The version of each route that the watches were last told of.
    pub announced: Vec<usize>,
    /// That of each Rollout.
    pub traffic: Vec<Traffic>,
    /// What asks the metrics waits longer for the answer than until it would ask again.
    pub slow_metrics: bool,
    pub outside: Outside,
    /// Rollouts whose writes to routes are refused.
    pub refused: Vec<bool>,
    pub oracle: Oracle,
    pub story: Story,
    pub faults: Faults,
    pub quiet: bool,
    pub neighbours: Neighbours,
    /// The Rollout that all trouble is aimed at, where it is one's.
    pub aimed: Option<usize>,
    pub rivalry: Rivalry,
    pub mutant: Option<Mutant>,
    pub actions: u64,
}

impl World {
    pub fn new(case: Case, mutant: Option<Mutant>, story: Story) -> Self {
        let mut chance = Chance::new(case.seed);
        let mut setup = Setup::of(case.seed, &mut chance);
        let gated = outside::gate(case.seed, Arc::make_mut(&mut setup.specs[0]));
        let rivalry = match chance.below(4) {
            0 => Rivalry::Unled,
            1 if case.seed.is_multiple_of(2) => Rivalry::Shared,
            1 => Rivalry::Led,
            _ => Rivalry::Alone,
        };
        let rivalry = match rivalry {
            // Those take the Rollouts from each other, which is trouble for both.
            Rivalry::Unled | Rivalry::Shared if setup.aimed.is_some() => Rivalry::Led,
            rivalry => rivalry,
        };
        if rivalry == Rivalry::Unled {
            setup.retire_nothing();
        }
        let mut bad_from = || match chance.below(4) {
            0 | 1 => Some(0),
            2 => Some(chance.up_to(60_000)),
            _ => None,
        };
        let versions = setup.identities.iter().map(|identity| identity.versions);
        let traffic: Vec<Traffic> =
            versions.map(|versions| Traffic::failing_from(bad_from(), versions)).collect();
        let (neighbours, aimed) = (setup.neighbours, setup.aimed);
        let comes_at = setup.comes_at.clone();
        let mut world = Self {
            now: 0,
            chance,
            due: BinaryHeap::new(),
            events: Vec::new(),
            processes: Vec::new(),
            calls: Vec::new(),
            announced: vec![0; setup.objects.len()],
            refused: vec![false; traffic.len()],
            oracle: Oracle::of(&traffic, neighbours),
            traffic,
            slow_metrics: Traffic::is_slow(case.seed),
            outside: Outside::of_seed(case.seed),
            server: Server::new(setup),
            story,
            faults: case.faults,
            quiet: false,
            neighbours,
            aimed,
            rivalry,
            mutant,
            actions: 0,
        };
        for (rollout, comes_at) in comes_at.into_iter().enumerate() {
            world.shift_traffic(rollout);
            if comes_at > 0 {
                world.later(comes_at, Event::Made { rollout });
            }
            world.oracle.weights_changed(&world.server, rollout, 0);
        }
        world.rivals_concern_all();
        world.server.told = world.outside.told;
        if gated {
            world.gates_concern();
        }
        if world.slow_metrics {
            // Nobody there is on the schedule of a world without trouble.
            world.oracle.befallen(Concern::All);
        }
        world.begin();
        world
    }

    fn begin(&mut self) {
        let count = if self.rivalry == Rivalry::Alone { 1 } else { 2 + self.chance.below(2) };
        for id in 0..count {
            let clock = self.clock();
            let mut process = Process::start(id, 0, &self.server, clock);
            process.up = false;
            self.processes.push(process);
            let delay = if id == 0 { 0 } else { self.chance.up_to(20_000) };
            self.later(delay, Event::Start { process: id });
        }
        let end = 20_000 + self.chance.up_to(40_000);
        let templated = !self.server.templates.is_empty();
        for fault in self.faults.list().filter(|fault| templated || *fault != Fault::TemplatesChange) {
            for _ in 0..fault.happens(&mut self.chance) {
                let at = self.chance.up_to(end);
                self.later(at, Event::Happens(fault));
            }
        }
        self.later(end, Event::Quiet);
    }

    fn clock(&mut self) -> Clock {
        let mut clock = Clock { started: self.now, offset_ms: 0, rate: 1.0 };
        if self.strikes(Fault::ClocksDiffer, 700, Concern::All) {
            clock.rate = [0.9, 1.0, 1.1][self.chance.below(3)];
            clock.offset_ms = [-3_600_000, -5_000, 0, 5_000][self.chance.below(4)];
        }
        clock
    }

    pub fn later(&mut self, delay: u64, event: Event) {
        let number = self.events.len() as u64;
        self.events.push(Some(event));
        self.due.push(Reverse((self.now + delay, number)));
    }

    /// Takes what is due next. Returns whether there was anything, up to a time.
    fn advance(&mut self, until: u64) -> bool {
        let Some(&Reverse((at, number))) = self.due.peek() else { return false };
        if at > until {
            return false;
        }
        self.due.pop();
        self.oracle.pass(self.now, at, &self.server, &self.processes);
        self.now = at;
        self.actions += 1;
        if let Some(event) = self.events[number as usize].take() {
            self.take(event);
        }
        true
    }

    fn take(&mut self, event: Event) {
        if let Some(id) = event.heard_by(&self.calls) {
            let paused_until = self.processes[id].paused_until;
            if paused_until > self.now {
                return self.later(paused_until - self.now, event);
            }
        }
        match event {
            Event::Arrives { call } => self.arrives(call, false),
            Event::ArrivesAgain { call } => self.arrives(call, true),
            Event::Answers { call, reply } => self.answers(call, reply),
            Event::GivesUp { call } => self.answers(call, Reply::Nothing),
            Event::Timer { by, life, timer } => {
                if self.lives(by.process, life) && self.kept(by).timer == timer {
                    self.wake(by);
                }
            }
            Event::SendAgain { by, life, lowering } => {
                if self.lives(by.process, life) {
                    self.send_lowering(by, lowering);
                }
            }
            Event::ShowsRollout { by, life, version } => self.shows_rollout(by, life, version),
            Event::ShowsRoute { process, life, route, version } => {
                self.shows_route(process, life, route, version);
            }
            Event::ShowsTemplate { process, life, version } => self.shows_template(process, life, version),
            Event::ShowsWorkload { process, life, workload, version } => {
                self.shows_workload(process, life, workload, version);
            }
            Event::CatchesUp { process, life } => self.catch_up(process, life),
            Event::Looked { by, life, look } => {
                if self.lives(by.process, life) {
                    self.looked(by, *look);
                }
            }
            Event::Answered { by, life, done } => {
                if self.lives(by.process, life) {
                    self.gates_answered(by, *done);
                }
            }
            Event::Sent { by, life, id } => {
                if self.lives(by.process, life) {
                    self.sent(by, life, id);
                }
            }
            Event::LooksAtLease { process, life } => {
                if self.lives(process, life) {
                    match self.rivalry {
                        Rivalry::Shared => self.look_at_slots(process),
                        Rivalry::Alone | Rivalry::Unled | Rivalry::Led => self.look_at_lease(process),
                    }
                }
            }
            Event::Programmed { route } => {
                self.server.programmed(route);
                self.route_changed(route);
            }
            Event::PodsCome { workload } => self.pods_come(workload),
            Event::Collects { rollout } => self.collect(rollout),
            Event::Crash { process, life } => {
                if self.lives(process, life) {
                    self.crash(process);
                }
            }
            Event::Start { process } => self.start(process),
            Event::Made { rollout } => self.made(rollout),
            Event::Happens(fault) => self.happens(fault),
            Event::Quiet => self.quieten(),
            Event::Repair => self.repair(),
        }
    }

    pub fn lives(&self, id: usize, life: u32) -> bool {
        self.processes[id].up && self.processes[id].life == life
    }

    /// What a process keeps of a Rollout.
    pub fn kept(&mut self, by: Actor) -> &mut Kept {
        &mut self.processes[by.process].kept[by.rollout]
    }

    /// Whether a process may act for a Rollout.
    pub fn leads(&self, by: Actor) -> bool {
        let process = &self.processes[by.process];
        let now = process.elapsed(self.now);
        let leads = match self.rivalry {
            Rivalry::Alone | Rivalry::Unled => true,
            Rivalry::Led => process.lease.leads(now),
            Rivalry::Shared => {
                let uid = self.server.identities[by.rollout].uid;
                process.sharing.shards.share(now).is_some_and(|(share, _)| share.owns(uid))
            }
        };
        process.up && leads
    }

    fn start(&mut self, id: usize) {
        if self.processes[id].up {
            return;
        }
        let life = self.processes[id].life + 1;
        let clock = self.clock();
        self.processes[id] = Process::start(id, life, &self.server, clock);
        self.tell(|_| format!("controller {id} starts"));
        if matches!(self.rivalry, Rivalry::Led | Rivalry::Shared) {
            self.later(0, Event::LooksAtLease { process: id, life });
        }
        self.wake_all(id);
    }

    fn made(&mut self, rollout: usize) {
        self.tell(|world| format!("{} is made", world.named(rollout)));
        self.server.make_rollout(rollout);
        self.oracle.weights_changed(&self.server, rollout, self.now);
        self.rollout_changed(rollout);
    }

    pub fn crash(&mut self, id: usize) {
        self.tell(|_| format!("controller {id} is killed"));
        let process = &mut self.processes[id];
        process.up = false;
        for kept in &mut process.kept {
            kept.turn = None;
        }
        let delay = 100 + self.chance.up_to(15_000);
        self.later(delay, Event::Start { process: id });
    }

    /// Everything that is due happens, up to a time.
    pub fn run_until(&mut self, until: u64) {
        while self.oracle.is_content() && self.actions < self.most() && self.advance(until) {}
        if self.actions >= self.most() {
            self.oracle.violated("S7", "there is no end to it".to_owned());
        }
        if self.oracle.is_content() && until > self.now {
            self.oracle.pass(self.now, until, &self.server, &self.processes);
            self.now = until;
        }
    }

    fn most(&self) -> u64 {
        MOST * self.server.rollouts.len() as u64
    }

    /// What a story calls a Rollout.
    pub fn named(&self, rollout: usize) -> &'static str {
        self.server.identities[rollout].name
    }

    pub fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_told() {
            let sentence = what(self);
            self.story.add(self.now, &sentence);
        }
    }
}
