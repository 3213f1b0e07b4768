//! Rust without its comments and literals, so that a rule about code does not stumble over
//! words in prose.

/// Replaces all comments, strings and characters by spaces. Line breaks stay where they are,
/// so that line numbers stay true.
pub(super) fn only_code(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = literal_end(&characters, at);
        if end > at {
            let blank = |&c: &char| if c == '\n' { '\n' } else { ' ' };
            code.extend(characters[at..end].iter().map(blank));
            at = end;
        } else if is_word(characters[at]) {
            // A whole word at once: the `r` of `for` opens no raw string.
            while at < characters.len() && is_word(characters[at]) {
                code.push(characters[at]);
                at += 1;
            }
        } else {
            code.push(characters[at]);
            at += 1;
        }
    }
    code
}

/// Lines (from 1) of `code` in which `word` stands as a word of its own.
pub(super) fn lines_with_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    code.lines()
        .enumerate()
        .filter(move |(_, line)| contains_word(line, word))
        .map(|(index, _)| index + 1)
}

/// Whether `word` stands in `text`, with no letter, digit or underscore on either side.
pub(super) fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// A part of an identifier.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where the comment or literal that starts at `at` ends, or `at` if none starts there.
fn literal_end(text: &[char], at: usize) -> usize {
    match text[at] {
        '/' if text.get(at + 1) == Some(&'/') => find(text, at, |rest| rest[0] == '\n'),
        '/' if text.get(at + 1) == Some(&'*') => block_comment_end(text, at),
        '"' => string_end(text, at + 1),
        '\'' => character_end(text, at),
        'b' | 'c' | 'r' => prefixed_end(text, at),
        _ => at,
    }
}

/// The first place from `from` on where `is_end` holds, or the end of the text.
fn find(text: &[char], from: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len()).find(|&at| is_end(&text[at..])).unwrap_or(text.len())
}

/// Block comments nest.
fn block_comment_end(text: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Where a string ends whose contents start at `at`.
fn string_end(text: &[char], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character, or nothing if the quote belongs to a lifetime.
fn character_end(text: &[char], quote: usize) -> usize {
    match text[quote + 1..] {
        ['\\', _, ..] => {
            let close = find(text, quote + 3, |rest| rest[0] == '\'');
            (close + 1).min(text.len())
        }
        [_, '\'', ..] => quote + 3,
        _ => quote,
    }
}

/// A literal with a prefix: `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br"…"`, `c"…"`, `cr"…"`.
fn prefixed_end(text: &[char], start: usize) -> usize {
    let mut at = start;
    if matches!(text[at], 'b' | 'c') {
        at += 1;
    }
    let raw = text.get(at) == Some(&'r');
    if raw {
        at += 1;
        let hashes = text[at..].iter().take_while(|&&c| c == '#').count();
        at += hashes;
        if text.get(at) != Some(&'"') {
            return start;
        }
        let closes =
            |rest: &[char]| rest[0] == '"' && rest[1..].iter().take(hashes).all(|&c| c == '#');
        return (find(text, at + 1, closes) + 1 + hashes).min(text.len());
    }
    match text.get(at) {
        Some('"') => string_end(text, at + 1),
        Some('\'') if text[start] == 'b' => {
            let end = character_end(text, at);
            if end > at { end } else { start }
        }
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::{contains_word, lines_with_word, only_code};

    /// Code in which only the words `seen` may be left.
    const HIDING: &str = r###"
//! hidden
seen(); // hidden
/* hidden /* hidden */ hidden
*/ seen("hidden \" hidden", r"hidden\", r#"hidden " hidden"#, b"hidden", br#"hidden"#);
fn f<'a>(seen: &'a str) -> char { let seen = ('"', '\'', '\u{1F600}', b'"'); 'h' }
for r in c { seen("hidden
hidden"); }
"###;

    #[test]
    fn hides_comments_and_literals_alone() {
        let code = only_code(HIDING);
        assert!(!code.contains("hidden"), "{code}");
        assert_eq!(code.matches("seen").count(), 5, "{code}");
        assert!(code.contains("fn f<'a>("), "{code}");
        assert!(code.contains("for r in c {"), "{code}");
        assert_eq!(code.lines().count(), HIDING.lines().count());
        assert_eq!(code.chars().count(), HIDING.chars().count());
    }

    #[test]
    fn ends_within_a_literal() {
        for text in ["\"open", "r#\"open", "/* open", "'\\", "b'", "r", "b", "'"] {
            assert_eq!(only_code(text).chars().count(), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn words_end_where_identifiers_end() {
        assert!(contains_word("a net.", "net"));
        assert!(!contains_word("a network, subnet, net_", "net"));
        let code = "unsafe_code\nx\nunsafe {";
        assert_eq!(lines_with_word(code, "unsafe").collect::<Vec<_>>(), [3]);
    }
}
