//! Durations as people write them: `30s`, `1h30m`, `500ms`.
//!
//! A unit is demanded, because a bare number is read as seconds by some and as milliseconds by
//! others.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};

/// Reads a duration; days count 24 hours. Nothing when the text is no duration or negative.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let span = SpanParser::new().parse_span(text.trim()).ok()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}

/// Writes a duration in the shortest form that [`parse`] reads.
pub(super) fn show(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_units_and_their_sums() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_unit_no_length_or_no_sense() {
        for text in ["", "30", "s", "-30s", "30s ago", "1mo", "1y", "ten seconds", "30x", "1s1h", "PT30S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(milliseconds in 0..=604_800_000_u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&show(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = parse(&text);
        }
    }
}
