//! Foreign text made fit for our messages.
//!
//! What a server sends ends up in logs, metrics and terminals; it must neither flood them nor
//! start a new line or an escape sequence in them.

/// The most characters of a foreign text that are kept.
const LIMIT: usize = 400;

/// `text` on one line, without control characters, at most 400 characters.
pub(super) fn one_line(text: &str) -> String {
    // Line and paragraph separator, and what turns the direction of text around, are no control
    // characters to `char`.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut line = String::new();
    let mut gap = false;
    for (count, c) in text.chars().filter(|c| *c != '\u{feff}').enumerate() {
        if count == LIMIT {
            line.push('…');
            break;
        }
        if odd(c) || c == ' ' {
            gap = !line.is_empty();
            continue;
        }
        if gap {
            line.push(' ');
            gap = false;
        }
        line.push(c);
    }
    line
}

/// An error and what caused it, on one line.
///
/// A cause that an outer text already tells is left out.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = inner.source();
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn foreign_text_stays_on_its_line_and_short() {
        assert_eq!(one_line("  a\r\n\tb \u{1b}[31mc\u{2028}d  "), "a b [31mc d");
        assert_eq!(one_line(&"x".repeat(5000)).chars().count(), 401);
        assert_eq!(one_line("\u{202e}"), "");
    }
}
