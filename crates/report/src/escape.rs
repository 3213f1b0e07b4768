//! Text in HTML and SVG.

/// The text with everything that means something to HTML or SVG written out, fit for the
/// contents of an element and for an attribute in quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No XML may hold them.
            control if control.is_control() && !"\t\n".contains(control) => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
