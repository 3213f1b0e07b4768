//! `colonnade completions`.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Failure;
use crate::output::print;

/// Prints what a shell needs to complete commands, flags and their values.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  colonnade completions bash > ~/.local/share/bash-completion/completions/colonnade
  colonnade completions fish > ~/.config/fish/completions/colonnade.fish
  colonnade completions zsh > ~/.zfunc/_colonnade    with ~/.zfunc in fpath, before compinit")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "colonnade", &mut script);
    print(&String::from_utf8_lossy(&script))
}
