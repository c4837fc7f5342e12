//! Random commands, for property tests and fuzzing of programs that embed the engine.
//!
//! [`Known`] knows ids, from the replies of commands before. A command is drawn from it: [`AnyCommand::arbitrary`] from bytes,
//! [`any_command`] and [`valid_command`] as strategies of proptest. Most name what is there; some of those of `any_command` name
//! what is gone, what is elsewhere, or what never was. All are well-formed: commands hold typed values.
//!
//! ```
//! use dogwatch_testkit::commands::{AnyCommand, any_command};
//! use dogwatch_testkit::house::House;
//! use proptest::strategy::{Strategy, ValueTree};
//! use proptest::test_runner::TestRunner;
//!
//! let mut house = House::new();
//! let mut runner = TestRunner::deterministic();
//! for _ in 0..100 {
//!     let command: AnyCommand = any_command(&house.known).new_tree(&mut runner).unwrap().current();
//!     // Refusals are part of it; what must hold is up to you.
//!     let _ = command.execute(&house.engine, &house.admin, &mut house.known);
//! }
//! assert!(house.engine.verify(&mut |_| ()).is_clean());
//! ```

use std::time::Duration;

use arbitrary::{Result as Drawn, Unstructured};
use dogwatch_core::api_key::{ApiKeyView, CreateApiKey, NewApiKey, RevokeApiKey};
use dogwatch_core::component::{Component, CreateComponent, DeleteComponent, EditComponent};
use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, OrderPolicyLayers,
    PolicyLayerView, PolicyView, Position, RemovePolicyLayer, Target,
};
use dogwatch_core::id::{
    ApiKeyId, ComponentId, Id, IncidentId, InvitationId, OverrideId, PolicyId, PolicyLayerId, RotationLayerId,
    ScheduleId, UpdateId,
};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, HandOffIncident, IncidentView, Owner, PostUpdate,
    RedactUpdate, SetComponents, Severity, Status, UpdateView, UpdateVisibility,
};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    HandoffTime, LayerSettings, OrderRotationLayers, Override, RemoveRotationLayer, RotationLayerView, RotationLength,
    RotationType, ScheduleView,
};
use dogwatch_core::team::{
    ChangeRole, InvitationSent, InviteMember, Joined, Member, RemoveMember, RevokeInvitation, Role,
};
use dogwatch_core::{Actor, Patch, Timestamp, UserId};
use dogwatch_store::{Engine, Error, Transaction};
use proptest::prelude::{Strategy, any};

/// The ids that are known, in the order in which they were learnt. What is deleted stays: commands name it, and are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Members, present and former.
    pub users: Vec<UserId>,
    /// Invitations, pending or not.
    pub invitations: Vec<InvitationId>,
    /// API keys, working or not.
    pub api_keys: Vec<ApiKeyId>,
    /// Components.
    pub components: Vec<ComponentId>,
    /// Incidents.
    pub incidents: Vec<IncidentId>,
    /// Updates, each with its incident.
    pub updates: Vec<(IncidentId, UpdateId)>,
    /// Schedules.
    pub schedules: Vec<ScheduleId>,
    /// Rotation layers, each with its schedule.
    pub rotation_layers: Vec<(ScheduleId, RotationLayerId)>,
    /// Overrides, each with its schedule.
    pub overrides: Vec<(ScheduleId, OverrideId)>,
    /// Escalation policies.
    pub policies: Vec<PolicyId>,
    /// Policy layers, each with its policy.
    pub policy_layers: Vec<(PolicyId, PolicyLayerId)>,
    /// The latest instant that was seen.
    pub now: Option<Timestamp>,
}

impl Known {
    /// Learns the ids of a reply.
    pub fn learn(&mut self, reply: &impl Learn) {
        reply.tell(self);
    }

    fn see(&mut self, at: Timestamp) {
        self.now = self.now.max(Some(at));
    }
}

/// A reply from which ids can be learnt. A reply without new ones teaches nothing.
pub trait Learn {
    /// Tells the ids.
    fn tell(&self, known: &mut Known);
}

fn remember<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

macro_rules! learn {
    ($($reply:ty: |$it:ident, $known:ident| $tell:expr;)*) => {$(
        impl Learn for $reply {
            fn tell(&self, $known: &mut Known) {
                let $it = self;
                $tell;
            }
        }
    )*};
}

learn! {
    Member: |it, known| remember(&mut known.users, it.id);
    Joined: |it, known| { known.learn(&it.member); known.learn(&it.api_key) };
    InvitationSent: |it, known| remember(&mut known.invitations, it.invitation.id);
    NewApiKey: |it, known| known.learn(&it.key);
    ApiKeyView: |it, known| remember(&mut known.api_keys, it.id);
    Component: |it, known| remember(&mut known.components, it.id);
    IncidentView: |it, known| { remember(&mut known.incidents, it.id); known.see(it.updated_at) };
    UpdateView: |it, known| { remember(&mut known.updates, (it.incident_id, it.id)); known.see(it.posted_at) };
    ScheduleView: |it, known| { remember(&mut known.schedules, it.id); known.see(it.updated_at) };
    RotationLayerView: |it, known| remember(&mut known.rotation_layers, (it.schedule_id, it.id));
    Override: |it, known| remember(&mut known.overrides, (it.schedule_id, it.id));
    PolicyView: |it, known| remember(&mut known.policies, it.id);
    PolicyLayerView: |it, known| remember(&mut known.policy_layers, (it.policy_id, it.id));
    Vec<RotationLayerView>: |it, known| it.iter().for_each(|one| known.learn(one));
    Vec<PolicyLayerView>: |it, known| it.iter().for_each(|one| known.learn(one));
}

/// Replies that are the id of what was deleted, which is known already.
macro_rules! nothing_new {
    ($($reply:ty),* $(,)?) => {$(
        impl Learn for $reply {
            fn tell(&self, _: &mut Known) {}
        }
    )*};
}

nothing_new! {
    UserId, InvitationId, ApiKeyId, ComponentId, ScheduleId, RotationLayerId, OverrideId, PolicyId, PolicyLayerId,
}

macro_rules! commands {
    ($($command:ident: |$draw:ident| $drawn:expr;)*) => {
        /// A command of a member, of any kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the command of its name")]
        pub enum AnyCommand {
            $($command($command),)*
        }

        impl AnyCommand {
            /// Executes the command, and learns from its reply.
            ///
            /// # Errors
            /// Those of the command.
            pub fn execute(self, engine: &Engine, actor: &Actor, known: &mut Known) -> Result<(), Error> {
                match self {
                    $(Self::$command(command) => known.learn(&engine.execute(command, actor)?),)*
                }
                Ok(())
            }

            /// Executes the command in a transaction, and learns from its reply.
            ///
            /// # Errors
            /// Those of the command.
            pub fn execute_in(self, tx: &mut Transaction<'_, '_>, known: &mut Known) -> Result<(), Error> {
                match self {
                    $(Self::$command(command) => known.learn(&tx.execute(command)?),)*
                }
                Ok(())
            }

            fn draw(from: &mut Draw<'_, '_, '_>) -> Drawn<Self> {
                let makers: &[fn(&mut Draw<'_, '_, '_>) -> Drawn<Self>] =
                    &[$(|$draw| Ok(Self::$command($drawn)),)*];
                let which = from.source.choose_index(makers.len())?;
                makers[which](from)
            }

            /// How many kinds of commands there are.
            pub const KINDS: usize = [$(stringify!($command)),*].len();
        }
    };
}

commands! {
    InviteMember: |draw| InviteMember::new(draw.email()?, draw.role()?);
    RevokeInvitation: |draw| RevokeInvitation::new(draw.one(|known| &known.invitations)?);
    ChangeRole: |draw| ChangeRole::new(draw.user()?, draw.role()?);
    RemoveMember: |draw| RemoveMember::new(draw.user()?);
    CreateApiKey: |draw| CreateApiKey { expires_at: draw.maybe(Draw::instant)?, ..CreateApiKey::new(draw.name()?) };
    RevokeApiKey: |draw| RevokeApiKey::new(draw.one(|known| &known.api_keys)?);
    CreateComponent: |draw| CreateComponent { description: draw.maybe(Draw::text)?, ..CreateComponent::new(draw.name()?) };
    EditComponent: |draw| EditComponent {
        name: draw.maybe(Draw::name)?,
        description: draw.patch(Draw::text)?,
        group_label: draw.patch(Draw::name)?,
        ..EditComponent::new(draw.component()?)
    };
    DeleteComponent: |draw| DeleteComponent::new(draw.component()?);
    CreateIncident: |draw| CreateIncident {
        description: draw.maybe(Draw::text)?,
        owner: Owner::of(draw.maybe(Draw::user)?, draw.maybe(Draw::schedule)?),
        escalation_policy_id: draw.maybe(Draw::policy)?,
        component_ids: draw.several(Draw::component)?,
        ..CreateIncident::new(draw.name()?, draw.severity()?, draw.user()?)
    };
    EditIncident: |draw| EditIncident {
        title: draw.maybe(Draw::name)?,
        description: draw.patch(Draw::text)?,
        severity: draw.maybe(Draw::severity)?,
        ..EditIncident::new(draw.incident()?)
    };
    ChangeStatus: |draw| ChangeStatus { note: draw.maybe(Draw::text)?, ..ChangeStatus::new(draw.incident()?, draw.status()?) };
    PostUpdate: |draw| PostUpdate {
        id: draw.incident()?,
        body: draw.maybe(Draw::text)?,
        status_change: draw.maybe(Draw::status)?,
        visibility: *draw.source.choose(&UpdateVisibility::ALL)?,
    };
    RedactUpdate: |draw| {
        let (incident, update) = draw.pair(|known| &known.updates)?;
        RedactUpdate::new(incident, update)
    };
    SetComponents: |draw| SetComponents::new(draw.incident()?, draw.several(Draw::component)?);
    AcknowledgeIncident: |draw| AcknowledgeIncident::new(draw.incident()?);
    HandOffIncident: |draw| HandOffIncident::new(draw.incident()?, draw.user()?);
    CreateSchedule: |draw| CreateSchedule { description: draw.maybe(Draw::text)?, ..CreateSchedule::new(draw.name()?, draw.zone()?) };
    EditSchedule: |draw| EditSchedule {
        name: draw.maybe(Draw::name)?,
        description: draw.patch(Draw::text)?,
        timezone: draw.maybe(Draw::zone)?,
        ..EditSchedule::new(draw.schedule()?)
    };
    DeleteSchedule: |draw| DeleteSchedule::new(draw.schedule()?);
    AddRotationLayer: |draw| AddRotationLayer::new(draw.schedule()?, draw.name()?, draw.settings()?);
    EditRotationLayer: |draw| {
        let (schedule, layer) = draw.pair(|known| &known.rotation_layers)?;
        EditRotationLayer {
            name: draw.maybe(Draw::name)?,
            handoff_time: draw.maybe(Draw::handoff)?,
            effective_from: draw.maybe(Draw::instant)?,
            effective_until: draw.patch(Draw::instant)?,
            participant_ids: draw.maybe(|draw| draw.several(Draw::user))?,
            ..EditRotationLayer::new(schedule, layer)
        }
    };
    RemoveRotationLayer: |draw| {
        let (schedule, layer) = draw.pair(|known| &known.rotation_layers)?;
        RemoveRotationLayer::new(schedule, layer)
    };
    OrderRotationLayers: |draw| {
        let schedule = draw.schedule()?;
        let layers = draw.parts(|known| &known.rotation_layers, schedule)?;
        OrderRotationLayers::new(schedule, layers)
    };
    CreateOverride: |draw| {
        let starts = draw.instant()?;
        let ends = starts.plus(Duration::from_secs(draw.source.int_in_range(0..=800_000)?));
        CreateOverride { reason: draw.maybe(Draw::text)?, ..CreateOverride::new(draw.schedule()?, draw.user()?, starts, ends) }
    };
    DeleteOverride: |draw| {
        let (schedule, id) = draw.pair(|known| &known.overrides)?;
        DeleteOverride::new(schedule, id)
    };
    CreatePolicy: |draw| CreatePolicy { description: draw.maybe(Draw::text)?, ..CreatePolicy::new(draw.name()?) };
    EditPolicy: |draw| EditPolicy {
        name: draw.maybe(Draw::name)?,
        description: draw.patch(Draw::text)?,
        ..EditPolicy::new(draw.policy()?)
    };
    DeletePolicy: |draw| DeletePolicy::new(draw.policy()?);
    AddPolicyLayer: |draw| AddPolicyLayer::new(draw.policy()?, draw.position()?, draw.timeout()?, draw.target()?);
    EditPolicyLayer: |draw| {
        let (policy, layer) = draw.pair(|known| &known.policy_layers)?;
        EditPolicyLayer {
            position: draw.maybe(Draw::position)?,
            ack_timeout: draw.maybe(Draw::timeout)?,
            target: draw.maybe(Draw::target)?,
            ..EditPolicyLayer::new(policy, layer)
        }
    };
    RemovePolicyLayer: |draw| {
        let (policy, layer) = draw.pair(|known| &known.policy_layers)?;
        RemovePolicyLayer::new(policy, layer)
    };
    OrderPolicyLayers: |draw| {
        let policy = draw.policy()?;
        let layers = draw.parts(|known| &known.policy_layers, policy)?;
        OrderPolicyLayers::new(policy, layers)
    };
}

impl AnyCommand {
    /// Draws a command from bytes: mostly one that names what is known.
    ///
    /// # Errors
    /// Those of the source of bytes, which gives zeros when it is empty.
    pub fn arbitrary(source: &mut Unstructured<'_>, known: &Known) -> Drawn<Self> {
        Self::draw(&mut Draw { source, known, strays: true })
    }

    /// As [`AnyCommand::arbitrary`], naming only what is known, as far as anything is.
    ///
    /// # Errors
    /// As [`AnyCommand::arbitrary`].
    pub fn arbitrary_valid(source: &mut Unstructured<'_>, known: &Known) -> Drawn<Self> {
        Self::draw(&mut Draw { source, known, strays: false })
    }
}

/// A strategy for commands that mostly name what is known, and sometimes what is not.
pub fn any_command(known: &Known) -> impl Strategy<Value = AnyCommand> + use<> {
    drawn(known.clone(), AnyCommand::arbitrary)
}

/// A strategy for commands that name only what is known, as far as anything is. The rules may refuse them all the same.
pub fn valid_command(known: &Known) -> impl Strategy<Value = AnyCommand> + use<> {
    drawn(known.clone(), AnyCommand::arbitrary_valid)
}

fn drawn(
    known: Known,
    draw: fn(&mut Unstructured<'_>, &Known) -> Drawn<AnyCommand>,
) -> impl Strategy<Value = AnyCommand> {
    let bytes = proptest::collection::vec(any::<u8>(), 64..160);
    // An empty source gives zeros, so that drawing always ends with a command.
    bytes.prop_map(move |bytes| draw(&mut Unstructured::new(&bytes), &known).expect("bytes make a command"))
}

/// What a command is drawn from.
struct Draw<'a, 'b, 'c> {
    source: &'a mut Unstructured<'b>,
    known: &'c Known,
    /// Whether ids that nobody made are drawn, too.
    strays: bool,
}

impl Draw<'_, '_, '_> {
    fn one<T: Id>(&mut self, list: impl Fn(&Known) -> &Vec<T>) -> Drawn<T> {
        let list = list(self.known);
        if list.is_empty() || (self.strays && self.source.ratio(1_u8, 12)?) {
            return Ok(T::from_bytes(self.source.arbitrary()?));
        }
        // What was made last is what happens to next, most of the time.
        let recent = list.len() - 1 - self.source.int_in_range(0..=(list.len() - 1).min(3))?;
        Ok(list[if self.source.ratio(3_u8, 4)? { recent } else { self.source.choose_index(list.len())? }])
    }

    fn pair<A: Id, B: Id>(&mut self, list: impl Fn(&Known) -> &Vec<(A, B)>) -> Drawn<(A, B)> {
        let list = list(self.known);
        if list.is_empty() || (self.strays && self.source.ratio(1_u8, 12)?) {
            return Ok((A::from_bytes(self.source.arbitrary()?), B::from_bytes(self.source.arbitrary()?)));
        }
        Ok(list[self.source.choose_index(list.len())?])
    }

    /// The parts of an entity, in another order, or not all of them.
    fn parts<A: Id, B: Id>(&mut self, list: impl Fn(&Known) -> &Vec<(A, B)>, of: A) -> Drawn<Vec<B>> {
        let mut parts: Vec<B> =
            list(self.known).iter().filter(|(whole, _)| *whole == of).map(|(_, part)| *part).collect();
        if !parts.is_empty() {
            let by = self.source.choose_index(parts.len())?;
            parts.rotate_left(by);
        }
        if self.strays && self.source.ratio(1_u8, 12)? {
            parts.pop();
        }
        Ok(parts)
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> Drawn<T>) -> Drawn<Option<T>> {
        if self.source.arbitrary()? { draw(self).map(Some) } else { Ok(None) }
    }

    fn patch<T>(&mut self, draw: impl FnOnce(&mut Self) -> Drawn<T>) -> Drawn<Patch<T>> {
        Ok(match self.source.int_in_range(0..=2)? {
            0 => Patch::Keep,
            1 => Patch::Clear,
            _ => Patch::Set(draw(self)?),
        })
    }

    fn several<T>(&mut self, draw: impl Fn(&mut Self) -> Drawn<T>) -> Drawn<Vec<T>> {
        let count = self.source.int_in_range(0..=3)?;
        (0..count).map(|_| draw(self)).collect()
    }

    fn user(&mut self) -> Drawn<UserId> {
        self.one(|known| &known.users)
    }

    fn component(&mut self) -> Drawn<ComponentId> {
        self.one(|known| &known.components)
    }

    fn incident(&mut self) -> Drawn<IncidentId> {
        self.one(|known| &known.incidents)
    }

    fn schedule(&mut self) -> Drawn<ScheduleId> {
        self.one(|known| &known.schedules)
    }

    fn policy(&mut self) -> Drawn<PolicyId> {
        self.one(|known| &known.policies)
    }

    fn role(&mut self) -> Drawn<Role> {
        Ok(*self.source.choose(&Role::ALL)?)
    }

    fn severity(&mut self) -> Drawn<Severity> {
        Ok(*self.source.choose(&Severity::ALL)?)
    }

    fn status(&mut self) -> Drawn<Status> {
        Ok(*self.source.choose(&Status::ALL)?)
    }

    /// A name of any kind, from a pool so small that names are taken.
    fn name<T: std::str::FromStr>(&mut self) -> Drawn<T> {
        let names = ["API", "Web", "Checkout is down", "Datenbank Ä", "支払い", "night", "Night", " padded "];
        self.source.choose(&names)?.parse().map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    /// A text that any description, body, note and reason may be.
    fn text<T: std::str::FromStr>(&mut self) -> Drawn<T> {
        let texts = ["x", "two\nlines", "日本語の説明", "All card payments fail. Forty tickets in ten minutes."];
        self.source.choose(&texts)?.parse().map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn email<T: std::str::FromStr>(&mut self) -> Drawn<T> {
        let emails = ["ben@example.com", "BEN@example.com", "cleo@example.com", "dora@example.com", "eve@example.com"];
        self.source.choose(&emails)?.parse().map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn zone(&mut self) -> Drawn<String> {
        let zones = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"];
        let stray = self.strays && self.source.ratio(1_u8, 12)?;
        Ok(if stray { "Europe/Atlantis" } else { *self.source.choose(&zones)? }.to_owned())
    }

    /// An instant within a month of the latest that is known.
    fn instant(&mut self) -> Drawn<Timestamp> {
        let now = self.known.now.unwrap_or(Timestamp::clamped(1_775_556_000_000));
        let minutes: i64 = self.source.int_in_range(-43_200..=43_200)?;
        Ok(Timestamp::clamped(now.as_millis() + minutes * 60_000))
    }

    fn handoff(&mut self) -> Drawn<HandoffTime> {
        HandoffTime::from_minutes(self.source.int_in_range(0..=1_439)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn settings(&mut self) -> Drawn<LayerSettings> {
        let length = RotationLength::new(RotationType::Custom, self.source.int_in_range(1..=30)?);
        let length = length.map_err(|_| arbitrary::Error::IncorrectFormat)?;
        let length = *self.source.choose(&[RotationLength::DAILY, RotationLength::WEEKLY, length])?;
        let (from, mut people) = (self.instant()?, self.several(Self::user)?);
        if people.is_empty() && !self.strays {
            people.push(self.user()?);
        }
        let until = self.maybe(|draw| Ok(from.plus(Duration::from_secs(draw.source.int_in_range(1..=9_000_000)?))))?;
        Ok(LayerSettings { effective_until: until, ..LayerSettings::new(length, self.handoff()?, from, people) })
    }

    fn position(&mut self) -> Drawn<Position> {
        Position::new(self.source.int_in_range(1..=5)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn timeout(&mut self) -> Drawn<AckTimeout> {
        AckTimeout::from_minutes(self.source.int_in_range(1..=60)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn target(&mut self) -> Drawn<Target> {
        if self.source.arbitrary()? { Ok(Target::Schedule(self.schedule()?)) } else { Ok(Target::user(self.user()?)) }
    }
}
