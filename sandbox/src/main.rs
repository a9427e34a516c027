//! `sandbox`: the command line of the sandbox.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use sandbox::{
    Options, Progress, Sandbox,
    postgres::Postgres,
    run::{self, World},
};
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
    /// Run nothing but a Postgres until Ctrl-C; print one line of JSON (`url`, `pid`) when it is ready.
    Postgres {
        /// Directory of its data. A second start on it finds the data again, and keeps the port if that is
        /// free.
        #[arg(long)]
        data: PathBuf,
    },
    /// Run the development world until Ctrl-C: Postgres, a cluster, and the server. `./run` builds and calls
    /// this.
    Run {
        /// The server's binary.
        #[arg(long)]
        tidegate: PathBuf,
        /// Directory of the built site.
        #[arg(long)]
        site: PathBuf,
        /// Directory of all data.
        #[arg(long, default_value = ".data")]
        data: PathBuf,
        /// Address to serve on.
        #[arg(long, default_value = "127.0.0.1")]
        address: IpAddr,
        /// Port to serve on.
        #[arg(long, default_value_t = 3000)]
        port: u16,
        /// Use the current context of KUBECONFIG instead of a sandbox cluster.
        #[arg(long)]
        cluster: bool,
        /// Base URL of the cluster's Prometheus, for --cluster.
        #[arg(long)]
        prometheus: Option<String>,
    },
}

#[tokio::main]
async fn main() {
    let result = match Cli::parse().command {
        Command::Build => until_stopped(build()).await,
        Command::Up { data, demo, postgres } => {
            let options = Options { data, demo, postgres, quiet: false };
            until_stopped(up(options)).await
        }
        Command::Postgres { data } => until_stopped(postgres(data)).await,
        Command::Run { tidegate, site, data, address, port, cluster, prometheus } => {
            let listen = SocketAddr::new(address, port);
            let world = World { tidegate, site, data, listen, cluster, prometheus };
            until_stopped(run::run(world)).await
        }
    };
    // Not by returning: the runtime would wait for a build that Ctrl-C was meant to end. Everything that has
    // to be stopped in order was dropped above; the rest dies with this process.
    match result {
        Ok(()) => std::process::exit(0),
        Err(e) => {
            eprintln!("error: {e:#}");
            std::process::exit(1);
        }
    }
}

async fn build() -> Result<()> {
    let binaries = tokio::task::spawn_blocking(|| sandbox::ensure(Progress::new(false))).await??;
    println!("{}", binaries.bin.display());
    Ok(())
}

/// Run until Ctrl-C, SIGTERM or a hang-up of the terminal. Dropping the work stops what it started.
async fn until_stopped(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    tokio::select! {
        result = work => return result,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    eprintln!("stopping");
    Ok(())
}

async fn up(options: Options) -> Result<()> {
    let sandbox = Sandbox::start(options).await?;
    println!("{}", serde_json::to_string(&sandbox.info)?);
    let mut tick = time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        sandbox.check()?;
    }
}

async fn postgres(data: PathBuf) -> Result<()> {
    let server = Postgres::start_with(&data, Progress::new(false)).await?;
    let mut tick = time::interval(Duration::from_millis(500));
    println!("{}", serde_json::json!({"url": server.url, "pid": server.pid()}));
    loop {
        tick.tick().await;
        server.pid().context("Postgres has ended")?;
    }
}
