//! `cargo xtask`: builds both halves of Tidegate and checks what the compiler cannot.
//!
//! The browser's half (`app` for WebAssembly) and the server's half (`app` inside `server`) are always built by
//! separate cargo calls: in one call cargo would unite the features `hydrate` and `ssr`, which exclude each other.

mod css;
mod front;
mod imports;
mod native;
mod pack;
mod paths;
mod site;
mod size;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use paths::{Mode, Paths};
use std::process::ExitCode;
use std::time::Instant;

/// Builds Tidegate and checks its shape.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the browser's half, the style sheet and the binaries.
    Build {
        /// Optimised, with hashed file names and precompressed files.
        #[arg(long)]
        release: bool,
        /// Build only this part.
        #[arg(long, value_enum, default_value = "all")]
        part: Part,
    },
    /// Print what a browser's first load weighs; fails when it is over the budget.
    Size,
    /// Fail when a crate depends on one above it.
    CheckImports,
    /// Print where the site and the binaries lie, as `name=path` lines.
    Where {
        #[arg(long)]
        release: bool,
    },
}

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    All,
    /// The site: WebAssembly, style sheet, static files.
    Front,
    /// Only the style sheet and static files, beside WebAssembly that was built before.
    Style,
    /// The native binaries: `tidegate` and `sandbox`.
    Server,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.task {
        Task::Build { release, part } => build(&Paths::find(Mode::of(*release))?, *part),
        Task::Size => size::report(&Paths::find(Mode::Release)?, true),
        Task::CheckImports => imports::check(&Paths::find(Mode::Dev)?),
        Task::Where { release } => {
            let paths = Paths::find(Mode::of(*release))?;
            println!("site={}", paths.site.display());
            println!("tidegate={}", paths.binary("tidegate").display());
            println!("sandbox={}", paths.binary("sandbox").display());
            Ok(())
        }
    }
}

fn build(paths: &Paths, part: Part) -> Result<()> {
    let begun = Instant::now();
    if matches!(part, Part::All | Part::Front | Part::Style) {
        let front = if part == Part::Style { front::built(paths)? } else { front::build(paths)? };
        let style = css::build(paths)?;
        site::assemble(paths, &front, &style)?;
        if paths.mode == Mode::Release {
            size::report(paths, false)?;
        }
    }
    if matches!(part, Part::All | Part::Server) {
        native::build(paths)?;
    }
    say("done", &format!("{:.1} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

/// One line of progress.
fn say(what: &str, words: &str) {
    println!("==> {what:<8} {words}");
}
