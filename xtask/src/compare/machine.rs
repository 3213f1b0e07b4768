//! What a record says about where and when it was made.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Session;
use super::record::written;

/// What the fastest possible speed is called among the facts.
const PEAK: &str = "FMA peak";

/// Names and values, in the order in which they are shown. No name of a host, a user or a folder
/// is among them.
///
/// # Errors
///
/// Our timer cannot be run.
pub(super) fn facts(session: &Session<'_>) -> Result<Vec<(String, String)>, String> {
    let mut facts = vec![
        ("date".to_owned(), today()),
        ("CPU".to_owned(), cpu()),
        ("threads".to_owned(), session.options.threads().to_string()),
        (PEAK.to_owned(), peak(session)?),
        ("system".to_owned(), system()),
        ("compiler".to_owned(), compiler()),
        ("rounds".to_owned(), session.options.runs.to_string()),
    ];
    for (peer, version) in session.found {
        if let Ok(version) = version {
            facts.push((peer.name().to_owned(), version.clone()));
        }
    }
    Ok(facts)
}

/// The number at the beginning of the [`PEAK`] among the facts.
pub(super) fn peak_gflops(facts: &[(String, String)]) -> Option<f64> {
    let (_, value) = facts.iter().find(|(what, _)| what == PEAK)?;
    value.split(' ').next()?.parse().ok()
}

/// What the threads can do at most: the best of some measurements, as nothing makes one faster.
fn peak(session: &Session<'_>) -> Result<String, String> {
    const MEASUREMENTS: usize = 3;
    let mut best = (0.0, String::new());
    for _ in 0..MEASUREMENTS {
        let text = written(session, "layers", &["--peak"])?.trim().to_owned();
        let gflops = text.split(' ').next().and_then(|number| number.parse().ok());
        let gflops: f64 = gflops.ok_or_else(|| format!("our layer timer says {text:?}"))?;
        if gflops > best.0 {
            best = (gflops, text);
        }
    }
    Ok(best.1)
}

/// The date in UTC, as `2001-02-03`.
pub(super) fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    date(seconds / 86_400)
}

/// The date so many days after 1 January 1970.
fn date(mut days: u64) -> String {
    let leap = |year: u64| {
        u64::from(year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

/// The model of the CPU, and the cores that may be used.
fn cpu() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model}, {cores} cores")
}

/// The system and the number of its kernel, without what its builder has added.
fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    format!("{} {}", std::env::consts::OS, &release[..end]).trim_end().to_owned()
}

/// The version of the compiler, such as `rustc 1.2.3`.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{date, peak_gflops};

    #[test]
    fn the_peak_is_read() {
        let facts = [("FMA peak".to_owned(), "398.5 GFLOP/s (AVX-512)".to_owned())];
        assert_eq!(peak_gflops(&facts), Some(398.5));
        assert_eq!(peak_gflops(&[]), None);
    }

    #[test]
    fn dates() {
        let days = [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29")];
        for (days, expected) in days {
            assert_eq!(date(days), expected);
        }
        assert_eq!(date(19_723), "2024-01-01");
        assert_eq!(date(20_088), "2024-12-31");
    }
}
