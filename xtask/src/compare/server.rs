//! A timer that waits to be asked.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::format::Format;
use super::row::Row;

/// A child process: names of layers or networks go in, a line each, and rows come out.
///
/// Only one works at a time, and the others are stopped. To ask nothing of them would not do:
/// threads of some libraries spin for a while after their work, and Python tidies up after its
/// imports, which cost the one that was timed up to three quarters of a core.
pub(super) struct Server {
    format: &'static Format,
    child: Child,
    /// Nothing once it has been closed.
    names: Option<ChildStdin>,
    rows: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it, and does not wait until it is ready.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub(super) fn start(mut command: Command, format: &'static Format) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        signals::own_group(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child =
            command.spawn().map_err(|error| format!("{program} cannot be run: {error}"))?;
        let (names, rows) = (child.stdin.take(), child.stdout.take());
        let rows = BufReader::new(rows.expect("standard output is a pipe"));
        Ok(Self { format, child, names, rows })
    }

    /// Waits for the names of the columns, and stops it.
    ///
    /// # Errors
    ///
    /// It has ended, or writes others.
    pub(super) fn ready(&mut self) -> Result<(), String> {
        let line = self.line()?;
        signals::stop(&self.child);
        if line.trim_end() == self.format.columns.join(",") {
            Ok(())
        } else {
            Err(format!("writes other columns: {}", line.trim_end()))
        }
    }

    /// Has a layer or a network timed, and stops it again.
    ///
    /// # Errors
    ///
    /// It has ended, or answers with something else.
    pub(super) fn time(&mut self, key: &str) -> Result<Row, String> {
        let Some(names) = &mut self.names else { return Err("has been closed".to_owned()) };
        signals::go_on(&self.child);
        // If it has ended, the missing answer will tell.
        let _ = writeln!(names, "{key}").and_then(|()| names.flush());
        let line = self.line();
        signals::stop(&self.child);
        let row = Row::parse(&line?, self.format)?;
        if row.key() == key {
            Ok(row)
        } else {
            Err(format!("was asked for {key}, and answered {}", row.key()))
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.rows.read_line(&mut line) {
            Ok(0) => Err(match self.child.wait() {
                Ok(status) => format!("has ended ({status})"),
                Err(error) => format!("has ended ({error})"),
            }),
            Ok(_) => Ok(line),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }
}

impl Drop for Server {
    /// The end of its input ends it; one that does not listen is killed.
    fn drop(&mut self) {
        drop(self.names.take());
        signals::go_on(&self.child);
        // Whatever it still writes, nobody reads: without a reader it cannot wait for one.
        for _ in 0..50 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops a child and its own children, and lets them go on.
///
/// They are a group of processes of their own. Should this process die while they are stopped, the
/// system ends them: an orphaned group that is stopped gets SIGHUP and SIGCONT (POSIX, `_exit`).
#[cfg(unix)]
mod signals {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal, kill_process_group};

    pub(super) fn own_group(command: &mut Command) {
        command.process_group(0);
    }

    pub(super) fn stop(child: &Child) {
        // One that has ended is told by the answer that is missing.
        let _ = kill_process_group(Pid::from_child(child), Signal::STOP);
    }

    pub(super) fn go_on(child: &Child) {
        let _ = kill_process_group(Pid::from_child(child), Signal::CONT);
    }
}

/// Elsewhere they are trusted to be idle.
#[cfg(not(unix))]
mod signals {
    use std::process::{Child, Command};

    pub(super) fn own_group(_: &mut Command) {}

    pub(super) fn stop(_: &Child) {}

    pub(super) fn go_on(_: &Child) {}
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::super::format::LAYERS;
    use super::Server;

    fn server(script: &str) -> Server {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Server::start(command, &LAYERS).expect("there is a shell")
    }

    #[test]
    fn names_in_and_rows_out() {
        let script = format!(
            "echo {}; while read name; do echo \"$name,forward,x,y,1,2.0,3.0,,0,\"; done",
            LAYERS.columns.join(",")
        );
        let mut server = server(&script);
        assert_eq!(server.ready(), Ok(()));
        for name in ["a", "b"] {
            let row = server.time(name).expect("an answer");
            assert_eq!(row.numbers.map(|numbers| numbers.median_ms), Some(2.0));
        }
    }

    #[test]
    fn one_that_ends_is_told() {
        let mut ended = server("exit 3");
        let message = ended.ready().expect_err("no answer");
        assert!(message.contains("has ended") && message.contains('3'), "{message}");
        let mut other = server("echo something else");
        assert_eq!(other.ready(), Err("writes other columns: something else".to_owned()));
        assert!(other.time("a").is_err());
    }

    /// Whether this process, and all that it has started, come to a stop soon.
    #[cfg(target_os = "linux")]
    fn all_stop(group: u32) -> bool {
        let stopped = |process: &std::fs::DirEntry| {
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // PID (NAME) STATE PARENT GROUP; a name may hold anything.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, of) = (fields.next()?.to_owned(), fields.nth(1)?);
            (of == group.to_string()).then_some(state == "T")
        };
        for _ in 0..500 {
            let processes = std::fs::read_dir("/proc").expect("Linux has it").flatten();
            let states: Vec<bool> = processes.filter_map(|process| stopped(&process)).collect();
            if states.len() == 2 && states.iter().all(|&stopped| stopped) {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        false
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_is_not_asked_is_stopped() {
        // One that has a child, before it says anything and may be stopped.
        let script = format!(
            "sleep 1000 & echo {}; while read name; do echo \"$name,forward,x,y,1,2.0,3.0,,0,\"; \
             done; kill $!",
            LAYERS.columns.join(",")
        );
        let mut server = server(&script);
        let group = server.child.id();
        assert_eq!(server.ready(), Ok(()));
        assert!(all_stop(group));
        assert!(server.time("a").is_ok());
        assert!(all_stop(group));
    }
}
