//! The world of one seed: virtual time, what is due when, and whom it concerns.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use tidegate::{api::RolloutSpec, engine::observed::LookDone};

use crate::{
    chance::Chance,
    faults::{Fault, Faults},
    mutants::Mutant,
    network::{Call, Reply},
    oracle::Oracle,
    process::{Clock, Process, UID},
    server::Server,
    shapes::{Shape, shaped},
    specs,
    story::Story,
    traffic::Traffic,
};

/// What is due at some time.
#[derive(Debug)]
pub enum Event {
    Arrives {
        call: usize,
    },
    /// The network delivers a call twice.
    ArrivesAgain {
        call: usize,
    },
    Answers {
        call: usize,
        reply: Reply,
    },
    GivesUp {
        call: usize,
    },
    Timer {
        process: usize,
        life: u32,
        timer: u64,
    },
    SendAgain {
        process: usize,
        life: u32,
        lowering: usize,
    },
    ShowsRollout {
        process: usize,
        life: u32,
        version: usize,
    },
    ShowsRoute {
        process: usize,
        life: u32,
        route: usize,
        version: usize,
    },
    ShowsWorkload {
        process: usize,
        life: u32,
        workload: usize,
        version: usize,
    },
    CatchesUp {
        process: usize,
        life: u32,
    },
    Looked {
        process: usize,
        life: u32,
        look: Box<LookDone>,
    },
    LooksAtLease {
        process: usize,
        life: u32,
    },
    Programmed {
        route: usize,
    },
    Crash {
        process: usize,
        life: u32,
    },
    Start {
        process: usize,
    },
    /// Somebody does something, or something happens to anything else than a call.
    Happens(Fault),
    /// Trouble ends; people put right what only people can.
    Quiet,
    Repair,
}

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
    pub traffic: Traffic,
    pub oracle: Oracle,
    pub story: Story,
    pub faults: Faults,
    pub quiet: bool,
    pub rivalry: Rivalry,
    pub mutant: Option<Mutant>,
    pub actions: u64,
}

impl World {
    pub fn new(case: Case, mutant: Option<Mutant>, story: Story) -> Self {
        let mut chance = Chance::new(case.seed);
        let shapes = Shape::of_seed(case.seed);
        let mut spec: Arc<RolloutSpec> = specs::any(&mut chance);
        if shapes != [Shape::PLAIN; 2] {
            shaped(Arc::make_mut(&mut spec), shapes);
        }
        let rivalry = match chance.below(4) {
            0 => Rivalry::Unled,
            1 if case.seed.is_multiple_of(2) => Rivalry::Shared,
            1 => Rivalry::Led,
            _ => Rivalry::Alone,
        };
        let bad_from = match chance.below(4) {
            0 | 1 => Some(0),
            2 => Some(chance.up_to(60_000)),
            _ => None,
        };
        let server = Server::new(spec, shapes);
        let mut world = Self {
            now: 0,
            chance,
            due: BinaryHeap::new(),
            events: Vec::new(),
            server,
            processes: Vec::new(),
            calls: Vec::new(),
            traffic: Traffic::failing_from(bad_from),
            oracle: Oracle::default(),
            story,
            faults: case.faults,
            quiet: false,
            rivalry,
            mutant,
            actions: 0,
        };
        world.shift_traffic();
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
        for fault in self.faults.list() {
            for _ in 0..fault.happens(&mut self.chance) {
                let at = self.chance.up_to(end);
                self.later(at, Event::Happens(fault));
            }
        }
        self.later(end, Event::Quiet);
    }

    fn clock(&mut self) -> Clock {
        let mut clock = Clock { started: self.now, offset_ms: 0, rate: 1.0 };
        if self.strikes(Fault::ClocksDiffer, 700) {
            clock.rate = [0.9, 1.0, 1.1][self.chance.below(3)];
            clock.offset_ms = [-3_600_000, -5_000, 0, 5_000][self.chance.below(4)];
        }
        clock
    }

    /// Whether trouble of a kind strikes now.
    pub fn strikes(&mut self, fault: Fault, per_mille: u32) -> bool {
        !self.quiet && self.faults.has(fault) && self.chance.per_mille(per_mille)
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
            Event::Timer { process, life, timer } => {
                if self.lives(process, life) && self.processes[process].timer == timer {
                    self.wake(process);
                }
            }
            Event::SendAgain { process, life, lowering } => {
                if self.lives(process, life) {
                    self.send_lowering(process, lowering);
                }
            }
            Event::ShowsRollout { process, life, version } => self.shows_rollout(process, life, version),
            Event::ShowsRoute { process, life, route, version } => {
                self.shows_route(process, life, route, version);
            }
            Event::ShowsWorkload { process, life, workload, version } => {
                self.shows_workload(process, life, workload, version);
            }
            Event::CatchesUp { process, life } => self.catch_up(process, life),
            Event::Looked { process, life, look } => {
                if self.lives(process, life) {
                    self.looked(process, *look);
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
            Event::Crash { process, life } => {
                if self.lives(process, life) {
                    self.crash(process);
                }
            }
            Event::Start { process } => self.start(process),
            Event::Happens(fault) => self.happens(fault),
            Event::Quiet => self.quieten(),
            Event::Repair => self.repair(),
        }
    }

    pub fn lives(&self, id: usize, life: u32) -> bool {
        self.processes[id].up && self.processes[id].life == life
    }

    /// Whether a process may act.
    pub fn leads(&self, id: usize) -> bool {
        let process = &self.processes[id];
        let now = process.elapsed(self.now);
        let leads = match self.rivalry {
            Rivalry::Alone | Rivalry::Unled => true,
            Rivalry::Led => process.lease.leads(now),
            Rivalry::Shared => process.sharing.shards.share(now).is_some_and(|(share, _)| share.owns(UID)),
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
        self.wake(id);
    }

    pub fn crash(&mut self, id: usize) {
        self.tell(|_| format!("controller {id} is killed"));
        let process = &mut self.processes[id];
        process.up = false;
        process.turn = None;
        let delay = 100 + self.chance.up_to(15_000);
        self.later(delay, Event::Start { process: id });
    }

    /// Everything that is due happens, up to a time.
    pub fn run_until(&mut self, until: u64) {
        while self.oracle.is_content() && self.actions < MOST && self.advance(until) {}
        if self.actions >= MOST {
            self.oracle.violated("S7", "there is no end to it".to_owned());
        }
        if self.oracle.is_content() && until > self.now {
            self.oracle.pass(self.now, until, &self.server, &self.processes);
            self.now = until;
        }
    }

    pub fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_told() {
            let sentence = what(self);
            self.story.add(self.now, &sentence);
        }
    }
}

/// More than any honest seed needs.
const MOST: u64 = 60_000;

impl Event {
    /// The process that would hear of it, and does not while it is stopped.
    fn heard_by(&self, calls: &[Call]) -> Option<usize> {
        match self {
            Self::Answers { call, .. } | Self::GivesUp { call } => Some(calls[*call].process),
            Self::Timer { process, .. }
            | Self::SendAgain { process, .. }
            | Self::ShowsRollout { process, .. }
            | Self::ShowsRoute { process, .. }
            | Self::ShowsWorkload { process, .. }
            | Self::CatchesUp { process, .. }
            | Self::Looked { process, .. }
            | Self::LooksAtLease { process, .. } => Some(*process),
            Self::Arrives { .. }
            | Self::ArrivesAgain { .. }
            | Self::Programmed { .. }
            | Self::Crash { .. }
            | Self::Start { .. }
            | Self::Happens(_)
            | Self::Quiet
            | Self::Repair => None,
        }
    }
}
