//! Who leads: the rules of a Lease, without clock and without API server. Pure.
//!
//! Leadership only saves work: what keeps two controllers apart is the epoch (`engine::claim`). But one that can't be
//! sure to lead any more should not act, and one that waits should not act before.
//!
//! No clock is compared with another's. A holder leads until its renew deadline, counted by its own clock from when it
//! *sent* the last renewal that was stored: whoever reads the Lease saw it later than that. Another one takes the Lease
//! once it has not changed for its whole duration by the clock of the one that waits. As the deadline is two thirds of
//! the duration, clocks whose rates are off by less than a fifth each way keep the two apart.

use std::time::Duration;

/// How long a Lease is good for, and how often it is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long others wait after the last renewal they saw.
    pub duration: Duration,
    /// How long the holder acts after it sent its last renewal.
    pub renew_deadline: Duration,
    /// How often it is renewed, or looked at by those who wait.
    pub retry: Duration,
}

impl Default for Terms {
    /// A leader that is killed is followed within 15 s: 12 s after its last renewal, seen within 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(12),
            renew_deadline: Duration::from_secs(8),
            retry: Duration::from_secs(2),
        }
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its resourceVersion: another one with each renewal.
    pub version: String,
    /// Who holds it; none where it was released.
    pub holder: Option<String>,
    /// How long it is good for after each renewal, as its holder says.
    pub duration: Duration,
}

/// What to do about a Lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Take it: it is absent, free, or run out.
    Take,
    /// Renew it: it is ours.
    Renew,
    /// Leave it alone: it is somebody else's.
    Wait,
}

/// One candidate's part. Times are those of its own monotonic clock, since any moment that stays the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    me: String,
    terms: Terms,
    /// The version last seen, none where it was gone, and when it was first seen so.
    watched: Option<(Option<String>, Duration)>,
    /// How long it is good for from then on.
    waiting: Duration,
    /// When the last renewal that was stored had been sent.
    renewed: Option<Duration>,
}

impl Election {
    /// A candidate of a name that no other process ever has.
    pub fn new(me: String, terms: Terms) -> Self {
        Self { me, terms, watched: None, waiting: terms.duration, renewed: None }
    }

    /// The candidate's name.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The terms.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// What to do about the Lease as it was read just now; `None` where there is none. One that was seen and is gone may
    /// have been deleted under a holder that does not know it yet: it is waited for as well.
    pub fn look(&mut self, lease: Option<&Seen>, now: Duration) -> Move {
        if lease.is_none() && self.watched.is_none() {
            return Move::Take;
        }
        let version = lease.map(|lease| lease.version.clone());
        let since = match &self.watched {
            Some((known, since)) if *known == version => *since,
            Some(_) | None => {
                self.watched = Some((version, now));
                now
            }
        };
        if let Some(lease) = lease {
            self.waiting = lease.duration;
        }
        match lease.map(|lease| &lease.holder) {
            Some(None) => Move::Take,
            Some(Some(holder)) if *holder == self.me => Move::Renew,
            None if self.leads(now) => Move::Renew,
            Some(Some(_)) | None if now.saturating_sub(since) >= self.waiting => Move::Take,
            Some(Some(_)) | None => Move::Wait,
        }
    }

    /// When another's Lease runs out, if it is not renewed; `None` where none was seen.
    pub fn waits_until(&self) -> Option<Duration> {
        self.watched.as_ref().map(|(_, since)| since.saturating_add(self.waiting))
    }

    /// Our write of the Lease was stored; it had been sent at this time.
    pub fn stored(&mut self, sent: Duration) {
        self.renewed = Some(sent);
    }

    /// Somebody else has the Lease, or we let it go.
    pub fn lost(&mut self) {
        self.renewed = None;
    }

    /// When the Lease is to be renewed; `None` where it is not ours.
    pub fn renews_at(&self) -> Option<Duration> {
        self.renewed.map(|sent| sent.saturating_add(self.terms.retry))
    }

    /// Until when we may act; `None` where we may not.
    pub fn leads_until(&self) -> Option<Duration> {
        self.renewed.map(|sent| sent.saturating_add(self.terms.renew_deadline))
    }

    /// Whether we may act now.
    pub fn leads(&self, now: Duration) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(version: &str, holder: Option<&str>) -> Seen {
        Seen { version: version.into(), holder: holder.map(str::to_owned), duration: 12 * SECOND }
    }

    fn candidate() -> Election {
        Election::new("me".into(), Terms::default())
    }

    #[test]
    fn what_is_absent_free_or_ours_needs_no_waiting() {
        for (name, lease, want) in [
            ("absent", None, Move::Take),
            ("released", Some(seen("1", None)), Move::Take),
            ("ours", Some(seen("1", Some("me"))), Move::Renew),
            ("another's", Some(seen("1", Some("you"))), Move::Wait),
        ] {
            assert_eq!(candidate().look(lease.as_ref(), SECOND), want, "{name}");
        }
    }

    #[test]
    fn anothers_lease_is_taken_once_it_has_not_changed_for_its_whole_duration() {
        let mut waiting = candidate();
        assert_eq!(waiting.look(Some(&seen("1", Some("you"))), 100 * SECOND), Move::Wait);
        assert_eq!(waiting.look(Some(&seen("2", Some("you"))), 108 * SECOND), Move::Wait);
        assert_eq!(waiting.look(Some(&seen("2", Some("you"))), 119 * SECOND), Move::Wait, "renewed at 108");
        assert_eq!(waiting.look(Some(&seen("2", Some("you"))), 120 * SECOND), Move::Take);
    }

    #[test]
    fn a_lease_that_is_gone_is_waited_for_but_by_its_holder() {
        let mut waiting = candidate();
        assert_eq!(waiting.look(Some(&seen("1", Some("you"))), SECOND), Move::Wait);
        assert_eq!(waiting.look(None, 2 * SECOND), Move::Wait, "its holder may not know yet");
        assert_eq!(waiting.look(None, 14 * SECOND), Move::Take);
        let mut holder = candidate();
        assert_eq!(holder.look(Some(&seen("1", Some("me"))), SECOND), Move::Renew);
        holder.stored(SECOND);
        assert_eq!(holder.look(None, 2 * SECOND), Move::Renew);
        assert_eq!(holder.look(None, 9 * SECOND), Move::Wait, "it can't be sure any more");
    }

    #[test]
    fn who_has_just_started_waits_the_whole_duration_whatever_the_lease_says() {
        let mut waiting = candidate();
        assert_eq!(waiting.look(Some(&seen("1", Some("dead"))), Duration::ZERO), Move::Wait);
        assert_eq!(waiting.look(Some(&seen("1", Some("dead"))), 11 * SECOND), Move::Wait);
        assert_eq!(waiting.look(Some(&seen("1", Some("dead"))), 12 * SECOND), Move::Take);
    }

    #[test]
    fn a_holder_acts_until_its_deadline_counted_from_when_it_sent_its_renewal() {
        let mut holder = candidate();
        assert!(!holder.leads(Duration::ZERO), "before it has the Lease");
        holder.stored(10 * SECOND);
        assert!(holder.leads(17 * SECOND));
        assert!(!holder.leads(18 * SECOND));
        holder.stored(17 * SECOND);
        assert!(holder.leads(24 * SECOND));
        holder.lost();
        assert!(!holder.leads(20 * SECOND));
    }

    #[test]
    fn clocks_of_different_rates_never_let_two_lead() {
        let terms = Terms::default();
        // The holder's clock runs slow, that of the one that waits fast.
        let holder_acts = terms.renew_deadline.mul_f64(1.0 / 0.82);
        let other_waits = terms.duration.mul_f64(1.0 / 1.2);
        assert!(holder_acts < other_waits, "{holder_acts:?} {other_waits:?}");
    }
}
