//! Parses the command line, runs the command, and says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use presign_gateway::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
