//! How many random cases a test tries.

/// The environment variable of proptest that says how many cases each test tries.
const VARIABLE: &str = "PROPTEST_CASES";

/// How many random cases a test tries: `usual`, or as many as the environment variable `PROPTEST_CASES`
/// says, for a long search.
///
/// # Panics
///
/// If the variable is no number above 0: a search of nothing would pass.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    let asked = std::env::var_os(VARIABLE);
    parse(asked.as_ref().map(|text| text.to_string_lossy()).as_deref(), usual)
}

fn parse(asked: Option<&str>, usual: u32) -> u32 {
    match asked.map(|text| (text, text.parse())) {
        None => usual,
        Some((_, Ok(cases))) if cases > 0 => cases,
        Some((text, _)) => panic!("{VARIABLE}={text:?}: it must be a whole number above 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_variable_wins() {
        assert_eq!(parse(None, 128), 128);
        assert_eq!(parse(Some("7"), 128), 7);
        assert_eq!(parse(Some("100000"), 128), 100_000);
    }

    #[test]
    #[should_panic(expected = "a whole number above 0")]
    fn no_cases_at_all_are_refused() {
        let _ = parse(Some("0"), 128);
    }

    #[test]
    #[should_panic(expected = "a whole number above 0")]
    fn what_is_no_number_is_refused() {
        let _ = parse(Some("many"), 128);
    }
}
