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

/// `text` without a secret of ours that somebody repeats, such as a proxy that shows what it refused.
pub(super) fn without(text: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    /// What stands in its place.
    const HIDDEN: &[u8] = b"[hidden]";
    // Less than this is no secret, and may be anywhere.
    if secret.len() < 8 {
        return text;
    }
    let mut clean = Vec::new();
    let mut rest = text.as_slice();
    while let Some(at) = rest.windows(secret.len()).position(|part| part == secret) {
        let (before, after) = rest.split_at(at);
        clean.extend_from_slice(before);
        clean.extend_from_slice(HIDDEN);
        rest = after.get(secret.len()..).unwrap_or_default();
    }
    if clean.is_empty() {
        return text;
    }
    clean.extend_from_slice(rest);
    clean
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
    use super::{one_line, without};

    #[test]
    fn what_is_repeated_is_hidden() {
        let hide = |text: &str, secret: &str| {
            String::from_utf8(without(text.as_bytes().to_vec(), secret.as_bytes())).expect("text")
        };
        assert_eq!(hide("a 12345678 b12345678", "12345678"), "a [hidden] b[hidden]");
        assert_eq!(hide("12345678", "12345678"), "[hidden]");
        for (text, secret) in
            [("1234567", "12345678"), ("a 1234567 b", "1234567"), ("", "12345678"), ("a", "")]
        {
            assert_eq!(hide(text, secret), text);
        }
    }

    #[test]
    fn foreign_text_stays_on_its_line_and_short() {
        assert_eq!(one_line("  a\r\n\tb \u{1b}[31mc\u{2028}d  "), "a b [31mc d");
        assert_eq!(one_line(&"x".repeat(5000)).chars().count(), 401);
        assert_eq!(one_line("\u{202e}"), "");
    }
}
