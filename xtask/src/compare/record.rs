//! Records of comparisons: a folder of CSV files under `benches/record`, and what is written from
//! them, which can be written again without a measurement.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::format::{Format, LAYERS, MODELS};
use super::models::Group;
use super::row::{Row, join, split};
use super::{Direction, Options, Session, build, machine, models, ours, page};

/// The table of the layers whose batch and channels grow.
const GROWTH: &str = "benches/growth.csv";
/// What the page says by hand.
const NOTES: &str = "benches/record/notes.md";

/// A file of a record with layers: its name without the ending, and how its title begins.
pub(super) const LAYER_FILES: [(&str, &str); 4] = [
    ("forward", "Forward, weights packed in each call"),
    ("forward_prepacked", "Forward, weights packed beforehand"),
    ("backward_data", "The gradient by the input"),
    ("backward_weights", "The gradient by the weights"),
];

/// One line of a comparison.
pub(super) struct Entry {
    pub(super) library: String,
    pub(super) row: Row,
    /// How many times as fast as the peer ours is.
    pub(super) ratio: Option<f64>,
}

/// All that a page shows.
pub(super) struct Record {
    /// What and its value.
    pub(super) machine: Vec<(String, String)>,
    /// Those of [`LAYER_FILES`].
    pub(super) layers: [Vec<Entry>; 4],
    pub(super) growth: Vec<Entry>,
    pub(super) models: Vec<Entry>,
    /// Our networks on one thread, and on all.
    pub(super) threads: Vec<Row>,
    /// The names of the columns, and the lines.
    pub(super) memory: Vec<Vec<String>>,
    /// Likewise.
    pub(super) profile: Vec<Vec<String>>,
}

/// Measures, unless a record is given, and writes the page and its pictures. Says whether our
/// results were right.
///
/// # Errors
///
/// Ours cannot be built or run, or a file cannot be read or written.
pub(super) fn write(session: &Session<'_>) -> Result<bool, String> {
    let root = &session.workspace.root;
    let out = session.options.out.as_ref().unwrap_or(root);
    let (folder, all_right) = match &session.options.from {
        Some(folder) => (folder.clone(), true),
        None => {
            let folder = out.join("benches/record").join(machine::today());
            let all_right = measure(session, &folder)?;
            (folder, all_right)
        }
    };
    let record = Record::read(&folder)?;
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let notes = read(&root.join(NOTES))?;
    write_file(&out.join("BENCHMARKS.md"), &page::text(&record, &name, &notes))?;
    for (name, picture) in page::pictures(&record) {
        write_file(&out.join("docs/pictures").join(name), &picture)?;
    }
    println!("wrote {}", out.join("BENCHMARKS.md").display());
    Ok(all_right)
}

/// Runs every comparison into the files of a folder.
fn measure(session: &Session<'_>, folder: &Path) -> Result<bool, String> {
    let plain = session.options.clone();
    let mut all_right = true;
    let mut save = |name: &str, format: &Format, (right, lines): (bool, String)| {
        all_right &= right;
        write_file(&folder.join(format!("{name}.csv")), &(format.header() + "\n" + &lines))
    };
    build(session.workspace, "layers")?;
    build(session.workspace, "models")?;
    let networks = models::chosen(&[])?;
    let mut lines = String::new();
    let mut right = true;
    for group in Group::ALL {
        let (of_group, csv) = session.compare_models(group, &networks)?;
        right &= of_group;
        lines += &csv;
    }
    save("models", &MODELS, (right, lines))?;
    let layers = plain.chosen_layers(session.workspace)?;
    for direction in Direction::All.each() {
        save(direction, &LAYERS, session.compare_layers(direction, &layers)?)?;
    }
    let prepacked = Options { prepacked: true, ..plain };
    let again = session.with(&prepacked).compare_layers("forward", &layers)?;
    save("forward_prepacked", &LAYERS, again)?;
    let growth = Options { layers: Some(session.workspace.root.join(GROWTH)), ..prepacked.clone() };
    let layers = growth.chosen_layers(session.workspace)?;
    save("growth", &LAYERS, session.with(&growth).compare_layers("forward", &layers)?)?;
    write_file(&folder.join("threads.csv"), &threads(session)?)?;
    write_file(&folder.join("memory.csv"), &memory(session)?)?;
    let profile = written(session, "models", &["--csv", "-", "--profile", "--mode", "train"])?;
    write_file(&folder.join("profile.csv"), &profile)?;
    let facts = machine::facts(session)?;
    let facts = facts.iter().map(|(what, value)| join([what.as_str(), value]) + "\n");
    write_file(&folder.join("machine.csv"), &facts.collect::<String>())?;
    Ok(all_right)
}

/// The memory of AlexNet, in a process of its own for each task.
fn memory(session: &Session<'_>) -> Result<String, String> {
    let mut csv = String::new();
    for (mode, batch) in [("infer", "1"), ("train", "16")] {
        let task = ["--model", "alexnet", "--mode", mode, "--batch", batch];
        let text = written(session, "models", &[&["--csv", "-", "--memory"][..], &task].concat())?;
        add_lines(&mut csv, &text);
    }
    Ok(csv)
}

/// Our networks on one thread, and on all.
fn threads(session: &Session<'_>) -> Result<String, String> {
    let runs = session.options.runs.to_string();
    let mut csv = String::new();
    for threads in [1, session.options.threads()] {
        let text = written_on(threads, session, "models", &["--csv", "-", "--runs", &runs])?;
        add_lines(&mut csv, &text);
    }
    Ok(csv)
}

/// Adds the lines of a file of CSV, the names of the columns once.
fn add_lines(csv: &mut String, text: &str) {
    let skipped = usize::from(!csv.is_empty());
    csv.extend(text.lines().skip(skipped).flat_map(|line| [line, "\n"]));
}

/// What one of our timers writes to its standard output.
///
/// # Errors
///
/// It cannot be run, or fails.
pub(super) fn written(session: &Session<'_>, timer: &str, args: &[&str]) -> Result<String, String> {
    written_on(session.options.threads(), session, timer, args)
}

/// The same on so many threads.
fn written_on(
    threads: usize,
    session: &Session<'_>,
    timer: &str,
    args: &[&str],
) -> Result<String, String> {
    let mut command = ours(session.workspace, "run", timer);
    command.args(["--", "--threads", &threads.to_string()]);
    let output = command.args(args).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("our timer of {timer} fails: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Record {
    /// What the threads could do at most, in GFLOP/s.
    pub(super) fn peak(&self) -> Option<f64> {
        machine::peak_gflops(&self.machine)
    }

    /// Reads the files of a folder.
    ///
    /// # Errors
    ///
    /// One is missing, or has other columns.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let path = |name: &str| folder.join(format!("{name}.csv"));
        let lines = |name: &str| -> Result<Vec<Vec<String>>, String> {
            let path = path(name);
            let text = read(&path)?;
            let fields = text.lines().map(split).collect::<Result<_, _>>();
            fields.map_err(|why| format!("{}: {why}", path.display()))
        };
        let entries = |name: &str, format| read_entries(&path(name), format);
        let [a, b, c, d] = LAYER_FILES.map(|(name, _)| entries(name, &LAYERS));
        let fact = |fields: Vec<String>| {
            let mut fields = fields.into_iter();
            (fields.next().unwrap_or_default(), fields.next().unwrap_or_default())
        };
        Ok(Self {
            machine: lines("machine")?.into_iter().map(fact).collect(),
            layers: [a?, b?, c?, d?],
            growth: entries("growth", &LAYERS)?,
            models: entries("models", &MODELS)?,
            threads: read_rows(&path("threads"))?,
            memory: lines("memory")?,
            profile: lines("profile")?,
        })
    }
}

/// The lines of a file that our model timer has written.
fn read_rows(path: &Path) -> Result<Vec<Row>, String> {
    let text = read(path)?;
    let rows = text.lines().skip(1).map(|line| Row::parse(line, &MODELS));
    rows.collect::<Result<_, _>>().map_err(|why| format!("{}: {why}", path.display()))
}

/// The lines of a file that `--csv` has written.
fn read_entries(path: &Path, format: &'static Format) -> Result<Vec<Entry>, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    let text = read(path)?;
    let mut lines = text.lines();
    if lines.next() != Some(format.header().as_str()) {
        return Err(at("has other columns".to_owned()));
    }
    lines.map(|line| Entry::parse(line, format).map_err(at)).collect()
}

impl Entry {
    fn parse(line: &str, format: &'static Format) -> Result<Self, String> {
        let fields = split(line)?;
        let [library, row @ .., ratio] = &fields[..] else {
            return Err(format!("has too few fields: {line}"));
        };
        let row = Row::parse(&join(row.iter().map(String::as_str)), format)?;
        Ok(Self { library: library.clone(), row, ratio: ratio.parse().ok() })
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::format::{LAYERS, MODELS};
    use super::{Entry, LAYER_FILES, Record, testing, write_file};

    #[test]
    fn lines_come_back() {
        let line = "torch,alexnet,infer,16,torch,eager,2,60965224,200.0,80.0,110.00,,1e-6,1.250";
        let entry = Entry::parse(line, &MODELS).expect("a good line");
        assert_eq!((entry.library.as_str(), entry.ratio), ("torch", Some(1.25)));
        assert_eq!(entry.row.key(), "alexnet,infer,16");
        let line = "ours,a,forward,auto,direct,2,1.5,100.00,50.0,1.25e-7,64,";
        let entry = Entry::parse(line, &LAYERS).expect("a good line");
        assert_eq!((entry.row.key().as_str(), entry.ratio), ("a", None));
        assert!(Entry::parse("ours", &LAYERS).is_err());
    }

    #[test]
    fn a_folder_is_read() {
        let folder = std::env::temp_dir().join(format!("record-{}", std::process::id()));
        let save = |name: &str, text: String| {
            write_file(&folder.join(format!("{name}.csv")), &text).expect("a temporary folder");
        };
        let layers = LAYERS.header() + "\n" + testing::LAYER_LINES;
        for (name, _) in LAYER_FILES {
            save(name, layers.clone());
        }
        save("growth", LAYERS.header() + "\n");
        save("models", MODELS.header() + "\n" + testing::MODEL_LINES);
        save("threads", MODELS.columns.join(",") + "\n" + testing::THREAD_LINES);
        save("memory", "name,ratio\nalexnet,1.2\n".to_owned());
        save("profile", "name,batch,part,ms,percent\n".to_owned());
        save("machine", "CPU,\"a model, 2 cores\"\n".to_owned());
        let record = Record::read(&folder).expect("all files are there");
        assert_eq!((record.layers[3].len(), record.models.len()), (2, 4));
        assert_eq!(record.machine, [("CPU".to_owned(), "a model, 2 cores".to_owned())]);
        save("growth", "other\n".to_owned());
        assert!(Record::read(&folder).is_err_and(|why| why.contains("has other columns")));
        std::fs::remove_dir_all(&folder).expect("it is there");
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::format::{Format, LAYERS, MODELS};
    use super::{Entry, Record, Row};

    pub(in super::super) const LAYER_LINES: &str = "\
ours,conv1,forward,auto,direct,2,1.5,100.00,50.0,1.25e-7,64,
torch,conv1,forward,torch,nchw,2,3.0,50.00,,1.25e-7,,2.000
";
    pub(in super::super) const MODEL_LINES: &str = "\
ours,alexnet,train,16,colonnade,plan,2,60965224,100.0,160.0,300.00,75.0,1e-6,
torch,alexnet,train,16,torch,eager,2,60965224,400.0,40.0,75.00,,1e-6,4.000
ours,alexnet,infer,1,colonnade,plan,2,60965224,10.0,100.0,150.00,37.0,1e-6,
onnxruntime,alexnet,infer,1,onnxruntime,all,2,60965224,8.0,125.0,187.00,,1e-6,0.800
";
    pub(in super::super) const THREAD_LINES: &str = "\
alexnet,train,16,colonnade,plan,1,60965224,200.0,80.0,150.00,37.0,1e-6
alexnet,train,16,colonnade,plan,2,60965224,100.0,160.0,300.00,75.0,1e-6
";
    const GROWTH_LINES: &str = "\
ours,batch_1,forward,auto,direct,2,1.5,100.00,50.0,1.25e-7,64,
torch,batch_1,forward,torch,nchw,2,3.0,50.00,,1.25e-7,,2.000
ours,batch_2,forward,auto,direct,2,2.0,150.00,50.0,1.25e-7,64,
torch,batch_2,forward,torch,nchw,2,5.0,60.00,,1.25e-7,,2.500
";

    /// One layer and one network.
    pub(in super::super) fn record() -> Record {
        let entries = |text: &str, format: &'static Format| {
            let lines = text.lines().map(|line| Entry::parse(line, format));
            lines.collect::<Result<Vec<_>, _>>().expect("good lines")
        };
        let fields = |line: &str| line.split(',').map(str::to_owned).collect();
        Record {
            machine: vec![("FMA peak".to_owned(), "400.0 GFLOP/s (some)".to_owned())],
            layers: std::array::from_fn(|_| entries(LAYER_LINES, &LAYERS)),
            growth: entries(GROWTH_LINES, &LAYERS),
            models: entries(MODEL_LINES, &MODELS),
            threads: THREAD_LINES
                .lines()
                .map(|line| Row::parse(line, &MODELS).expect("a good line"))
                .collect(),
            memory: vec![
                fields("name,mode,batch,parameters,gradients,ratio"),
                fields("alexnet,infer,1,244000000,0,1.2"),
            ],
            profile: vec![
                fields("name,batch,part,ms,percent"),
                fields("alexnet,16,conv,60.0,60.00"),
                fields("alexnet,16,pool,15.0,15.00"),
                fields("alexnet,16,optimiser,25.0,25.00"),
            ],
        }
    }
}
