//! The name that was meant.

/// How alike two names must be, from 0 to 1.
const LIKE: f64 = 0.75;

/// `; did you mean NAME?` with the name that is the most like the one given; nothing if none is.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let likeness = |name: &'a str| (strsim::jaro_winkler(&given.to_lowercase(), name), name);
    let near = known.into_iter().map(likeness).filter(|(likeness, _)| *likeness > LIKE);
    let nearest = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
    nearest.map_or(String::new(), |(_, name)| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_there_is_one() {
        let known = ["epochs", "early-stop", "batch-size"];
        assert_eq!(did_you_mean("batch_size", known), "; did you mean batch-size?");
        assert_eq!(did_you_mean("Epoch", known), "; did you mean epochs?");
        assert_eq!(did_you_mean("colour", known), "");
    }
}
