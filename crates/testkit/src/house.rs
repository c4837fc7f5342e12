//! An engine in memory with a clock that is set by hand, and one organization in it: where a test begins.

use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, OrgId, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};

use crate::commands::Known;
use crate::fixture::{organization, valid};

/// An engine in memory, its clock, and the organization Harbour with its admin Ada Byron and its member Ben Marlow.
///
/// ```
/// use dogwatch_core::incident::{CreateIncident, Severity};
/// use dogwatch_testkit::house::House;
/// let house = House::new();
/// let open = CreateIncident::new("Checkout is down".parse()?, Severity::High, house.owner);
/// let incident = house.engine.execute(open, &house.admin)?;
/// assert_eq!(incident.created_at, house.clock_now());
/// # Ok::<(), dogwatch_store::Error>(())
/// ```
#[derive(Debug)]
pub struct House {
    /// The engine. Its ids are the same in every house.
    pub engine: Engine,
    /// Its clock, which shows 2026-04-07T10:00:00Z at first.
    pub clock: ManualClock,
    /// The organization.
    pub org: OrgId,
    /// The admin's user id, for whatever needs an owner.
    pub owner: UserId,
    /// The admin, as the actor of commands.
    pub admin: Actor,
    /// Ben, as the actor of commands.
    pub member: Actor,
    /// What is known of the organization: its two members.
    pub known: Known,
}

impl House {
    /// A house as it is described above.
    #[must_use]
    pub fn new() -> Self {
        let clock = ManualClock::at("2026-04-07T10:00:00Z".parse::<Timestamp>().unwrap());
        let engine = Engine::builder().clock(clock.clone()).id_seed([7; 32]).in_memory().unwrap();
        let created = organization(&engine);
        let mut known = Known::default();
        known.learn(&created.admin);
        let (email, first, last) = (valid("ben@house.example"), valid("Ben"), valid("Marlow"));
        let ben = AddMember::new(created.organization.id, email, first, last, Role::Member);
        let ben = engine.execute(ben, &Actor::Operator).unwrap();
        known.learn(&ben);
        let member = Actor::member(created.organization.id, ben.member.id);
        let (org, owner, admin) = (created.organization.id, created.admin.member.id, created.actor());
        Self { engine, clock, org, owner, admin, member, known }
    }

    /// The present instant of the clock.
    #[must_use]
    pub fn clock_now(&self) -> Timestamp {
        self.engine.now()
    }
}

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}
