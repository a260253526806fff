//! The messages of a plan: sent one after the other, and what became of each written down.

use std::collections::{BTreeSet, VecDeque};

use super::ledger::Book;
use super::plan::Plan;
use super::push::{Report, Work, of};
use super::session::{Session, Zones};
use crate::wire::update::{LONGEST, NameChange, Reply, messages};
use crate::zones::DnsName;

/// Further messages of a run that find out which names of a refused one are to blame.
const SEARCH: usize = 64;

const REFUSED: u8 = 5;
const SERVFAIL: u8 = 2;

/// What became of the messages of a plan.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) problems: Vec<String>,
    /// Changes of which nobody knows what became.
    pub(super) open: Vec<NameChange>,
    /// Why nobody knows what became of one.
    pub(super) unknown: Option<String>,
    /// It has no answer at all; nothing was sent after it.
    broken: bool,
    /// Names to look at again.
    pub(super) again: BTreeSet<DnsName>,
}

impl Work<'_> {
    /// Sends what a plan says, and settles what is known of it.
    pub(super) async fn send(
        &self,
        session: &mut Session,
        zones: &Zones,
        plan: &Plan,
        book: &str,
        report: &mut Report,
    ) -> Sent {
        let mut sent = Sent::default();
        let mut search = SEARCH;
        for (zone, changes) in &plan.changes {
            let mut queue: VecDeque<&[NameChange]> =
                messages(zone, changes, LONGEST).into_iter().map(|message| message.changes).collect();
            while let Some(part) = queue.pop_front() {
                if sent.broken {
                    // It is not sent, which is certain.
                    self.settle(book, part, Book::refused).await;
                    sent.again.extend(owners(part));
                    continue;
                }
                let Some(message) = messages(zone, part, usize::MAX).pop() else { continue };
                let service = self.settings.kerberos.as_ref().and_then(|kerberos| kerberos.service.as_ref());
                let reply = session.update(zones, zone, &message.octets, service).await;
                tracing::debug!(target_name = self.name, %zone, names = part.len(), ?reply, "updated");
                if let Some(counters) = self.counters {
                    counters.count(&reply);
                }
                match reply {
                    Reply::Done => {
                        self.settle(book, part, Book::done).await;
                        part.iter().for_each(|change| report.count(change));
                    }
                    Reply::Changed(_) => {
                        self.settle(book, part, Book::refused).await;
                        sent.again.extend(owners(part));
                    }
                    Reply::Unknown { why, answered } => {
                        sent.again.extend(owners(part));
                        sent.open.extend_from_slice(part);
                        sent.unknown = Some(why);
                        sent.broken = !answered;
                    }
                    Reply::Refused { code: REFUSED | SERVFAIL, .. } if part.len() > 1 && search > 0 => {
                        // Maybe one name alone may not be changed.
                        search -= 1;
                        let (first, second) = part.split_at(part.len() / 2);
                        queue.push_front(second);
                        queue.push_front(first);
                    }
                    Reply::Refused { problem, .. } => {
                        self.settle(book, part, Book::refused).await;
                        let what = match part {
                            [change] => format!("{} ({zone})", change.owner),
                            _ => zone.to_string(),
                        };
                        sent.problems.push(format!("{what}: {problem}"));
                    }
                }
            }
        }
        sent
    }

    async fn settle(&self, book: &str, changes: &[NameChange], how: fn(&mut Book, &NameChange)) {
        let mut ledger = self.ledger.lock().await;
        let book = of(&mut ledger, book);
        changes.iter().for_each(|change| how(book, change));
    }
}

pub(super) fn owners<'a>(changes: impl IntoIterator<Item = &'a NameChange>) -> impl Iterator<Item = DnsName> {
    changes.into_iter().map(|change| change.owner.clone())
}
