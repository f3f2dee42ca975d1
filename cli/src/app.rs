//! From the arguments to the exit code.

use std::{ffi::OsString, panic, process::ExitCode};

use crate::{
    ambient::Ambient,
    args::{self, GlobalArgs},
    commands::Context,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    interrupt::Interrupts,
    output::{ColorChoice, Format, Messages, Output, Talk},
    settings::Settings,
};

/// Runs the program on the arguments of this process.
pub(crate) fn run() -> ExitCode {
    let ambient = Ambient::read();
    let plain = Output::new(
        &ambient,
        ColorChoice::Auto,
        Talk::Normal,
        Messages::Text,
        Format::Text,
    );
    report_panics(plain.clone(), ambient.backtrace);
    // A panic was reported by the hook already; here it only becomes its exit code.
    panic::catch_unwind(|| run_with(std::env::args_os().collect(), &ambient, &plain))
        .unwrap_or(ExitStatus::Internal)
        .into()
}

fn run_with(arguments: Vec<OsString>, ambient: &Ambient, plain: &Output) -> ExitStatus {
    let cli = args::parse(arguments);
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let settings = match Settings::resolve(&cli.global, cli.command.forms(), ambient) {
        Ok(settings) => settings,
        Err(error) => return fail(plain, &error),
    };
    log(&cli.global, ambient);
    let output = settings.output.clone();
    let interrupts = match Interrupts::watch() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            let error = CommandError::new(ErrorKind::Machine, &error);
            return fail(&output, &error.context("cannot watch for signals"));
        }
    };
    let context = Context {
        settings,
        interrupts: interrupts.clone(),
    };
    let result = cli.command.run(&context);
    // Whatever the command came to: it was asked to end, and the caller learns that it did.
    if let Some(signal) = interrupts.received() {
        if let Err(error) = &result
            && !matches!(error.kind(), ErrorKind::Interrupted(_))
        {
            output.error(error);
        }
        return ExitStatus::Signal(signal);
    }
    match result {
        Ok(status) => status,
        Err(error) => fail(&output, &error),
    }
}

fn fail(output: &Output, error: &CommandError) -> ExitStatus {
    output.error(error);
    error.kind().status()
}

/// Help and version, which are data, or a wrong command line.
fn usage(error: &clap::Error) -> ExitStatus {
    // Where the stream is closed there is nobody to tell.
    drop(error.print());
    if error.use_stderr() {
        ExitStatus::Usage
    } else {
        ExitStatus::Done
    }
}

/// Sends what libraries log to standard error.
fn log(global: &GlobalArgs, ambient: &Ambient) {
    use tracing_subscriber::EnvFilter;

    let filter = match (&ambient.log_filter, global.verbose) {
        (Some(filter), _) => filter.as_str(),
        (None, 0) => return,
        (None, 1) => "repro=info,repro_cli=info,repro_builder=info,repro_toolchains=info",
        (None, _) => "debug",
    };
    let logger = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(ambient.stderr.is_terminal() && !ambient.no_color)
        .finish();
    // Nothing of this program sets another subscriber.
    drop(tracing::subscriber::set_global_default(logger));
}

/// Says what happened where the program has a bug, in the form of every other error.
fn report_panics(output: Output, backtrace: bool) {
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" at {at}"));
        let mut error = CommandError::message(ErrorKind::Internal, message)
            .context(format!("this is a bug in repro{place}"));
        if backtrace {
            let trace = std::backtrace::Backtrace::force_capture();
            error = error.hint(format!("report it with this backtrace:\n{trace}"));
        } else {
            error = error.hint("report it, with the output of RUST_BACKTRACE=1");
        }
        output.error(&error);
    }));
}
