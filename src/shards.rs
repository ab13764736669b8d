//! Who serves which Rollouts where several controllers share them: the rules, without clock and without API server. Pure.
//!
//! Each controller holds a Lease of its own, a *slot*. A Rollout belongs to the slot that wins by rendezvous hashing among
//! those whose holders live, so that one more or one less moves only its own share. As with one leader (`lease`), this
//! saves work and no more: what keeps two controllers apart is the epoch (`engine::claim`), and whoever is wrong about
//! its share pays with a refused write.
//!
//! No clock is compared with another's:
//!
//! - A slot whose holder has not renewed it for its whole duration, by the clock of who watches, is run out; its Rollouts
//!   go to the others, and the slot to whoever comes next.
//! - A holder acts until its renew deadline, counted from when it sent the last renewal *that its watch has shown it*. The
//!   watch shows changes in their order: so whoever acts knows of everybody who came before that renewal, and that others
//!   had not renewed theirs by then. What it sees later of a watch that stands still says nothing.
//! - Whoever comes names in its Lease whom it knows, and everybody does. It acts once all who live know of it; or after a
//!   whole duration, for by then nobody acts any more by what he saw before.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{api::fnv1a, lease::Terms};

/// A slot as a watch has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its resourceVersion: a greater one with each renewal.
    pub version: u64,
    /// Who holds it; none where it was released.
    pub holder: Option<String>,
    /// How long it is good for after each renewal, as its holder says.
    pub duration: Duration,
    /// Whom its holder knows.
    pub knows: BTreeSet<String>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Take this slot, which is free or run out.
    Take(String),
    /// Make this slot, for all that there are have holders.
    Make(String),
    /// Renew ours.
    Renew(String),
    /// Nothing.
    Wait,
    /// Others may take us for dead, or have our slot: we may only come again as somebody new.
    End,
}

/// The slots among which the Rollouts are shared, and ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    mine: String,
    slots: Vec<String>,
}

impl Share {
    /// Whether a Rollout, named by its UID, belongs to our slot.
    pub fn owns(&self, uid: &str) -> bool {
        let winner = self.slots.iter().max_by_key(|slot| (rank(slot, uid), *slot));
        winner == Some(&self.mine)
    }

    /// Among how many the Rollouts are shared.
    pub fn of(&self) -> usize {
        self.slots.len()
    }
}

/// How much a slot wants a Rollout. Thaler and Ravishankar, *A name-based mapping scheme for rendezvous*, 1996.
fn rank(slot: &str, uid: &str) -> u64 {
    // FNV alone leaves the high bits of like names alike; the finalizer of MurmurHash3 (Appleby) spreads them.
    let mut hash = fnv1a(&format!("{slot}/{uid}"));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// A write of ours that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The slot.
    pub name: String,
    /// Its resourceVersion since then.
    pub version: u64,
    /// When the write was sent.
    pub sent: Duration,
    /// Whom it names.
    pub told: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Known {
    slot: Slot,
    /// When it was first seen so.
    since: Duration,
}

#[derive(Clone, Debug)]
struct Mine {
    name: String,
    /// When the write was answered that took it.
    taken: Duration,
    /// When the last write was sent that was stored.
    stored: Duration,
    /// Writes that were stored and that the watch has not shown: their versions, and when they were sent.
    unshown: Vec<(u64, Duration)>,
    /// When the last write was sent that the watch has shown.
    shown: Option<Duration>,
    /// Whom the last write names.
    told: BTreeSet<String>,
    /// Everybody knows of us, or acts no more.
    joined: bool,
}

/// One controller's part. Times are those of its own monotonic clock, since any moment that stays the same.
#[derive(Clone, Debug)]
pub struct Shards {
    me: String,
    /// What the names of slots begin with.
    prefix: String,
    terms: Terms,
    known: BTreeMap<String, Known>,
    mine: Option<Mine>,
    /// Somebody else has our slot.
    robbed: bool,
    /// Names that are none of ours to use.
    avoided: BTreeSet<String>,
}

impl Shards {
    /// A controller of a name that no other process ever has.
    pub fn new(me: String, prefix: String, terms: Terms) -> Self {
        let (known, avoided) = (BTreeMap::new(), BTreeSet::new());
        Self { me, prefix, terms, known, mine: None, robbed: false, avoided }
    }

    /// The controller's name.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// A watch has shown a slot, or (`None`) that it is gone. One that is gone may have been deleted under a holder that
    /// does not know it yet, who is waited for as if it were there.
    pub fn show(&mut self, name: &str, slot: Option<Slot>, now: Duration) {
        let Some(slot) = slot else {
            self.known.entry(name.to_owned()).and_modify(|known| known.slot.version = 0);
            return;
        };
        let older = self.known.get(name).is_some_and(|known| slot.version < known.slot.version);
        if older {
            return;
        }
        if let Some(mine) = self.mine.as_mut().filter(|mine| mine.name == name) {
            let (shown, unshown) = mine.unshown.iter().partition(|(version, _)| *version <= slot.version);
            mine.unshown = unshown;
            let shown: Vec<(u64, Duration)> = shown;
            mine.shown = shown.iter().map(|(_, sent)| *sent).chain(mine.shown).max();
            self.robbed |= slot.holder.as_deref() != Some(&self.me) && mine.shown.is_some();
        }
        let same = self.known.get(name).filter(|known| known.slot.version == slot.version);
        let since = same.map_or(now, |known| known.since);
        self.known.insert(name.to_owned(), Known { slot, since });
    }

    /// Our write of a slot was stored as this version, as we know now; it had been sent before and named those.
    pub fn stored(&mut self, write: Stored, now: Duration) {
        let Stored { name, version, sent, told } = write;
        let mine = self.mine.get_or_insert_with(|| Mine {
            name: name.clone(),
            taken: now,
            stored: sent,
            unshown: Vec::new(),
            shown: None,
            told: BTreeSet::new(),
            joined: false,
        });
        mine.stored = sent;
        mine.told = told;
        mine.unshown.push((version, sent));
        // The watch may have been faster than the answer.
        if let Some(known) = self.known.get(&name).filter(|known| known.slot.version >= version) {
            let (slot, since) = (known.slot.clone(), known.since);
            self.show(&name, Some(slot), since);
        }
    }

    fn runs_out(known: &Known) -> Duration {
        known.since.saturating_add(known.slot.duration)
    }

    /// The slots of others that have not run out, as far as the watch is known to have come.
    fn others(&self, now: Duration) -> impl Iterator<Item = (&String, &Slot, &String)> {
        let mine = self.mine.as_ref();
        let known_to = mine.map_or(now, |mine| mine.shown.unwrap_or_default());
        let living = self.known.iter().filter(move |(name, known)| {
            mine.is_none_or(|mine| mine.name != **name) && known_to < Self::runs_out(known)
        });
        living.filter_map(|(name, known)| Some((name, &known.slot, known.slot.holder.as_ref()?)))
    }

    /// Everybody who lives, by what is known here: what our Lease is to say.
    pub fn living(&self, now: Duration) -> BTreeSet<String> {
        self.others(now).map(|(_, _, holder)| holder.clone()).collect()
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Move {
        let living = self.living(now);
        let Some(mine) = &self.mine else { return self.seek(now) };
        if self.robbed || now >= mine.stored.saturating_add(self.terms.renew_deadline) {
            return Move::End;
        }
        // Until our own write is shown, there may be others that have not been.
        let known =
            mine.shown.is_some() && self.others(now).all(|(_, slot, _)| slot.knows.contains(&self.me));
        // Others may have longer terms, and act the longer by what they saw before.
        let longest =
            self.others(now).map(|(_, slot, _)| slot.duration).fold(self.terms.duration, Duration::max);
        let alone = now >= mine.taken.saturating_add(longest);
        let due = now >= mine.stored.saturating_add(self.terms.retry) || mine.told != living;
        let name = mine.name.clone();
        if let Some(mine) = &mut self.mine {
            mine.joined |= known || alone;
        }
        if due { Move::Renew(name) } else { Move::Wait }
    }

    fn seek(&self, now: Duration) -> Move {
        // One that is ours already was written by a call whose answer was lost.
        let ours = |known: &Known| known.slot.holder.as_ref().is_none_or(|holder| *holder == self.me);
        let free = |known: &Known| ours(known) || now >= Self::runs_out(known);
        if let Some((name, _)) = self.known.iter().find(|(_, known)| free(known)) {
            return Move::Take(name.clone());
        }
        let mut names = (0_usize..).map(|number| format!("{}-{number}", self.prefix));
        let new = |name: &String| !self.known.contains_key(name) && !self.avoided.contains(name);
        names.find(new).map_or(Move::Wait, Move::Make)
    }

    /// A Lease of this name is none of the slots: it is left alone.
    pub fn avoid(&mut self, name: &str) {
        self.avoided.insert(name.to_owned());
    }

    /// When the first of our writes was sent that the watch has yet to show; `None` where it has shown them all.
    pub fn unshown_since(&self) -> Option<Duration> {
        self.mine.as_ref()?.unshown.first().map(|(_, sent)| *sent)
    }

    /// When to ask for the next move, if nothing is shown before.
    pub fn next_at(&self, now: Duration) -> Duration {
        let retry = now.saturating_add(self.terms.retry);
        let Some(mine) = &self.mine else {
            return self.known.values().map(Self::runs_out).filter(|at| *at > now).fold(retry, Duration::min);
        };
        let joins = mine.taken.saturating_add(self.terms.duration);
        let renews = mine.stored.saturating_add(self.terms.retry).max(now);
        if joins > now { renews.min(joins) } else { renews }
    }

    /// The share that is ours, and until when we may act on it; `None` where we may not.
    pub fn share(&self, now: Duration) -> Option<(Share, Duration)> {
        let mine = self.mine.as_ref().filter(|mine| mine.joined && !self.robbed)?;
        let until = mine.shown?.saturating_add(self.terms.renew_deadline);
        let others = self.others(now).map(|(name, _, _)| name);
        let slots = others.chain([&mine.name]).cloned().collect();
        (now < until).then(|| (Share { mine: mine.name.clone(), slots }, until))
    }

    /// The slot that we hold.
    pub fn slot(&self) -> Option<&str> {
        self.mine.as_ref().map(|mine| mine.name.as_str())
    }
}

#[cfg(test)]
mod tests;
