//! Whether an answer is the one to a query.

/// Whether this is an answer to `query` with an address.
pub(crate) fn is_right(query: &[u8], answer: &[u8]) -> bool {
    matches!((query, answer), ([a, b, ..], [c, d, _, code, _, _, high, low, ..])
        if (a, b) == (c, d) && code & 15 == 0 && (*high, *low) != (0, 0))
}
