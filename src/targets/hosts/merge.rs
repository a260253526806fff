//! The block in a hosts file, as a pure function on octets.
//!
//! What is outside the block is somebody else's and is kept as it is: other line endings, octets that
//! are no UTF-8, a missing end of the last line, a byte order mark. The rules:
//!
//! * No marker: the block is added at the end, below an end for the last line if that has none.
//! * One BEGIN and one END below it: the lines from one to the other are replaced.
//! * Anything else was broken by hand. Nobody knows then which lines are ours: what is taken for the
//!   block may hold somebody's lines, and what is left outside may be an old address that wins. So
//!   nothing is written, and a person is told which lines to look at.
//!
//! A line counts as a marker also in other letters and with other blanks, because a block that is not
//! found would be added again, below an old one whose addresses win.

use std::ops::Range;

/// Lines in front of, behind, and at the top of the block.
const BEGIN: &str = "# BEGIN privatelink-dns";
const END: &str = "# END privatelink-dns";
const NOTE: &str = "# Managed by privatelink-dns: the lines up to END are replaced. Write yours outside.";

/// A block that cannot be replaced without guessing; lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenBlock {
    /// A BEGIN without an END below it.
    #[error("line {0} is `{BEGIN}`, and no `{END}` stands below it")]
    NoEnd(usize),
    /// An END without a BEGIN above it.
    #[error("line {0} is `{END}`, and no `{BEGIN}` stands above it")]
    NoBegin(usize),
    /// More than one block.
    #[error("a second `{BEGIN}` or `{END}` is in line {0}")]
    Second(usize),
    /// Two octets a character, which no hosts file of this system has.
    #[error("it is in UTF-16")]
    Utf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Begin,
    End,
}

/// The block with its markers; every line has this ending.
pub(in crate::targets) fn block(lines: &[String], ending: &str) -> String {
    let all = [BEGIN, NOTE].into_iter().chain(lines.iter().map(String::as_str)).chain([END]);
    all.flat_map(|line| [line, ending]).collect()
}

/// The file with these lines in its block.
pub(in crate::targets) fn merge(existing: &[u8], lines: &[String]) -> Result<Vec<u8>, BrokenBlock> {
    if existing.starts_with(b"\xff\xfe") || existing.starts_with(b"\xfe\xff") {
        return Err(BrokenBlock::Utf16);
    }
    let (before, after) = match find(existing)? {
        Some(place) => {
            (existing.get(..place.start).unwrap_or_default(), existing.get(place.end..).unwrap_or_default())
        }
        None => (existing, &b""[..]),
    };
    let mut merged = before.to_vec();
    // A byte order mark alone is an empty file.
    if !matches!(before, [] | b"\xef\xbb\xbf" | [.., b'\n']) {
        merged.extend_from_slice(ending([before, after]).as_bytes());
    }
    // With the end that the last line got, so that the next time finds the same.
    let block = block(lines, ending([&merged, after]));
    merged.extend_from_slice(block.as_bytes());
    merged.extend_from_slice(after);
    Ok(merged)
}

/// The ending of most lines outside the block; LF where there are as many of each.
fn ending(outside: [&[u8]; 2]) -> &'static str {
    let ends = outside.iter().flat_map(|text| text.iter()).filter(|b| **b == b'\n').count();
    let windows = outside.iter().flat_map(|text| text.windows(2)).filter(|pair| pair == b"\r\n").count();
    if windows * 2 > ends { "\r\n" } else { "\n" }
}

/// Where the block is, with both markers and the end of the last line.
fn find(text: &[u8]) -> Result<Option<Range<usize>>, BrokenBlock> {
    let (mut begin, mut end) = (None, None);
    let mut at = 0;
    for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let (start, number) = (at, index + 1);
        at += line.len();
        let mark = if index == 0 && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        match (marker(line.get(mark..).unwrap_or_default()), begin, end) {
            (None, ..) => {}
            (Some(Marker::Begin), None, None) => begin = Some((start + mark, number)),
            (Some(Marker::End), Some(_), None) => end = Some(at),
            (Some(Marker::End), None, _) => return Err(BrokenBlock::NoBegin(number)),
            (Some(_), ..) => return Err(BrokenBlock::Second(number)),
        }
    }
    match (begin, end) {
        (None, _) => Ok(None),
        (Some((start, _)), Some(end)) => Ok(Some(start..end)),
        (Some((_, number)), None) => Err(BrokenBlock::NoEnd(number)),
    }
}

/// What a line marks, whatever its case and blanks.
fn marker(line: &[u8]) -> Option<Marker> {
    let plain: Vec<u8> =
        line.iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    match plain.as_slice() {
        b"#beginprivatelink-dns" => Some(Marker::Begin),
        b"#endprivatelink-dns" => Some(Marker::End),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn merged(existing: &str, texts: &[&str]) -> String {
        let result = merge(existing.as_bytes(), &lines(texts)).unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8(result).expect("text")
    }

    #[test]
    fn the_block_is_added_at_the_end_and_replaced_where_it_stands() {
        let first = merged("127.0.0.1 localhost\n", &["10.0.0.1 a b"]);
        assert_eq!(first, format!("127.0.0.1 localhost\n{BEGIN}\n{NOTE}\n10.0.0.1 a b\n{END}\n"));
        let second = merged(&format!("{first}::1 six\n"), &["10.0.0.2 c"]);
        assert_eq!(second, format!("127.0.0.1 localhost\n{BEGIN}\n{NOTE}\n10.0.0.2 c\n{END}\n::1 six\n"));
        assert_eq!(merged(&second, &[]), format!("127.0.0.1 localhost\n{BEGIN}\n{NOTE}\n{END}\n::1 six\n"));
    }

    #[test]
    fn lines_end_as_most_of_the_file_do() {
        assert_eq!(
            merged("a\r\nb\r\nc\n", &["x"]),
            format!("a\r\nb\r\nc\n{}", block(&lines(&["x"]), "\r\n"))
        );
        assert_eq!(merged("a\r\nb\n", &["x"]), format!("a\r\nb\n{}", block(&lines(&["x"]), "\n")));
        assert_eq!(merged("no end", &[]), format!("no end\n{}", block(&[], "\n")));
        // The end that the last line gets is one of the file's.
        for text in ["a\r", "a\r\nb\nc", "a\nb\r"] {
            let once = merged(text, &["x"]);
            assert_eq!(merged(&once, &["x"]), once, "{text:?}");
        }
        assert_eq!(merged("\u{feff}", &[]), format!("\u{feff}{}", block(&[], "\n")));
        let marked = format!("\u{feff}{}end", block(&lines(&["old"]), "\n"));
        assert_eq!(merged(&marked, &[]), format!("\u{feff}{}end", block(&[], "\n")));
    }

    #[test]
    fn a_block_that_somebody_changed_a_little_is_still_found() {
        let changed = "a\n  #begin  PrivateLink-DNS \r\nold\n#END privatelink-dns";
        assert_eq!(merged(changed, &[]), format!("a\n{}", block(&[], "\n")));
        for other in ["# BEGIN privatelink-dns2", "# BEGIN privatelink", "BEGIN privatelink-dns", "## END x"]
        {
            assert_eq!(marker(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn nothing_is_guessed_about_a_broken_block() {
        for (text, broken) in [
            (format!("a\n{BEGIN}\nb\n"), BrokenBlock::NoEnd(2)),
            (format!("a\nb\n{END}\n"), BrokenBlock::NoBegin(3)),
            (format!("{END}\n{BEGIN}\n"), BrokenBlock::NoBegin(1)),
            (format!("{BEGIN}\n{BEGIN}\n{END}\n"), BrokenBlock::Second(2)),
            (format!("{BEGIN}\n{END}\n{END}\n"), BrokenBlock::Second(3)),
            (format!("{BEGIN}\n{END}\n{BEGIN}\n{END}\n"), BrokenBlock::Second(3)),
            (format!("{BEGIN}\n{END}\n{BEGIN}\n"), BrokenBlock::Second(3)),
        ] {
            assert_eq!(merge(text.as_bytes(), &[]), Err(broken), "{text:?}");
        }
        assert_eq!(merge(b"\xff\xfea\0", &[]), Err(BrokenBlock::Utf16));
    }

    /// Anything that may stand in a file, markers included.
    pub(in crate::targets::hosts) fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..12),
            4 => "[0-9a-f.: \t#]{0,20}".prop_map(String::into_bytes),
            2 => Just(b"\n".to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => Just(format!("\n{BEGIN}\n").into_bytes()),
            1 => Just(format!("\n{END}\r\n").into_bytes()),
            1 => Just(b"\xef\xbb\xbf".to_vec()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn not_one_octet_outside_the_block_changes(
            before in content(),
            after in content(),
            old in proptest::collection::vec("[0-9a-z. ]{0,30}", 0..5),
            new in proptest::collection::vec("[0-9a-z. ]{0,30}", 0..5),
            windows in any::<bool>(),
        ) {
            // A file with a block in it. That has lines of its own.
            let mut text = before.clone();
            if !text.is_empty() {
                text.push(b'\n');
            }
            let place = text.len();
            text.extend(block(&old, if windows { "\r\n" } else { "\n" }).as_bytes());
            text.extend(&after);
            match merge(&text, &new) {
                Ok(merged) => {
                    let block = block(&new, ending([&text[..place], &after]));
                    let mut expected = text[..place].to_vec();
                    expected.extend(block.as_bytes());
                    expected.extend(&after);
                    prop_assert_eq!(&merged, &expected);
                    prop_assert_eq!(merge(&merged, &new).expect("still whole"), merged);
                }
                Err(_) => {
                    let marks = |text: &[u8]| text.split(|b| *b == b'\n').any(|line| marker(line).is_some());
                    let utf16 = text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff");
                    prop_assert!(utf16 || marks(&before) || marks(&after) || find(&text).is_err());
                }
            }
        }

        #[test]
        fn a_file_without_a_block_is_kept_as_it_is(text in content(), new in proptest::collection::vec("[a-z. ]{0,9}", 0..3)) {
            if let Ok(None) = find(&text)
                && let Ok(merged) = merge(&text, &new)
            {
                prop_assert!(merged.starts_with(&text));
                let rest = String::from_utf8(merged[text.len()..].to_vec()).expect("the block is text");
                prop_assert!(["\n", "\r\n"].iter().any(|ending| rest.ends_with(&block(&new, ending))));
                prop_assert_eq!(merge(&merged, &new).expect("a whole block"), merged);
                prop_assert!(rest.trim_start_matches(['\r', '\n']).starts_with(BEGIN));
            }
        }
    }
}
