//! Parses the command line, runs the command, and prints its error.

use std::process::ExitCode;

use clap::Parser;
use presign_gateway::cli::{self, Cli};

/// A request makes many small allocations; docs/performance.md has what this buys.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
