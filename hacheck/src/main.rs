//! `hacheck`, and the tools that are links to it. Start-up only; the work is in the library.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use hacheck::{
    program::{
        self,
        args::{Args, Command},
    },
    server::Inherited,
    tools::{Caller, Output, Tool},
};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    if let Some(tool) = Tool::of(&name) {
        let output = Output { out: &mut io::stdout().lock(), err: &mut io::stderr().lock() };
        return tool.run(words, &Caller::of_this_process(), output).into();
    }
    let inherited = Inherited::from_environment();
    let Args { serve, command } = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help, or what is wrong; nobody to tell if that fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    match command {
        None => {
            program::serve(&serve, inherited).map_or_else(|e| failed(&e), |()| ExitCode::SUCCESS)
        }
        Some(command) => run(&command).unwrap_or_else(|error| failed(&*error)),
    }
}

fn run(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut output = Output { out: &mut io::stdout(), err: &mut io::stderr() };
    let safe = match command {
        Command::Drain(drain) => {
            runtime.block_on(drain.run(&Caller::of_this_process(), &mut output))?
        }
        Command::Undrain(undrain) => {
            runtime.block_on(undrain.run(&mut output))?;
            true
        }
    };
    Ok(if safe { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What went wrong, with its causes.
fn failed(error: &dyn Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let _ = writeln!(io::stderr(), "hacheck: {text}");
    ExitCode::FAILURE
}
