//! What happens to a call between a process and the API server: it is late, lost, doubled, refused, its answer is lost,
//! or its sender is gone around it.

use std::rc::Rc;

use tidegate::engine::decision::{PreviewWrite, RouteWrite, ScaleWrite};

use crate::{
    concern::Concern,
    event::Event,
    faults::Fault,
    kept::Actor,
    mutants::Mutant,
    oracle::Landed,
    server::{Answer, Code, Request},
    world::World,
};

/// Which part of a turn waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Lease,
    Reading,
    Before,
    Effect(usize),
    /// The route is read that a preview is made of.
    Copying(usize),
    /// The workload is read that is to be scaled.
    Measuring(usize),
    ReadingBack(usize),
    After,
    Lowering(usize),
    ReadingLoweringBack(usize),
}

/// What came back.
#[derive(Clone, Debug)]
pub enum Reply {
    Answer(Answer),
    /// No answer within the deadline.
    Nothing,
    /// It was not sent, for its sender may not act now.
    Withheld,
}

/// What a call is to change.
#[derive(Clone, Debug)]
pub enum Change {
    Route(Rc<RouteWrite>),
    Preview(Rc<PreviewWrite>),
    Workload(ScaleWrite),
}

/// A call on its way.
#[derive(Clone, Debug)]
pub struct Call {
    pub by: Actor,
    pub life: u32,
    pub role: Role,
    pub request: Request,
    /// The decision behind it, of what is written to others than the Rollout.
    pub change: Option<Change>,
    /// The client has its answer, or has given up.
    pub closed: bool,
    /// Its answer will not reach the client.
    mute: bool,
    /// When it was sent.
    pub sent: u64,
}

/// The client gives up after so long.
const DEADLINE: u64 = 10_000;

impl World {
    pub fn send(&mut self, by: Actor, role: Role, request: Request) {
        self.send_for(by, role, request, None);
    }

    pub fn send_for(&mut self, by: Actor, role: Role, request: Request, change: Option<Change>) {
        let (process, life) = (by.process, self.processes[by.process].life);
        let call = self.calls.len();
        let concern = if role == Role::Lease { Concern::All } else { Concern::One(by.rollout) };
        let mute = self.strikes(Fault::LosesReplies, 40, concern);
        let sent = self.now;
        self.calls.push(Call { by, life, role, request, change, closed: false, mute, sent });
        let lost = self.strikes(Fault::LosesRequests, 40, concern);
        let slow = self.strikes(Fault::Delays, 60, concern);
        if !lost {
            let delay = if slow { self.chance.up_to(15_000) } else { 1 + self.chance.up_to(4) };
            if self.strikes(Fault::Crashes, 15, Concern::All) {
                self.later(delay, Event::Crash { process, life });
            }
            self.later(delay, Event::Arrives { call });
            if self.strikes(Fault::Doubles, 50, concern) {
                let delay = delay + self.chance.up_to(20_000);
                self.later(delay, Event::ArrivesAgain { call });
            }
        }
        // Whoever is answered at once never gets so far.
        if lost || mute || slow {
            self.later(DEADLINE, Event::GivesUp { call });
        }
    }

    /// A call reaches the API server.
    pub fn arrives(&mut self, call: usize, again: bool) {
        let Call { by, life, mute, .. } = self.calls[call];
        let request = self.calls[call].request.clone();
        let answer = self.served(call, &request);
        if again {
            return;
        }
        if self.strikes(Fault::Crashes, 15, Concern::All) {
            self.later(0, Event::Crash { process: by.process, life });
        }
        if !mute {
            let delay = 1 + self.chance.up_to(4);
            self.later(delay, Event::Answers { call, reply: Reply::Answer(answer) });
        }
    }

    fn served(&mut self, call: usize, request: &Request) -> Answer {
        let Call { by, role, .. } = self.calls[call];
        let concern = if role == Role::Lease { Concern::All } else { Concern::One(by.rollout) };
        if self.strikes(Fault::Refuses, 60, concern) {
            let code = [Code::TooMany, Code::Unavailable, Code::Internal, Code::Conflict];
            let code = code[self.chance.below(code.len())];
            // A 500 says nothing about what was done.
            if code == Code::Internal && self.chance.per_mille(500) {
                self.carry_out_call(call, request);
            }
            return Answer::Refused(code);
        }
        if request.writes_to_others() && self.refused[by.rollout] {
            return Answer::Refused(Code::Forbidden);
        }
        self.carry_out_call(call, request)
    }

    fn carry_out_call(&mut self, call: usize, request: &Request) -> Answer {
        match request {
            Request::WriteRoute { route, .. }
            | Request::CreateRoute { route, .. }
            | Request::DeleteRoute { route, .. } => self.carry_out_write(call, request, *route),
            Request::Scale { workload, .. } => self.carry_out_scale(call, request, *workload),
            Request::StoreStatus { rollout, .. } | Request::SetFinalizer { rollout, .. } => {
                self.carry_out_record(call, request, *rollout)
            }
            Request::ReadRollout { .. }
            | Request::ReadRoute { .. }
            | Request::CopyRoute { .. }
            | Request::ReadWorkload { .. }
            | Request::StoreLease { .. } => self.server.handle(request),
        }
    }

    fn carry_out_write(&mut self, call: usize, request: &Request, route: usize) -> Answer {
        let Call { by, life, ref change, .. } = self.calls[call];
        let (change, sender, rollout) = (change.clone(), (by.process, life), by.rollout);
        let (before, revision) = (self.server.route(route).clone(), self.server.revision);
        let answer = self.server.handle(request);
        let (server, changed) = (&self.server, self.server.revision != revision);
        match change {
            Some(Change::Route(write)) if changed => {
                let landed = Landed { server, sender, rollout, route, write: &write };
                self.oracle.route_written(&landed, &before, request);
                self.tell(|world| world.told_write(by, route, &write));
                self.route_changed(route);
            }
            Some(Change::Route(write)) => {
                self.oracle.route_refused(server, rollout, &write, &before, &answer);
            }
            Some(Change::Preview(write)) if changed => {
                self.oracle.preview_written(server, (rollout, sender), route, &before);
                self.tell(|world| world.told_preview(by, &write));
                self.route_changed(route);
                self.collect_later(rollout);
            }
            Some(Change::Preview(_) | Change::Workload(_)) | None => {}
        }
        answer
    }

    fn carry_out_scale(&mut self, call: usize, request: &Request, workload: usize) -> Answer {
        let (by, change) = (self.calls[call].by, self.calls[call].change.clone());
        let (before, revision) = (self.server.workload(workload).clone(), self.server.revision);
        let answer = self.server.handle(request);
        if self.server.revision != revision
            && let Some(Change::Workload(write)) = change
        {
            self.oracle.scaled(&self.server, by.rollout, workload, &before, &write);
            self.tell(|world| format!("{}: {} has {} replicas", world.teller(by), write.workload, write.to));
            if write.to < write.from {
                self.concerns_the_others_behind(workload, by.rollout);
            }
            self.workload_changed(workload);
            self.pods_come_later(workload);
        }
        answer
    }

    fn carry_out_record(&mut self, call: usize, request: &Request, rollout: usize) -> Answer {
        let Call { by, life, .. } = self.calls[call];
        let (before, revision) = (self.server.rollout(rollout).clone(), self.server.revision);
        let answer = match (self.mutant, request) {
            (Some(Mutant::StatusUnconditional), Request::StoreStatus { status, .. }) => {
                let (version, status) = (before.version, status.clone());
                self.server.handle(&Request::StoreStatus { rollout, version, status })
            }
            _ => self.server.handle(request),
        };
        if self.server.revision != revision {
            self.oracle.status_stored(&self.server, rollout, (by.process, life), &before, self.now);
            self.tell(|world| world.told_status(by, &before));
            self.rollout_changed(rollout);
        }
        answer
    }

    /// An answer reaches its client, or the client gives up waiting for one.
    pub fn answers(&mut self, call: usize, reply: Reply) {
        let Call { by, life, role, closed, sent, .. } = self.calls[call];
        let request = self.calls[call].request.clone();
        if closed {
            return;
        }
        self.calls[call].closed = true;
        if self.lives(by.process, life) {
            self.answered(by, role, &request, reply, sent);
        }
    }
}
