//! Queries as octets, for the programs that load the daemon.

/// A query for A records, with an id of its own.
pub(crate) fn query(name: &str) -> Vec<u8> {
    let mut query = fastrand::u16(..).to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("a label"));
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}
