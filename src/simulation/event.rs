//! What can happen, and how much of it a seed makes happen.

use crate::simulator::{ConnectionStatus, Fault, Operation};
use crate::targets::Fate;

/// Applications that may exist.
pub(super) const APPLICATIONS: u8 = 3;

/// Servers that take the zones over.
pub(super) const SECONDARIES: u8 = 2;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Seconds go by.
    Wait(u32),
    /// The clock is put by so many seconds.
    ClockJump(i32),
    /// The daemon polls an application.
    Poll(u8),
    /// IoT Central requires one hub more.
    ScaleOut(u8),
    /// Azure ends an update of the application's endpoints.
    Settle(u8),
    /// Half of scaling in: the hub is not required any more.
    StopRequiring(u8),
    /// The other half: its address goes.
    ReleaseAddresses(u8),
    /// Both at once.
    ScaleIn(u8),
    /// Somebody creates an endpoint, to be approved by hand or not.
    AddEndpoint(u8, bool),
    /// Somebody deletes the application's endpoint of this index.
    DeleteEndpoint(u8, u8),
    /// It is deleted and created again, with other addresses.
    RecreateEndpoint(u8, u8),
    /// Its connection takes a state.
    Connection(u8, u8, ConnectionStatus),
    /// The application is created again, if it was deleted.
    Create(u8),
    /// The application is deleted.
    Delete(u8),
    /// Reads fail so often.
    Fault(Fault, Option<Operation>, u8),
    /// All faults of Azure end.
    FaultsEnd,
    /// The disk takes nothing any more.
    DiskFull,
    /// Writes take up to so many seconds.
    DiskSlow(u8),
    /// The disk is well again.
    DiskWell,
    /// The daemon is killed in the middle of its next write, before or after the rename, and starts again.
    CrashInSave(bool),
    /// The daemon is killed and starts again.
    Restart,
    /// It starts again without its state directory.
    LoseState,
    /// The configuration names these applications (bits), with zones per name or without.
    Reload(u8, bool),
    /// An operator ends all holds.
    Approve,
    /// An operator rejects all holds.
    Reject,
    /// A secondary asks for the zones.
    Transfer(u8),
    /// A secondary does not hear so many messages.
    Deaf(u8, u8),
    /// A secondary is built anew.
    LoseSecondary(u8),
    /// The target is written to; somebody may write before the message arrives.
    Push(Mishap),
    /// Somebody adds or removes a record at the server that stays primary: name, address.
    Foreign(u8, u8),
    /// Somebody removes a record of ours there.
    Steal(u8),
}

/// What goes wrong with an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// Nothing.
    None,
    /// The message does not arrive, and nobody knows.
    Lost,
    /// It is carried out, and the reply does not arrive.
    Unanswered,
    /// The daemon dies before the message leaves.
    CrashBefore,
    /// The daemon dies when it is carried out.
    CrashAfter,
}

impl Mishap {
    pub(super) const fn fate(self) -> Fate {
        match self {
            Self::None => Fate::Answered,
            Self::Lost => Fate::Lost,
            Self::Unanswered => Fate::Unanswered,
            Self::CrashBefore => Fate::DiesBefore,
            Self::CrashAfter => Fate::DiesAfter,
        }
    }
}

const FAULTS: [Fault; 16] = [
    Fault::AuthorizationFailed,
    Fault::InvalidAuthenticationToken,
    Fault::SubscriptionNotFound,
    Fault::ResourceGroupNotFound,
    Fault::SubscriptionRequestsThrottled,
    Fault::InternalServerError,
    Fault::ServiceUnavailable,
    Fault::BadGateway,
    Fault::TruncatedJson,
    Fault::HtmlBody,
    Fault::EmptyBody,
    Fault::NullBody,
    Fault::ArrayBody,
    Fault::ConnectionReset,
    Fault::PartialPage,
    Fault::ForeignNextLink,
];

const STATES: [ConnectionStatus; 4] = [
    ConnectionStatus::Pending,
    ConnectionStatus::Approved,
    ConnectionStatus::Rejected,
    ConnectionStatus::Disconnected,
];

const MISHAPS: [Mishap; 5] =
    [Mishap::None, Mishap::Lost, Mishap::Unanswered, Mishap::CrashBefore, Mishap::CrashAfter];

impl Event {
    /// The only application that it is about.
    pub(super) const fn application(self) -> Option<u8> {
        match self {
            Self::Poll(app)
            | Self::ScaleOut(app)
            | Self::Settle(app)
            | Self::StopRequiring(app)
            | Self::ReleaseAddresses(app)
            | Self::ScaleIn(app)
            | Self::AddEndpoint(app, _)
            | Self::DeleteEndpoint(app, _)
            | Self::RecreateEndpoint(app, _)
            | Self::Connection(app, ..)
            | Self::Create(app)
            | Self::Delete(app) => Some(app),
            _ => None,
        }
    }
}

/// The events of a seed.
pub(super) fn events(seed: u64, count: usize) -> Vec<Event> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| event(&mut random)).collect()
}

fn event(random: &mut fastrand::Rng) -> Event {
    let app = random.u8(0..APPLICATIONS);
    let endpoint = random.u8(0..3);
    let which = random.u8(0..100);
    match which {
        0..34 => Event::Poll(app),
        34..40 => Event::Wait(random.u32(1..400)),
        40 => Event::ClockJump(random.i32(-20_000..20_000)),
        41..46 => Event::ScaleOut(app),
        46..54 => Event::Settle(app),
        54..56 => Event::StopRequiring(app),
        56..58 => Event::ReleaseAddresses(app),
        58..61 => Event::ScaleIn(app),
        61..63 => Event::AddEndpoint(app, random.bool()),
        63 => Event::DeleteEndpoint(app, endpoint),
        64 => Event::RecreateEndpoint(app, endpoint),
        65..67 => Event::Connection(app, endpoint, STATES[random.usize(..STATES.len())]),
        67 => Event::Create(app),
        68 => Event::Delete(app),
        69..73 => {
            let operation = random.bool().then(|| Operation::ALL[random.usize(..Operation::ALL.len())]);
            Event::Fault(FAULTS[random.usize(..FAULTS.len())], operation, random.u8(1..6))
        }
        73..75 => Event::FaultsEnd,
        75 => Event::DiskFull,
        76 if random.bool() => Event::DiskSlow(random.u8(1..30)),
        76 => Event::DiskWell,
        77 => Event::CrashInSave(random.bool()),
        78..80 => Event::Restart,
        80 => Event::LoseState,
        81 => Event::Reload(random.u8(1..1 << APPLICATIONS), random.bool()),
        82..84 => Event::Approve,
        84 => Event::Reject,
        85..89 => Event::Transfer(random.u8(0..SECONDARIES)),
        89 if random.bool() => Event::Deaf(random.u8(0..SECONDARIES), random.u8(1..20)),
        89 => Event::LoseSecondary(random.u8(0..SECONDARIES)),
        90..96 => Event::Push(MISHAPS[if random.bool() { 0 } else { random.usize(..MISHAPS.len()) }]),
        96..98 => Event::Foreign(random.u8(0..8), random.u8(0..4)),
        98 => Event::Steal(random.u8(0..8)),
        _ => Event::Wait(random.u32(400..8000)),
    }
}
