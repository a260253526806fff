//! Why answers differ, and why ours are right.

use super::queries::Asked;
use super::reply::{Difference, Reply};

/// A reason for differences. Its comment is the explanation.
pub(super) struct Class {
    pub(super) name: &'static str,
    applies: fn(&Asked, &Difference, &Reply, &Reply) -> bool,
}

/// The first class that a difference belongs to.
pub(super) fn of(
    asked: &Asked,
    difference: &Difference,
    ours: &Reply,
    theirs: &Reply,
) -> Option<&'static Class> {
    ALL.iter().find(|class| (class.applies)(asked, difference, ours, theirs))
}

const FORMERR: u16 = 1;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;

/// What comes with another RCODE.
fn is_outcome(difference: &Difference) -> bool {
    matches!(difference.field, "rcode" | "flags" | "answer" | "authority")
}

pub(super) const ALL: &[Class] = &[
    Class {
        // An extended error may be with any answer and changes nothing (RFC 8914 section 2). Ours say more.
        name: "extended errors",
        applies: |_, difference, ours, theirs| {
            let others =
                |reply: &Reply| reply.options.iter().filter(|text| !text.starts_with("error")).count();
            difference.field == "options" && others(ours) == 0 && others(theirs) == 0
        },
    },
    Class {
        // Options that a server does not know are ignored (RFC 6891 section 6.1.2). Knot knows more of them: it tells
        // the name of its server to who asks (NSID), and when a copy of the zone ends (RFC 7314).
        name: "EDNS options",
        applies: |_, difference, ours, _| {
            difference.field == "options" && ours.options.iter().all(|text| text.starts_with("error"))
        },
    },
    Class {
        // Knot says nothing to what has no question that can be read. RCODE 1 is for that (RFC 1035 section
        // 4.1.1), and it is no larger than what was sent.
        name: "unreadable, said so",
        applies: |_, difference, ours, _| {
            difference.field == "answered" && ours.rcode == FORMERR && ours.question.is_empty()
        },
    },
    Class {
        // What has another opcode is not read any further here: its kind of query is not implemented, whatever
        // else it says (RFC 1035 section 4.1.1, RCODE 4). Knot takes NOTIFY and UPDATE, and so has to say that it is
        // not the server for that zone.
        name: "opcodes",
        applies: |asked, difference, ours, _| {
            asked.opcode != 0
                && (!ours.is_answered || ours.rcode == NOTIMP)
                && (is_outcome(difference) || matches!(difference.field, "question" | "answered" | "edns"))
        },
    },
    Class {
        // Who could not read a message may repeat its question or not; RFC 1035 asks for neither. We give back only
        // what was read.
        name: "question of what cannot be read",
        applies: |_, difference, ours, _| difference.field == "question" && ours.rcode == FORMERR,
    },
    Class {
        // Records of the zones have class IN. An answer for all classes must not be authoritative (RFC 1035
        // section 6.2), which Knot's for class ANY is; and for CHAOS Knot tells its version, which we keep for
        // ourselves.
        name: "classes",
        applies: |asked, difference, ours, _| {
            asked.class.is_some_and(|class| class != 1) && ours.rcode == REFUSED && is_outcome(difference)
        },
    },
    Class {
        // Who is no secondary is REFUSED (RFC 5936 section 2.2.1), over UDP as over TCP. Knot says NOTIMP to AXFR over
        // UDP, and NOTAUTH to who is not in its list.
        name: "transfers",
        applies: |asked, difference, ours, _| {
            matches!(asked.kind, Some(251 | 252))
                && matches!(ours.rcode, REFUSED | FORMERR)
                && is_outcome(difference)
        },
    },
    Class {
        // OPT, TKEY and TSIG are nothing to ask for, they are about a message (RFC 6895 section 3.1); MAILA and MAILB
        // are obsolete (RFC 1035 section 3.2.3). Knot answers as for a type without records.
        name: "types that are none",
        applies: |asked, difference, ours, _| {
            matches!(asked.kind, Some(41 | 249 | 250 | 253 | 254))
                && matches!(ours.rcode, FORMERR | NOTIMP)
                && is_outcome(difference)
        },
    },
    Class {
        // One RRset is enough for ANY (RFC 8482 section 4.1); which one is the server's choice.
        name: "ANY",
        applies: |asked, difference, ours, theirs| {
            let has_answer = |reply: &Reply| reply.rcode == 0 && !reply.sections[0].is_empty();
            asked.kind == Some(255) && difference.field == "answer" && has_answer(ours) && has_answer(theirs)
        },
    },
    Class {
        // Type 0 has no records (RFC 6895 section 3.1), so a name has none of it, as of any type that is not known
        // (RFC 3597 section 5). Knot says NOTIMP.
        name: "type 0",
        applies: |asked, difference, ours, theirs| {
            let has_none = ours.sections[0].is_empty();
            asked.kind == Some(0) && has_none && theirs.rcode == NOTIMP && is_outcome(difference)
        },
    },
    Class {
        // CD goes back as it came. A resolver has to do that (RFC 4035 section 3.2.2), and the daemon may be one; BIND
        // does it too. Knot, which is never a resolver, clears it (section 3.1.6), and nobody looks at it there.
        name: "CD",
        applies: |_, difference, ours, _| difference.field == "cd" && ours.has_cd,
    },
    Class {
        // A message ends where its counts say. What stands behind that is no part of it and changes nothing;
        // RFC 1035 has no word for it. Knot says FORMERR.
        name: "octets behind the message",
        applies: |asked, difference, _, theirs| {
            !asked.is_whole
                && theirs.rcode == FORMERR
                && (is_outcome(difference) || matches!(difference.field, "edns" | "question"))
        },
    },
    Class {
        // Records that a query has no use for are not looked into. Knot reads the data of some types, and says FORMERR
        // where it is not what the type asks for; RFC 1035 has no word for them either.
        name: "records in a query",
        applies: |asked, difference, _, theirs| {
            asked.has_records
                && theirs.rcode == FORMERR
                && (is_outcome(difference) || difference.field == "edns")
        },
    },
    Class {
        // The owner of an OPT is the root, there is one, and it stands in the additional section (RFC 6891 section
        // 6.1.1): FORMERR otherwise, without an OPT in it, because nothing in the broken one is believed.
        name: "broken OPT",
        applies: |asked, difference, ours, _| {
            (asked.has_records || asked.edns.is_some())
                && ours.rcode == FORMERR
                && ours.edns.is_none()
                && (is_outcome(difference) || difference.field == "edns")
        },
    },
];
