//! The one binary: a shim before [`repro_cli::run`].

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    // Before anything else: in a sandbox's first process this call does not return, and that
    // process must have one thread and have opened nothing.
    repro_sandbox::enter_if_stage();
    repro_cli::run()
}
