//! How the rules read contact methods and settings.

use super::{ContactMethod, ContactSettings};
use crate::error::Error;
use crate::id::{ContactMethodId, UserId};

/// The contact methods and settings of the members of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait ContactPort {
    /// A contact method that a member has added, verified or not.
    fn contact_method(&self, user: UserId, id: ContactMethodId) -> Result<Option<ContactMethod>, Error> {
        let _ = (user, id);
        Ok(None)
    }
    /// All contact methods that a member has added, oldest first.
    fn contact_methods(&self, user: UserId) -> Result<Vec<ContactMethod>, Error> {
        let _ = user;
        Ok(Vec::new())
    }
    /// What a member has set.
    fn contact_settings(&self, user: UserId) -> Result<Option<ContactSettings>, Error> {
        let _ = user;
        Ok(None)
    }
}
