//! The `headframe` program.
//!
//! **Invariant:** what a run needs is in the library; here is only what belongs to a program: the allocator, the log,
//! the runtime and the command line.

use std::process::ExitCode;

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
    cli.log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::cannot_start(&error).into(),
    };
    let exit = runtime.block_on(cli::execute(cli));
    // Whoever interrupts twice does not wait for what still runs; its programs end with us.
    runtime.shutdown_background();
    exit.into()
}
