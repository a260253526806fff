//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

use super::{signature, tkey};

/// What a server answers while a context is negotiated, and with its signature.
pub(crate) fn transfer(message: &[u8]) {
    const OWNER: &[u8] = b"\x011\x07sig-dc1\x04corp\0";
    let id = message.first_chunk::<2>().map_or(0, |id| u16::from_be_bytes(*id));
    if let Ok(response) = tkey::response(&tkey::query(id, OWNER, b"ours", 1), OWNER, message) {
        assert!(response.token.len() < message.len(), "the token is in the message");
    }
    let mut checked = message.to_vec();
    let verified = signature::verify(OWNER, None, &mut checked, 1_700_000_000, |_, _| false);
    assert!(verified.is_err() && checked == message, "nobody has the context");
    // A context that takes every signature: what is left is the message without its last record.
    if signature::verify(OWNER, None, &mut checked, 1_700_000_000, |_, _| true).is_ok() {
        assert!(checked.len() < message.len());
    }
}
