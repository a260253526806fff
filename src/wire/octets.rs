//! The few things that every reader of a message on plain octets needs.

/// Octets of a header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;

/// The longest name in wire format (RFC 1035 section 2.3.4).
pub(crate) const NAME: usize = 255;

/// The message, or a record that matters, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A number of 16 bits, for example of the header.
pub(crate) fn number(message: &[u8], at: usize) -> Result<u16, Malformed> {
    match message.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed),
    }
}

/// The end of a name that may end in a pointer; where it points to does not matter here.
pub(crate) fn skip_name(message: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Ok(at + 2),
            _ => return Err(Malformed),
        }
        if at - start > NAME {
            return Err(Malformed);
        }
    }
}
