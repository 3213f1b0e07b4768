//! How a call is timed. The scripts of the peers do the same, with the same numbers.

use std::time::{Duration, Instant};

/// Calls are made for this long before any is timed: caches, pages and threads get warm.
const WARM_UP: Duration = Duration::from_millis(50);
/// Calls are then timed for this long,
const TIMED: Duration = Duration::from_millis(150);
/// but at least so many,
const LEAST_CALLS: usize = 5;
/// unless even they take longer than this.
const ENOUGH: Duration = Duration::from_secs(3);

/// Times one run: calls to get warm, then calls each timed alone. Returns their median.
pub fn time(mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        call();
    }
    let mut times = Vec::new();
    let start = Instant::now();
    loop {
        let before = Instant::now();
        call();
        times.push(before.elapsed());
        let so_far = start.elapsed();
        if so_far >= ENOUGH || (so_far >= TIMED && times.len() >= LEAST_CALLS) {
            return median(times);
        }
    }
}

/// The middle of the sorted values, or the mean of the two middle ones.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    assert!(!times.is_empty(), "the median of nothing");
    times.sort_unstable();
    let middle = times.len() / 2;
    if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::median;

    #[test]
    fn medians() {
        let of =
            |values: &[u64]| median(values.iter().map(|&ms| Duration::from_millis(ms)).collect());
        assert_eq!(of(&[7]), Duration::from_millis(7));
        assert_eq!(of(&[9, 1, 2]), Duration::from_millis(2));
        assert_eq!(of(&[8, 1, 2, 4]), Duration::from_millis(3));
    }
}
