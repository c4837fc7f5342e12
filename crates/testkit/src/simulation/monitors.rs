//! What the auditor knows of integrations (contract, section 14): what their monitors reported and what was answered.
//!
//! What must be seen follows from what was reported, and from what admins have changed ([`World`]). What was not answered has happened or
//! has not, and what races has happened in any order: all that may be so is followed, until what is seen or answered tells. When nothing is
//! left that could be so, that is a complaint.

mod changes;
mod posts;
mod shown;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use dogwatch_core::id::{IncidentId, IntegrationId, PolicyId, ScheduleId};
use dogwatch_core::incident::Author;
use dogwatch_core::integration::{IntegrationSetting, IntegrationView, ListIntegrations};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::Engine;

use super::auditor::ensure;
use super::{Complaint, Instants};
use posts::Changed;
pub use posts::{Change, Post, Reply, Sent, Token};
pub(super) use shown::newest;
use shown::{Shown, compare_one, compare_opening, compare_view, integration, shown};
pub use world::Deed;
use world::{Name, Phase, Seen, TEN_MINUTES, Tick, World};

/// An integration, and all that may be so of it.
#[derive(Debug)]
struct Watched {
    /// What it was called at first.
    name: String,
    worlds: Vec<World>,
    ids: BTreeMap<Name, IncidentId>,
    /// When its incidents were opened, without storms.
    began: Vec<Timestamp>,
    /// Whether alerts have waited for a pause.
    paused: bool,
    /// What was sent in this step, in this order.
    sent: Vec<Post>,
    /// What admins have changed in this step, in this order.
    changed: Vec<Changed>,
}

/// An incident that an integration has opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The incident.
    pub id: IncidentId,
    /// The integration.
    pub integration: IntegrationId,
    /// When it was opened.
    pub at: Timestamp,
    /// The policy and the schedule that the integration may have named then.
    pub named: Vec<(Option<PolicyId>, Option<ScheduleId>)>,
}

/// The integrations of a night.
#[derive(Debug, Default)]
pub struct Monitors {
    watched: BTreeMap<IntegrationId, Watched>,
    /// What alerts did in this step to incidents that were open.
    pub deeds: BTreeMap<IncidentId, Vec<Deed>>,
    /// How many incidents integrations have opened.
    pub opened: u64,
    /// How many of those were storms.
    pub storms: u64,
    /// How many reports were refused, as no integration had their token, or their topic was not the one.
    pub refused: u64,
    /// How many changes of integrations were done.
    pub changes: u64,
}

impl Monitors {
    /// Begins to watch an integration that was just made.
    pub fn watch(&mut self, setting: &IntegrationSetting) {
        let watched = Watched {
            name: setting.name.to_string(),
            worlds: vec![World::of(setting.clone())],
            ids: BTreeMap::new(),
            began: Vec::new(),
            paused: false,
            sent: Vec::new(),
            changed: Vec::new(),
        };
        self.watched.insert(setting.id, watched);
    }

    /// A monitor has sent something.
    pub fn sent(&mut self, id: IntegrationId, post: Post) {
        self.refused +=
            u64::from(matches!(post.reply, Some(Reply::Refused | Reply::Foreign | Reply::Confirmed(false))));
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.sent.push(post);
        }
    }

    /// An admin has changed an integration; whether that was done, or `None` when nobody knows.
    pub fn changed(&mut self, id: IntegrationId, change: Change, done: Option<bool>) {
        self.changes += u64::from(done == Some(true));
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.changed.push((change, done));
        }
    }

    /// Finds out what has become of everything since the last step. Gives the incidents that were opened, and all that were touched.
    pub fn settle(
        &mut self,
        engine: &Engine,
        admin: &Actor,
        touched: &[IncidentId],
        instants: Instants,
        all: bool,
    ) -> Result<(Vec<Opened>, Vec<IncidentId>), Complaint> {
        self.deeds.clear();
        let (mut opened, mut stirred) = (Vec::new(), Vec::new());
        let quiet = self.watched.values().all(|watched| watched.sent.is_empty() && watched.changed.is_empty());
        let mut new = match quiet && instants.tick.is_none() && !all {
            true => BTreeMap::new(),
            false => self.find_new(engine, admin, instants.now)?,
        };
        for (id, watched) in &mut self.watched {
            let new = new.remove(id).unwrap_or_default();
            self.opened += u64::try_from(new.len()).unwrap();
            self.storms += u64::try_from(new.iter().filter(|shown| shown.is_storm()).count()).unwrap();
            let ids: Vec<_> = new.iter().map(|shown| (shown.view.id, shown.view.created_at)).collect();
            watched.audit_bound(&new)?;
            let step = Step { engine, admin, id: *id, touched, instants, all };
            let settled = watched.settle(&step, new, &mut self.deeds);
            stirred.extend(settled.map_err(|complaint| format!("{}: {complaint}", watched.name))?);
            let of = |(incident, at)| Opened { id: incident, integration: *id, at, named: watched.named(incident) };
            opened.extend(ids.into_iter().map(of));
        }
        ensure!(new.is_empty(), "incidents of an integration that nobody has created: {new:?}");
        if all {
            self.audit_list(engine, admin)?;
        }
        Ok((opened, stirred))
    }

    /// Checks that the list has all integrations but those that were deleted, each as it is by itself.
    fn audit_list(&self, engine: &Engine, admin: &Actor) -> Result<(), Complaint> {
        let mut listed = engine.query(&ListIntegrations, admin).map_err(|error| error.to_string())?;
        listed.sort_by_key(|view| view.setting.id);
        let mut expected = Vec::new();
        for id in self.watched.keys() {
            expected.extend(integration(engine, admin, *id)?);
        }
        ensure!(listed == expected, "the list of integrations is {listed:?}, and should be {expected:?}");
        Ok(())
    }

    /// The incidents that are seen for the first time, by integration, in the order in which they were opened.
    fn find_new(
        &self,
        engine: &Engine,
        admin: &Actor,
        now: Timestamp,
    ) -> Result<BTreeMap<IntegrationId, Vec<Shown>>, Complaint> {
        let known: BTreeSet<_> = self.watched.values().flat_map(|watched| watched.ids.values().copied()).collect();
        let mut new: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for view in newest(engine, admin, now)? {
            if let Some(id) = view.created_by.integration().filter(|_| !known.contains(&view.id)) {
                new.entry(id).or_default().push(shown(engine, admin, view.id)?);
            }
        }
        new.values_mut().for_each(|new: &mut Vec<Shown>| new.sort_by_key(|shown| shown.view.sequential_id));
        Ok(new)
    }

    /// How many waits end by a tick for an instant: the least and the most.
    #[must_use]
    pub fn due(&self, tick: Timestamp) -> (usize, usize) {
        let of = |watched: &Watched| {
            let counts = || watched.worlds.iter().map(|world| world.due(tick));
            let (least, most) = (counts().map(|due| due.0).min(), counts().map(|due| due.1).max());
            (least.unwrap_or_default(), most.unwrap_or_default())
        };
        self.watched.values().map(of).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// How many waits are still due after a tick for an instant that worked.
    #[must_use]
    pub fn overdue(&self, tick: Timestamp) -> usize {
        let least = |watched: &Watched| watched.worlds.iter().map(|world| world.overdue(tick)).min();
        self.watched.values().filter_map(least).sum()
    }

    /// Until when an incident stays quiet before it is resolved, and whether that is certain; `None` when it is not quiet.
    #[must_use]
    pub fn quiet_until(&self, incident: IncidentId) -> Option<(Timestamp, bool)> {
        let quiet = |watched: &Watched| {
            let name = watched.ids.iter().find(|(_, id)| **id == incident).map(|(name, _)| name)?;
            watched.worlds.iter().find_map(|world| world.quiet_until(name))
        };
        self.watched.values().find_map(quiet)
    }

    /// Rules out what would go on before the next deadline of all. Gives the instants at which something may go on.
    pub fn next_deadline(&mut self, next: Option<Timestamp>) -> Vec<Timestamp> {
        let mut may = Vec::new();
        for watched in self.watched.values_mut() {
            let first = |world: &World| world.deadlines().min();
            let earlier = |world: &World| first(world).is_some_and(|due| next.is_none_or(|next| due < next));
            if watched.worlds.iter().any(|world| !earlier(world)) {
                watched.worlds.retain(|world| !earlier(world));
            }
            may.extend(watched.worlds.iter().filter_map(first));
        }
        may
    }
}

/// A step of a night, for one integration.
struct Step<'a> {
    engine: &'a Engine,
    admin: &'a Actor,
    id: IntegrationId,
    touched: &'a [IncidentId],
    instants: Instants,
    all: bool,
}

/// What has yet to happen in a step.
#[derive(Debug, Clone, Copy)]
struct Rest<'a> {
    sent: &'a [Post],
    changed: &'a [Changed],
    closed: &'a [Name],
    ticks: usize,
}

impl Watched {
    fn settle(
        &mut self,
        step: &Step<'_>,
        new: Vec<Shown>,
        deeds: &mut BTreeMap<IncidentId, Vec<Deed>>,
    ) -> Result<Vec<IncidentId>, Complaint> {
        let mut seen: BTreeMap<Name, Shown> = BTreeMap::new();
        new.into_iter().for_each(|shown| self.name(shown, &mut seen));
        let fresh: BTreeSet<_> = seen.keys().cloned().collect();
        let (sent, changed) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.changed));
        let due =
            step.instants.tick.is_some_and(|at| self.worlds.iter().flat_map(World::deadlines).any(|due| due <= at));
        let ours = |id: &IncidentId| step.touched.contains(id);
        let nothing = seen.is_empty() && sent.is_empty() && changed.is_empty();
        if nothing && !due && !step.all && !self.ids.values().any(ours) {
            return Ok(Vec::new());
        }
        self.look(step, &mut seen)?;
        let closed: Vec<_> = seen.iter().filter(|(name, shown)| self.closed_by_others(name, shown)).collect();
        let closed: Vec<Name> = closed.into_iter().map(|(name, _)| name.clone()).collect();
        let ticks = match (step.instants.tick, step.instants.faulty) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => 2,
        };
        let rest = Rest { sent: &sent, changed: &changed, closed: &closed, ticks };
        let mut may = Vec::new();
        self.worlds.iter().for_each(|world| self.go_on(world.clone(), rest, (step, &seen), &mut may));
        let ruled_out = self.rule_out(step, may, seen, &fresh);
        ruled_out.map_err(|complaint| {
            format!("{complaint}\n{:?}\nsent: {sent:#?}\nchanged: {changed:?}\nclosed: {closed:?}", step.instants)
        })?;
        let stirred = self.stirred();
        self.tell_deeds(&stirred, deeds);
        self.forget_step();
        Ok(stirred)
    }

    /// Gives an incident that is seen for the first time its name.
    fn name(&mut self, shown: Shown, seen: &mut BTreeMap<Name, Shown>) {
        let title = shown.view.title.to_string();
        let before = self.ids.keys().filter(|(it, _)| *it == title).count();
        let name = (title, before);
        self.ids.insert(name.clone(), shown.view.id);
        seen.insert(name, shown);
    }

    /// What was done to incidents in this step, as far as that is certain.
    fn tell_deeds(&self, stirred: &[IncidentId], deeds: &mut BTreeMap<IncidentId, Vec<Deed>>) {
        for (name, id) in self.ids.iter().filter(|(_, id)| stirred.contains(id)) {
            let mut did = self.worlds.iter().filter_map(|world| world.opened.get(name)).map(|group| &group.deeds);
            let first = did.next().cloned().unwrap_or_default();
            if did.all(|other| *other == first) {
                deeds.insert(*id, first);
            }
        }
    }

    /// Forgets what was done in a step, and keeps each world that may be so once.
    fn forget_step(&mut self) {
        let mut worlds = Vec::new();
        for mut world in std::mem::take(&mut self.worlds) {
            world.settle();
            if !worlds.contains(&world) {
                worlds.push(world);
            }
        }
        self.worlds = worlds;
    }

    /// At most 60 incidents are opened in ten minutes before there is a storm. Those that wait for a pause count from when that began.
    fn audit_bound(&mut self, new: &[Shown]) -> Result<(), Complaint> {
        self.paused |= self.worlds.iter().any(|world| world.setting.pause_seconds > 0);
        if self.paused {
            return Ok(());
        }
        for shown in new.iter().filter(|shown| !shown.is_storm()) {
            let at = shown.view.created_at;
            self.began.push(at);
            let lately = self.began.iter().filter(|began| at < began.plus(TEN_MINUTES)).count();
            ensure!(lately <= 60, "{} has opened {lately} incidents in ten minutes", self.name);
        }
        Ok(())
    }

    /// Whether somebody else has resolved an incident since it was last looked at.
    fn closed_by_others(&self, name: &Name, shown: &Shown) -> bool {
        let open = |world: &World| world.opened.get(name).is_some_and(|it| !matches!(it.phase, Phase::Closed(_)));
        shown.resolved_by.is_some_and(|by| by.integration().is_none()) && self.worlds.iter().any(open)
    }

    /// Looks at what may have changed: what is open, what was touched, and what has a signal that was reported.
    fn look(&self, step: &Step<'_>, seen: &mut BTreeMap<Name, Shown>) -> Result<(), Complaint> {
        for (name, id) in &self.ids {
            let open = |world: &World| world.opened.get(name).is_none_or(|it| !matches!(it.phase, Phase::Closed(_)));
            let look = step.all || step.touched.contains(id) || self.worlds.iter().any(open);
            if look && !seen.contains_key(name) {
                seen.insert(name.clone(), shown(step.engine, step.admin, *id)?);
            }
        }
        Ok(())
    }

    /// All that may be so after what is left of a step, in any order of what is not in one.
    fn go_on(
        &self,
        world: World,
        rest: Rest<'_>,
        (step, seen): (&Step<'_>, &BTreeMap<Name, Shown>),
        may: &mut Vec<World>,
    ) {
        if rest.sent.is_empty() && rest.changed.is_empty() && rest.closed.is_empty() && rest.ticks == 0 {
            if !may.contains(&world) {
                may.push(world);
            }
            return;
        }
        if let [post, sent @ ..] = rest.sent {
            let rest = Rest { sent, ..rest };
            if post.reply.is_none() {
                self.go_on(world.clone(), rest, (step, seen), may);
            }
            let mut after = world.clone();
            if after.receives(post) {
                self.go_on(after, rest, (step, seen), may);
            }
        }
        if let [(change, done), changed @ ..] = rest.changed {
            let rest = Rest { changed, ..rest };
            if done.is_none() {
                self.go_on(world.clone(), rest, (step, seen), may);
            }
            let mut after = world.clone();
            if after.changes(change, *done) {
                self.go_on(after, rest, (step, seen), may);
            }
        }
        if let [name, closed @ ..] = rest.closed {
            let mut after = world.clone();
            if after.is_closed(name) {
                self.go_on(after, Rest { closed, ..rest }, (step, seen), may);
            }
        }
        if let (Some(at), 1..) = (step.instants.tick, rest.ticks) {
            let rest = Rest { ticks: rest.ticks - 1, ..rest };
            let ids = seen_now(step.id, seen, &self.ids);
            // Where nothing comes between two ticks, it makes no difference which of them it was.
            let between = !rest.sent.is_empty() || !rest.changed.is_empty();
            let due = if step.instants.faulty && between { world.due_names(at) } else { Vec::new() };
            let mut ticks = vec![Tick::All];
            if step.instants.faulty {
                // One fault keeps a tick from one of those that are due.
                let but = || due.iter().map(Some).chain([None]);
                let some = |silent| but().map(move |but| (but, silent));
                let some = some(true).chain(some(false));
                ticks = some.map(|(but, silent)| Tick::Some { seen: &ids, but, silent }).collect();
            }
            // Of what is due at one instant, any comes first.
            let orders = if world.is_tied(at) { &[true, false][..] } else { &[true] };
            for (tick, silence_first) in
                ticks.into_iter().flat_map(|tick| orders.iter().map(move |order| (tick, *order)))
            {
                let mut after = world.clone();
                after.ticks(at, tick, silence_first);
                self.go_on(after, rest, (step, seen), may);
            }
        }
    }

    /// Rules out what is not what is seen.
    fn rule_out(
        &mut self,
        step: &Step<'_>,
        may: Vec<World>,
        seen: BTreeMap<Name, Shown>,
        fresh: &BTreeSet<Name>,
    ) -> Result<(), Complaint> {
        let mut seen = seen;
        for name in may.iter().flat_map(|world| &world.opened).filter(|(_, group)| group.stirred).map(|(name, _)| name)
        {
            if let (Some(id), false) = (self.ids.get(name), seen.contains_key(name)) {
                seen.insert(name.clone(), shown(step.engine, step.admin, *id)?);
            }
        }
        ensure!(!may.is_empty(), "what was answered cannot be true");
        let view = integration(step.engine, step.admin, step.id)?;
        let mut why = Vec::new();
        let fits = |world: &World| match self.compare(world, &seen, fresh, view.as_ref()) {
            Ok(()) => true,
            Err(complaint) => {
                why.push(complaint);
                false
            }
        };
        self.worlds = may.into_iter().filter(fits).collect();
        ensure!(!self.worlds.is_empty(), "nothing that may be so is so: {why:#?}");
        Ok(())
    }

    /// Compares what may be so with what is seen.
    fn compare(
        &self,
        world: &World,
        seen: &BTreeMap<Name, Shown>,
        fresh: &BTreeSet<Name>,
        view: Option<&IntegrationView>,
    ) -> Result<(), Complaint> {
        let missing = world.opened.keys().find(|name| !self.ids.contains_key(*name));
        ensure!(missing.is_none(), "an incident was not opened: {missing:?}");
        let invented = self.ids.keys().find(|name| !world.opened.contains_key(*name));
        ensure!(invented.is_none(), "an incident was opened: {invented:?}");
        ensure!(view.is_none() == world.deleted, "it is deleted: {}, and is shown as {view:?}", world.deleted);
        if let Some(view) = view {
            compare_view(world, view)?;
        }
        for (name, shown) in seen {
            let Some(group) = world.opened.get(name) else { continue };
            let compared = compare_one(group, shown, world.is_heartbeat());
            let compared = match fresh.contains(name) {
                true => compared.and_then(|()| compare_opening(group, shown)),
                false => compared,
            };
            compared.map_err(|complaint| format!("{}: {complaint}", shown.view.id))?;
        }
        Ok(())
    }

    /// What an integration may have named when it opened an incident.
    fn named(&self, incident: IncidentId) -> Vec<(Option<PolicyId>, Option<ScheduleId>)> {
        let name = self.ids.iter().find(|(_, id)| **id == incident).map(|(name, _)| name);
        let groups = self.worlds.iter().filter_map(|world| world.opened.get(name?));
        let by = groups.filter_map(|group| group.opened_by.as_ref());
        let mut named: Vec<_> = by.map(|it| (it.escalation_policy_id, it.owner_schedule_id)).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    /// The incidents to which something may have happened in this step.
    fn stirred(&self) -> Vec<IncidentId> {
        let stirred =
            |name: &Name| self.worlds.iter().filter_map(|world| world.opened.get(name)).any(|group| group.stirred);
        self.ids.iter().filter(|(name, _)| stirred(name)).map(|(_, id)| *id).collect()
    }
}

/// The incidents that are seen to be there, and those that the integration is seen to have resolved.
fn seen_now(by: IntegrationId, seen: &BTreeMap<Name, Shown>, ids: &BTreeMap<Name, IncidentId>) -> Seen {
    let resolved = seen.iter().filter(|(_, shown)| shown.resolved_by == Some(Author::Integration(by)));
    Seen { opened: ids.keys().cloned().collect(), resolved: resolved.map(|(name, _)| name.clone()).collect() }
}
