//! A full disk, no permission, a limit on files, no threads: the program says so, and what was there
//! before stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Outcome;
use super::program::{PREVIOUS_STATE, Program, STATE, run, said, strays, tensors, text, typed};

type Trial = fn(&Program) -> Result<Outcome, String>;

pub(super) const ALL: [(&str, Trial); 9] = [
    ("1 epoch, killed, resumed to 3 = 3 straight", straight),
    ("full disk", full_disk),
    ("no permission", no_permission),
    ("/dev/full as standard output", full_output),
    ("/dev/full as metrics.csv", full_metrics),
    ("RLIMIT_FSIZE, its signal ignored", file_size_ignored),
    ("RLIMIT_FSIZE, killed by its signal", file_size_killed),
    ("64 threads", many_threads),
    ("no new threads", no_threads),
];

/// A run of two epochs in a folder of the scratch folder.
struct Run {
    folder: PathBuf,
    state: Vec<u8>,
}

impl Run {
    fn make(program: &Program, name: &str) -> Result<Self, String> {
        Self::make_in(program, &program.scratch().join(name))
    }

    fn make_in(program: &Program, folder: &Path) -> Result<Self, String> {
        program.succeed(&Program::train(text(folder), "2"))?;
        let state = tensors(&folder.join(STATE)).ok_or("the run has no state")?;
        Ok(Self { folder: folder.to_owned(), state })
    }

    fn out(&self) -> &str {
        text(&self.folder)
    }

    /// Whether the checkpoint of the two epochs is there still, and no temporary file.
    fn is_intact(&self) -> Result<(), String> {
        let mut states =
            [STATE, PREVIOUS_STATE].iter().filter_map(|name| tensors(&self.folder.join(name)));
        if !states.any(|state| state == self.state) {
            return Err("the checkpoint is lost".to_owned());
        }
        match &strays(&self.folder)[..] {
            [] => Ok(()),
            left => Err(format!("temporary files are left: {left:?}")),
        }
    }

    /// Goes on with it undisturbed: it must be possible.
    fn goes_on(&self, program: &Program) -> Result<(), String> {
        program.succeed(&Program::resume(self.out(), "3"))
    }

    /// Whether a third epoch has followed the two, and nothing else lies about.
    fn newer(&self) -> Result<(), String> {
        let state = tensors(&self.folder.join(STATE));
        match &strays(&self.folder)[..] {
            [] if state.is_some_and(|state| state != self.state) => Ok(()),
            [] => Err("there is no newer state".to_owned()),
            left => Err(format!("temporary files are left: {left:?}")),
        }
    }
}

/// A shell that sets something up and becomes the program.
fn shell(program: &Program, setup: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\"")).arg(program.path()).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).is_ok_and(|output| output.stdout == b"0\n")
}

/// Runs what follows as a user who may do nothing.
const UNPRIVILEGED: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Three epochs at once, and one that is killed in the second and then goes on.
fn straight(program: &Program) -> Result<Outcome, String> {
    let scratch = program.scratch();
    let (one, other) = (scratch.join("at-once"), scratch.join("in-pieces"));
    program.succeed(&Program::train(text(&one), "3"))?;
    let mut child = program.command(&Program::train(text(&other), "3")).spawn();
    let child = child.as_mut().map_err(|error| error.to_string())?;
    while !other.join(STATE).exists() {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Err("it ended without a state".to_owned());
        }
    }
    child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
    program.succeed(&Program::resume(text(&other), "3"))?;
    for name in ["model.safetensors", "initial.safetensors", "steps.csv"] {
        let same = fs::read(one.join(name)).ok() == fs::read(other.join(name)).ok();
        if !same {
            return Err(format!("{name} differs"));
        }
    }
    match tensors(&one.join(STATE)) == tensors(&other.join(STATE)) {
        true => Ok(Outcome::Held("weights, moments and steps.csv are the same bytes".to_owned())),
        false => Err("the states differ".to_owned()),
    }
}

/// A file system of 32 MB, on which the run has room and its next checkpoint has none.
fn full_disk(program: &Program) -> Result<Outcome, String> {
    let mount = program.scratch().join("small");
    fs::create_dir(&mount).map_err(|error| error.to_string())?;
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs", text(&mount)]);
    if !run(&mut command).is_ok_and(|output| output.status.success()) {
        return Ok(Outcome::Skipped("a file system can't be mounted here".to_owned()));
    }
    let result = on_full_disk(program, &mount);
    let unmounted = run(Command::new("umount").arg(&mount))?;
    match unmounted.status.success() {
        true => result,
        false => Err(format!("{} can't be unmounted: {}", mount.display(), said(&unmounted))),
    }
}

fn on_full_disk(program: &Program, mount: &Path) -> Result<Outcome, String> {
    let run_folder = Run::make_in(program, &mount.join("run"))?;
    // Fills it to the last page, then leaves room for settings, and none for weights.
    let filler = mount.join("filler");
    let _ =
        run(Command::new("dd").args(["if=/dev/zero", "bs=64k", &format!("of={}", text(&filler))]))?;
    let file = fs::OpenOptions::new().write(true).open(&filler);
    let shorter =
        file.and_then(|file| file.set_len(file.metadata()?.len().saturating_sub(1 << 20)));
    shorter.map_err(|error| error.to_string())?;
    let output = run(&mut program.command(&Program::resume(run_folder.out(), "3")))?;
    let message = typed(&output)?;
    run_folder.is_intact()?;
    fs::remove_file(&filler).map_err(|error| error.to_string())?;
    run_folder.goes_on(program)?;
    Ok(Outcome::Held(message))
}

/// A folder that may be read and not written.
fn no_permission(program: &Program) -> Result<Outcome, String> {
    let run_folder = Run::make(program, "read-only")?;
    let mode = |mode| fs::set_permissions(&run_folder.folder, fs::Permissions::from_mode(mode));
    mode(0o555).map_err(|error| error.to_string())?;
    let args = Program::resume(run_folder.out(), "3");
    let mut command = match is_root() {
        // Nothing is forbidden to root.
        true => {
            let mut command = Command::new(UNPRIVILEGED[0]);
            command.args(&UNPRIVILEGED[1..]).arg(program.path()).args(args);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command
        }
        false => program.command(&args),
    };
    let output = run(&mut command)?;
    let result = typed(&output).and_then(|message| run_folder.is_intact().map(|()| message));
    mode(0o755).map_err(|error| error.to_string())?;
    let message = result?;
    run_folder.goes_on(program)?;
    Ok(Outcome::Held(message))
}

/// Results that can't be printed are no success.
fn full_output(program: &Program) -> Result<Outcome, String> {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full");
    let full = full().map_err(|error| error.to_string())?;
    let mut command = program.command(&["summary", "--model", "lenet5"]);
    typed(&run(command.stdout(full))?).map(Outcome::Held)
}

fn full_metrics(program: &Program) -> Result<Outcome, String> {
    let run_folder = Run::make(program, "full-metrics")?;
    let metrics = run_folder.folder.join("metrics.csv");
    let kept = fs::read(&metrics).map_err(|error| error.to_string())?;
    let replaced = fs::remove_file(&metrics).and_then(|()| symlink("/dev/full", &metrics));
    replaced.map_err(|error| error.to_string())?;
    let message = typed(&run(&mut program.command(&Program::resume(run_folder.out(), "3")))?)?;
    run_folder.is_intact()?;
    let mended = fs::remove_file(&metrics).and_then(|()| fs::write(&metrics, kept));
    mended.map_err(|error| error.to_string())?;
    run_folder.goes_on(program)?;
    Ok(Outcome::Held(message))
}

/// Files of at most 1 MiB: a state is larger.
const FILE_SIZE: &str = "ulimit -f 1024";

fn file_size_ignored(program: &Program) -> Result<Outcome, String> {
    let run_folder = Run::make(program, "limited")?;
    let args = Program::resume(run_folder.out(), "3");
    let setup = format!("trap '' XFSZ; {FILE_SIZE}");
    let message = typed(&run(&mut shell(program, &setup, &args))?)?;
    run_folder.is_intact()?;
    run_folder.goes_on(program)?;
    Ok(Outcome::Held(message))
}

fn file_size_killed(program: &Program) -> Result<Outcome, String> {
    let run_folder = Run::make(program, "limited-and-killed")?;
    let args = Program::resume(run_folder.out(), "3");
    let output = run(&mut shell(program, FILE_SIZE, &args))?;
    if output.status.success() {
        return Err("the limit was not met".to_owned());
    }
    run_folder.goes_on(program)?;
    run_folder.newer().map(|()| Outcome::Held(format!("{}; the run goes on", output.status)))
}

/// More threads than the machine has cores: the same weights.
fn many_threads(program: &Program) -> Result<Outcome, String> {
    let run_folder = Run::make(program, "few-threads")?;
    let many = program.scratch().join("many-threads");
    let mut args = Program::train(text(&many), "2");
    args.extend(["--threads", "64"]);
    program.succeed(&args)?;
    match tensors(&many.join(STATE)) == Some(run_folder.state) {
        true => Ok(Outcome::Held("the same bytes".to_owned())),
        false => Err("the states differ".to_owned()),
    }
}

/// The system refuses every new thread.
fn no_threads(program: &Program) -> Result<Outcome, String> {
    let folder = program.scratch().join("no-threads");
    let made = fs::create_dir(&folder);
    let open = fs::Permissions::from_mode(0o777);
    made.and_then(|()| fs::set_permissions(&folder, open)).map_err(|error| error.to_string())?;
    let out = folder.join("run");
    let mut command = Command::new("prlimit");
    command.arg("--nproc=1");
    if is_root() {
        // Root is exempt from the limit.
        command.args(UNPRIVILEGED);
    }
    command.arg(program.path()).args(Program::train(text(&out), "1"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    typed(&run(&mut command)?).map(Outcome::Held)
}
