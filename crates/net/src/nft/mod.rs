//! The firewall: a [`Ruleset`] value becomes what the kernel holds, in one transaction.

mod encode;
mod expr;
mod watch;

pub use watch::FirewallWatch;

use netplan::nft::{Change, Ruleset, TableId, diff};

use crate::Error;
use crate::instance::Instance;
use crate::netlink::{Attrs, Message, Netlink};

/// Keeps some tables of the calling thread's namespace equal to a ruleset. It is the only
/// writer of these tables, so it remembers what it wrote; should somebody else have changed them,
/// it notices by a refusal and writes them whole.
#[derive(Debug)]
pub struct Firewall {
    netlink: Netlink,
    applied: Option<Ruleset>,
}

/// What an application of a ruleset did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The ruleset was there already; the kernel was not asked.
    Unchanged,
    /// So many changes in one transaction.
    Changed(usize),
    /// All tables were replaced in one transaction.
    Replaced,
}

impl Firewall {
    /// Opens the way to the kernel. The first ruleset replaces what an earlier process left.
    pub fn open() -> Result<Firewall, Error> {
        Ok(Firewall { netlink: Netlink::netfilter()?, applied: None })
    }

    /// Makes the tables of `wanted` hold exactly that, atomically: no packet sees a mixture, and
    /// on an error the kernel holds what it held before. Tables of the last ruleset that are not
    /// in this one go.
    pub fn apply(&mut self, wanted: &Ruleset) -> Result<Applied, Error> {
        if let Some(applied) = &self.applied {
            let changes = diff(applied, wanted);
            if changes.is_empty() {
                return Ok(Applied::Unchanged);
            }
            let count = changes.len();
            if encode::transact(&mut self.netlink, &changes).is_ok() {
                self.applied = Some(wanted.clone());
                return Ok(Applied::Changed(count));
            }
        }
        self.replace(wanted)?;
        self.applied = Some(wanted.clone());
        Ok(Applied::Replaced)
    }

    /// Writes the tables again if one of them is gone. Says whether it did.
    pub fn restore_if_lost(&mut self) -> Result<bool, Error> {
        let Some(applied) = self.applied.clone() else { return Ok(false) };
        let there = tables(&mut self.netlink)?;
        if applied.tables.keys().all(|id| there.contains(id)) {
            return Ok(false);
        }
        self.replace(&applied)?;
        Ok(true)
    }

    fn replace(&mut self, wanted: &Ruleset) -> Result<(), Error> {
        let nothing = Ruleset::default();
        let before = self.applied.as_ref().unwrap_or(&nothing);
        let mut stale: Vec<&TableId> = before.tables.keys().chain(wanted.tables.keys()).collect();
        stale.sort();
        stale.dedup();
        // Adding a table that is there is allowed, deleting one that is not is an error.
        let mut changes: Vec<Change<'_>> =
            stale.into_iter().flat_map(|id| [Change::AddTable(id), Change::DelTable(id)]).collect();
        changes.extend(diff(&nothing, wanted));
        encode::transact(&mut self.netlink, &changes)
    }
}

/// Deletes every table of an instance (reset, and recovery after a change of plans).
pub fn remove_tables(instance: &Instance) -> Result<Vec<TableId>, Error> {
    let mut netlink = Netlink::netfilter()?;
    let own = instance.table();
    let part = format!("{own}.");
    let mut ids = tables(&mut netlink)?;
    ids.retain(|id| id.name == own || id.name.starts_with(&part));
    let changes: Vec<Change<'_>> = ids.iter().map(Change::DelTable).collect();
    if !changes.is_empty() {
        encode::transact(&mut netlink, &changes)?;
    }
    Ok(ids)
}

/// The tables of the two families we use, whoever made them.
fn tables(netlink: &mut Netlink) -> Result<Vec<TableId>, Error> {
    const NAME: u16 = 1;
    let what = "cannot list the firewall's tables";
    let request = Message::new(encode::kind(encode::GETTABLE), 0, what).raw(&[0; 4]);
    let replies = netlink.query(request, crate::netlink::DUMP)?;
    let parse = |payload: &Vec<u8>| {
        let family = encode::family_of(*payload.first()?)?;
        let name = Attrs::new(payload.get(4..)?).text(NAME)?;
        Some(TableId { family, name })
    };
    Ok(replies.iter().filter_map(|(_, payload)| parse(payload)).collect())
}
