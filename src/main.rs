//! The `headframe` program.
//!
//! **Invariant:** what a run needs is in the library; here is only what belongs to a program: the allocator, the log,
//! the runtime and the command line.

use std::{io::IsTerminal as _, process::ExitCode};

use tracing_subscriber::EnvFilter;

mod cli;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A subprocess starts through us, so that it ends with us. Nothing else may happen before.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|verb| verb == headframe::tools::LAUNCH) {
        headframe::tools::launcher_main(args);
    }
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    log(cli.wants_color());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::cannot_start(&error).into(),
    };
    let exit = runtime.block_on(cli::execute(cli));
    // Whoever interrupts twice does not wait for what still runs; its programs end with us.
    runtime.shutdown_background();
    exit.into()
}

/// Warnings and errors, or what `HEADFRAME_LOG` asks for, to stderr.
fn log(color: bool) {
    let filter = EnvFilter::builder().with_env_var("HEADFRAME_LOG").with_default_directive(tracing::Level::WARN.into());
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .with_ansi(color && is_terminal)
        .with_target(!is_terminal)
        .init();
}
