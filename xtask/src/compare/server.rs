//! A timer that waits to be asked.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::format::Format;
use super::row::Row;

/// A child process: names of layers or networks go in, a line each, and rows come out.
///
/// Only one works at a time, so that none takes the cores of another.
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
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child =
            command.spawn().map_err(|error| format!("{program} cannot be run: {error}"))?;
        let (names, rows) = (child.stdin.take(), child.stdout.take());
        let rows = BufReader::new(rows.expect("standard output is a pipe"));
        Ok(Self { format, child, names, rows })
    }

    /// Waits for the names of the columns.
    ///
    /// # Errors
    ///
    /// It has ended, or writes others.
    pub(super) fn ready(&mut self) -> Result<(), String> {
        let line = self.line()?;
        if line.trim_end() == self.format.columns.join(",") {
            Ok(())
        } else {
            Err(format!("writes other columns: {}", line.trim_end()))
        }
    }

    /// Has a layer or a network timed.
    ///
    /// # Errors
    ///
    /// It has ended, or answers with something else.
    pub(super) fn time(&mut self, key: &str) -> Result<Row, String> {
        let Some(names) = &mut self.names else { return Err("has been stopped".to_owned()) };
        // If it has ended, the missing answer will tell.
        let _ = writeln!(names, "{key}").and_then(|()| names.flush());
        let row = Row::parse(&self.line()?, self.format)?;
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
}
