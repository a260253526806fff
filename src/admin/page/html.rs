//! HTML as it is written: markup is what this program says, everything else is text.
//!
//! [`Html::raw`] takes literals only, so nothing from Azure, a configuration or a request can be
//! markup.

use std::fmt::{self, Display, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, in an element or in a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// Text in which commands stand between backticks.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        for (place, part) in text.split('`').enumerate() {
            if place > 0 {
                self.raw(if place % 2 == 1 { "<code>" } else { "</code>" });
            }
            self.text(part);
        }
        if text.matches('`').count() % 2 == 1 {
            self.raw("</code>");
        }
        self
    }

    /// A moment, to the second.
    pub(super) fn time(&mut self, at: Timestamp) -> &mut Self {
        let time = at.to_zoned(TimeZone::UTC);
        self.raw("<time datetime=\"").text(time.strftime("%Y-%m-%dT%H:%M:%SZ"));
        self.raw("\">").text(time.strftime("%Y-%m-%d %H:%M:%S")).raw("</time>")
    }

    /// How long ago something was, or `never`.
    pub(super) fn ago(&mut self, at: Option<Timestamp>, now: Timestamp) -> &mut Self {
        let Some(at) = at else { return self.raw("never") };
        self.raw("<time datetime=\"").text(at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ"));
        self.raw("\">").text(super::super::status::age(at, now)).raw(" ago</time>")
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Not allowed in HTML, nor of any use in it.
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A table: a caption, columns, and rows whose first cell names them. On a narrow screen each row
/// becomes a card, so the roles are said: browsers take them away with `display`.
pub(super) struct Table<'a> {
    html: &'a mut Html,
    columns: &'static [&'static str],
    column: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(html: &'a mut Html, caption: &'static str, columns: &'static [&'static str]) -> Self {
        html.raw("<table role=\"table\"><caption>").raw(caption);
        html.raw("</caption><thead role=\"rowgroup\"><tr role=\"row\">");
        for column in columns {
            html.raw("<th scope=\"col\" role=\"columnheader\">").raw(column).raw("</th>");
        }
        html.raw("</tr></thead><tbody role=\"rowgroup\">\n");
        Self { html, columns, column: 0 }
    }

    /// Begins a row; `id` stays the same as long as the row is about the same thing.
    pub(super) fn row(&mut self, id: impl Display, fill: impl FnOnce(&mut Self)) {
        self.html.raw("<tr role=\"row\" id=\"").text(NoSpace(id)).raw("\">");
        self.column = 0;
        fill(self);
        self.html.raw("</tr>\n");
    }

    /// The next cell of the row.
    pub(super) fn cell(&mut self, fill: impl FnOnce(&mut Html)) {
        let is_first = self.column == 0;
        let label = self.columns.get(self.column).copied().unwrap_or_default();
        self.column += 1;
        let start = if is_first {
            "<th scope=\"row\" role=\"rowheader\">"
        } else {
            "<td role=\"cell\" data-label=\""
        };
        self.html.raw(start);
        if !is_first {
            self.html.raw(label).raw("\">");
        }
        self.html.raw("<div>");
        fill(self.html);
        self.html.raw("</div>").raw(if is_first { "</th>" } else { "</td>" });
    }

    /// The next cell, of text.
    pub(super) fn text(&mut self, text: impl Display) {
        self.cell(|html| {
            html.text(text);
        });
    }

    pub(super) fn end(self) {
        self.html.raw("</tbody></table>\n");
    }
}

/// An id of an element has no white space.
struct NoSpace<T>(T);

impl<T: Display> Display for NoSpace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replace(char::is_whitespace, "-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>alert('1&2')</script>\0").raw("\">");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&amp;2&#39;)&lt;/script&gt;\u{fffd}\">"
        );
    }

    #[test]
    fn commands_in_prose_are_code() {
        let mut html = Html::default();
        html.prose("run `a <b>` or `c`").raw("|").prose("a ` alone").raw("|").prose("none");
        assert_eq!(
            html.into_string(),
            "run <code>a &lt;b&gt;</code> or <code>c</code>|a <code> alone</code>|none"
        );
    }

    #[test]
    fn a_table_names_its_rows_and_columns() {
        let mut html = Html::default();
        let mut table = Table::new(&mut html, "Zones", &["Zone", "Serial"]);
        table.row("a zone", |row| {
            row.text("<a>");
            row.text(7);
        });
        table.end();
        let html = html.into_string();
        for part in [
            "<caption>Zones</caption>",
            "<th scope=\"col\" role=\"columnheader\">Serial</th>",
            "<tr role=\"row\" id=\"a-zone\"><th scope=\"row\" role=\"rowheader\"><div>&lt;a&gt;</div></th>",
            "<td role=\"cell\" data-label=\"Serial\"><div>7</div></td></tr>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn times_are_to_the_second() {
        let at = Timestamp::new(1_700_000_000, 5).expect("a time");
        let mut html = Html::default();
        html.time(at).raw(" ").ago(Some(at), at).raw(" ").ago(None, at);
        assert_eq!(
            html.into_string(),
            "<time datetime=\"2023-11-14T22:13:20Z\">2023-11-14 22:13:20</time> \
             <time datetime=\"2023-11-14T22:13:20Z\">0 s ago</time> never"
        );
    }
}
