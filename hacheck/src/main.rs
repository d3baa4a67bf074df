//! `hacheck`, and the tools that are links to it. Start-up only; the work is in the library.

use std::{io, process::ExitCode};

use hacheck::tools::{Caller, Output, Tool};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    if let Some(tool) = Tool::of(&program) {
        let output = Output { out: &mut io::stdout().lock(), err: &mut io::stderr().lock() };
        return tool.run(words, &Caller::of_this_process(), output).into();
    }
    ExitCode::FAILURE
}
