//! `sandbox`: the command line of the sandbox.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use sandbox::{Options, Progress, Sandbox};
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

/// A real Kubernetes control plane on one machine, without containers.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build or fetch the programs the sandbox is made of.
    Build,
    /// Run a sandbox until Ctrl-C; print one line of JSON when it is ready.
    Up {
        /// Directory of everything it keeps.
        #[arg(long)]
        data: PathBuf,
        /// Create the demo world.
        #[arg(long)]
        demo: bool,
        /// Start a Postgres too.
        #[arg(long)]
        postgres: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Build => build().await,
        Command::Up {
            data,
            demo,
            postgres,
        } => {
            up(Options {
                data,
                demo,
                postgres,
                quiet: false,
            })
            .await
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn build() -> Result<()> {
    let binaries = tokio::task::spawn_blocking(|| sandbox::ensure(Progress::new(false))).await??;
    println!("{}", binaries.bin.display());
    Ok(())
}

async fn up(options: Options) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let work = async {
        let sandbox = Sandbox::start(options).await?;
        println!("{}", serde_json::to_string(&sandbox.info)?);
        let mut tick = time::interval(Duration::from_millis(500));
        loop {
            tick.tick().await;
            sandbox.check()?;
        }
    };
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
