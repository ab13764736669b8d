//! Several controllers share the Rollouts: each holds a slot, a Lease of its own, and follows those of the others, by the
//! rules of `shards`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Client, ResourceExt,
    api::ListParams,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use tokio_util::sync::CancellationToken;

use super::{
    error::Error,
    following::told,
    leading::Leadership,
    leases::{AGAIN, Leases, MOMENT, Written, duration, holder, in_time, written},
    stores::version,
};
use crate::{
    config::LeaderElection,
    lease::Terms,
    routes::without_body,
    shards::{Move, Shards, Share, Slot, Stored},
};

/// What tells the slots of a group from all other Leases; its value is the group's name.
const LABEL: &str = "tidegate.dev/shards";
/// Whom a slot's holder knows, with commas between.
const KNOWS: &str = "tidegate.dev/knows";

/// A write of ours that the watch does not show for so long makes it begin anew: until it is shown, nothing is ours.
const SHOWN_BY: Duration = Duration::from_secs(4);

/// What has become ours.
pub struct Gain<'a> {
    /// What was ours until now; none where for a while nothing was, and others may have served it.
    pub before: Option<&'a Share>,
    /// What is.
    pub now: &'a Share,
}

impl Gain<'_> {
    /// Whether a Rollout, named by its UID, has become ours.
    pub fn has(&self, uid: &str) -> bool {
        self.now.owns(uid) && !self.before.is_some_and(|before| before.owns(uid))
    }
}

/// One controller of several that share the Rollouts.
pub struct Sharer {
    leases: Leases,
    group: String,
    shards: Shards,
    leadership: Arc<Leadership>,
    /// The slots as last seen or written.
    known: HashMap<String, Lease>,
    /// Those of a list that is coming in.
    listing: Vec<Lease>,
    /// They were listed once.
    listed: bool,
    /// What was ours last, and until when.
    share: Option<(Arc<Share>, Duration)>,
    /// Something is.
    serves: bool,
}

impl Sharer {
    /// Makes sure that the Leases can be read.
    pub async fn new(
        client: Client,
        settings: &LeaderElection,
        leadership: Arc<Leadership>,
    ) -> Result<Self, Error> {
        let group = settings.lease.clone();
        let leases = Leases::new(client, settings);
        let few = ListParams::default().labels(&format!("{LABEL}={group}")).limit(1);
        in_time(leases.api.list(&few)).await.map_err(|error| leases.unusable(&group, error))?;
        let shards = Shards::new(Leases::me(), group.clone(), Terms::default());
        Ok(Self {
            leases,
            group,
            shards,
            leadership,
            known: HashMap::new(),
            listing: Vec::new(),
            listed: false,
            share: None,
            serves: false,
        })
    }

    /// Seeks a slot, keeps it, and lets it go once `release` says so. None is taken before `warm`. `change` is told
    /// whenever the share that is ours has changed, or nothing is ours any more. An error says that no slot can be had.
    pub async fn run(
        mut self,
        warm: impl Future<Output = ()>,
        release: CancellationToken,
        change: impl Fn(Option<&Gain<'_>>),
    ) -> Result<(), Error> {
        let mut events = self.watch();
        let mut began = self.now();
        let mut warm = pin!(warm);
        let mut is_warm = false;
        loop {
            let next = self.step(is_warm, &change).await?;
            let now = self.now();
            if now >= began + SHOWN_BY
                && self.shards.unshown_since().is_some_and(|sent| now >= sent + SHOWN_BY)
            {
                tracing::warn!(group = self.group, "the watch of the slots stands still; it begins anew");
                events = self.watch();
                began = now;
            }
            tokio::select! {
                biased;
                () = release.cancelled() => {
                    self.let_go().await;
                    return Ok(());
                }
                () = &mut warm, if !is_warm => is_warm = true,
                Some(event) = events.next() => match event {
                    Ok(event) => self.take(event),
                    Err(error) => {
                        tracing::info!(error = told(&error), "the watch of the slots broke; it is tried again");
                    }
                },
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    fn watch(&self) -> BoxStream<'static, watcher::Result<Event<Lease>>> {
        let ours = watcher::Config::default().labels(&format!("{LABEL}={}", self.group));
        watcher(self.leases.api.clone(), ours).default_backoff().boxed()
    }

    fn now(&self) -> Duration {
        self.leadership.clock().elapsed()
    }

    fn take(&mut self, event: Event<Lease>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(lease) => self.listing.push(lease),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let names: BTreeSet<String> = listed.iter().map(ResourceExt::name_any).collect();
                let gone: Vec<String> =
                    self.known.keys().filter(|name| !names.contains(*name)).cloned().collect();
                for name in gone {
                    self.gone(&name);
                }
                // Our own is the last: what it proves, it proves of all the others.
                let (ours, others): (Vec<Lease>, Vec<Lease>) = listed
                    .into_iter()
                    .partition(|lease| Some(lease.name_any().as_str()) == self.shards.slot());
                for lease in others.into_iter().chain(ours) {
                    self.show(lease);
                }
                self.listed = true;
            }
            Event::Apply(lease) => self.show(lease),
            Event::Delete(lease) => self.gone(&lease.name_any()),
        }
    }

    fn show(&mut self, lease: Lease) {
        let name = lease.name_any();
        let slot = slot(&lease);
        let now = self.now();
        let newer = self.known.get(&name).is_none_or(|known| slot.version >= resource_version(known));
        self.shards.show(&name, Some(slot), now);
        if newer {
            self.known.insert(name, lease);
        }
    }

    fn gone(&mut self, name: &str) {
        let now = self.now();
        self.known.remove(name);
        self.shards.show(name, None, now);
    }

    /// Does what is to be done now; returns how long nothing else is.
    async fn step(&mut self, is_warm: bool, change: &impl Fn(Option<&Gain<'_>>)) -> Result<Duration, Error> {
        let retry = Terms::default().retry;
        if !self.listed {
            return Ok(retry);
        }
        let now = self.now();
        let next = self.shards.next(now);
        // What we tell others that we know, we act by.
        self.serve_share(now, change);
        let name = match next {
            Move::Wait => return Ok(self.shards.next_at(now).saturating_sub(now) + MOMENT),
            Move::End => {
                self.begin_anew(now);
                return Ok(Duration::ZERO);
            }
            Move::Take(_) | Move::Make(_) if !is_warm => return Ok(retry),
            Move::Take(name) | Move::Make(name) | Move::Renew(name) => name,
        };
        let done = self.write(name, now).await?;
        Ok(if done { Duration::ZERO } else { AGAIN })
    }

    fn serve_share(&mut self, now: Duration, change: &impl Fn(Option<&Gain<'_>>)) {
        let Some((share, until)) = self.shards.share(now) else {
            if self.serves {
                tracing::warn!(slot = self.shards.slot(), "this controller serves nothing for now");
            }
            self.serves = false;
            self.leadership.set_share(None);
            return change(None);
        };
        self.serves = true;
        let share = Arc::new(share);
        self.leadership.set_share(Some((Arc::clone(&share), until)));
        let before = self.share.replace((Arc::clone(&share), until));
        let before = before.filter(|(_, until)| *until > now).map(|(before, _)| before);
        if before.as_ref() != Some(&share) {
            let slot = self.shards.slot().unwrap_or_default();
            tracing::info!(
                slot,
                controllers = share.of(),
                "this controller serves its share of the Rollouts"
            );
            change(Some(&Gain { before: before.as_deref(), now: &share }));
        }
    }

    /// Others may take us for dead, or have our slot: we come again, as somebody new, with all that is known already. By the
    /// rules nothing is ours any more by then.
    fn begin_anew(&mut self, now: Duration) {
        let lease = self.leases.place(self.shards.slot().unwrap_or(&self.group));
        tracing::warn!(
            lease,
            "the slot was not renewed in time, or somebody else has it; another one is sought"
        );
        self.share = None;
        self.shards = Shards::new(Leases::me(), self.group.clone(), Terms::default());
        for (name, lease) in &self.known {
            self.shards.show(name, Some(slot(lease)), now);
        }
    }

    /// Writes a slot as ours. Returns whether it is; an error says that it never can be.
    async fn write(&mut self, name: String, sent: Duration) -> Result<bool, Error> {
        let told = self.shards.living(sent);
        let ours = self.lease(&name, Some(self.shards.me().to_owned()), &told);
        match self.leases.store(&name, &ours).await {
            Ok(stored) => {
                let version = resource_version(&stored);
                let now = self.now();
                self.known.insert(name.clone(), stored);
                self.shards.stored(Stored { name, version, sent, told }, now);
                Ok(true)
            }
            Err(error) if Leases::is_hopeless(&error, &ours) => {
                self.leadership.set_share(None);
                Err(self.leases.unusable(&name, error))
            }
            Err(error) => {
                let lease = self.leases.place(&name);
                let taken = matches!(&error, kube::Error::Api(status) if status.code == 409);
                tracing::info!(lease, error = %without_body(error), "the slot was not written; it is tried again");
                if taken && ours.metadata.resource_version.is_none() {
                    self.look_at(&name).await;
                }
                Ok(false)
            }
        }
    }

    /// A Lease stands where we know of none: one that the watch has yet to show, or none of ours.
    async fn look_at(&mut self, name: &str) {
        match self.leases.read(name).await {
            Ok(Some(lease)) if lease.labels().get(LABEL) == Some(&self.group) => self.show(lease),
            Ok(Some(_)) => {
                let lease = self.leases.place(name);
                tracing::warn!(lease, "the Lease lacks the label {LABEL}={}: it is left alone", self.group);
                self.shards.avoid(name);
            }
            Ok(None) => {}
            Err(error) => tracing::info!(name, error = %without_body(error), "the Lease can't be read"),
        }
    }

    /// Whoever is left may serve what was ours at once.
    async fn let_go(&mut self) {
        let Some(name) = self.shards.slot().map(str::to_owned) else { return };
        self.leadership.set_share(None);
        let free = self.lease(&name, None, &BTreeSet::new());
        if let Err(error) = self.leases.store(&name, &free).await {
            let lease = self.leases.place(&name);
            tracing::warn!(lease, error = %without_body(error), "the slot could not be let go; it runs out by itself");
        }
    }

    fn lease(&self, name: &str, holder: Option<String>, knows: &BTreeSet<String>) -> Lease {
        let knows: Vec<&str> = knows.iter().map(String::as_str).collect();
        let what = Written {
            name,
            holder,
            terms: Terms::default(),
            labels: BTreeMap::from([(LABEL.to_owned(), self.group.clone())]),
            annotations: BTreeMap::from([(KNOWS.to_owned(), knows.join(","))]),
        };
        written(self.known.get(name), what, self.leadership.clock().now())
    }
}

fn resource_version(lease: &Lease) -> u64 {
    version(lease.metadata.resource_version.as_deref())
}

/// What the rules need to know of a slot.
fn slot(lease: &Lease) -> Slot {
    let knows = lease.annotations().get(KNOWS).map(String::as_str).unwrap_or_default();
    let knows = knows.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Slot { version: resource_version(lease), holder: holder(lease), duration: duration(lease), knows }
}
