//! The master key of an installation: a file beside the store, for its owner only, which no export and no backup contains.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use dogwatch_core::link::MasterKey;

use crate::record::{from_hex, hex};

/// The file in the folder of the store: 64 hexadecimal digits.
pub(crate) const FILE: &str = "master.key";

/// The master key that is kept in the folder of a store; one is made if there is none. The folder must be there.
///
/// Links and secrets that were handed out are derived from it: when it is lost, they stop working.
///
/// # Errors
/// When the file cannot be read or written; [`InvalidData`](io::ErrorKind::InvalidData) when it holds something else.
pub fn master_key(folder: &Path) -> io::Result<MasterKey> {
    let path = folder.join(FILE);
    match File::open(&path) {
        Ok(file) => read(file),
        Err(why) if why.kind() == io::ErrorKind::NotFound => make(folder, &path),
        Err(why) => Err(why),
    }
}

fn read(file: File) -> io::Result<MasterKey> {
    let mut text = String::new();
    file.take(1_024).read_to_string(&mut text)?;
    let bytes = from_hex(text.trim_end()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let what = || io::Error::new(io::ErrorKind::InvalidData, format!("`{FILE}` does not hold 64 hexadecimal digits"));
    bytes.map(MasterKey::from_bytes).ok_or_else(what)
}

fn make(folder: &Path, path: &Path) -> io::Result<MasterKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let part = folder.join(format!("{FILE}.tmp"));
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part)?;
    writeln!(file, "{}", hex(&bytes))?;
    file.sync_all()?;
    // It is there as a whole or not at all, also after a loss of power.
    fs::rename(&part, path)?;
    File::open(folder)?.sync_all()?;
    Ok(MasterKey::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dogwatch_core::Timestamp;
    use dogwatch_core::id::{Id, IncidentId, NotificationId, OrgId, UserId};
    use dogwatch_core::link::PageLink;

    #[test]
    fn it_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let link = PageLink {
            org_id: OrgId::from_bytes([1; 16]),
            incident_id: IncidentId::from_bytes([2; 16]),
            user_id: UserId::from_bytes([3; 16]),
            notification_id: NotificationId::from_bytes([4; 16]),
            expires_at: Timestamp::MAX,
        };
        let token = link.token(&master_key(folder.path()).unwrap());
        assert_eq!(PageLink::read(&token, &master_key(folder.path()).unwrap(), Timestamp::MIN), Some(link));
        let path = folder.path().join(FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for wrong in ["", "abc", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &"0".repeat(5_000)] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(master_key(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{wrong}");
        }
        assert!(master_key(&folder.path().join("none")).is_err());
        let other = tempfile::tempdir().unwrap();
        assert_eq!(PageLink::read(&token, &master_key(other.path()).unwrap(), Timestamp::MIN), None);
    }
}
