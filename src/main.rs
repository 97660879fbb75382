//! The `mcpd` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcpd::cli::run()
}
