//! A file of flags without a server: what would it answer, and is it right?

use super::text_of;
use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use flags::command::{self, Question};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Flag {
    #[command(subcommand)]
    command: Option<Commands>,
    /// As in the ConfigMap feature-flags; - for standard input
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Who asks, as JSON: '{"targetingKey": "user-1", "country": "DE"}'
    #[arg(long, default_value = "{}")]
    context: String,
    /// One flag only
    #[arg(long)]
    key: Option<String>,
    /// Where: flags for other environments are off
    #[arg(long)]
    environment: Option<String>,
    /// With every step that led to the answer
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Read a file, and say how many flags it has or all that is wrong with it
    Check {
        /// As in the ConfigMap feature-flags; - for standard input
        file: PathBuf,
    },
}

pub(super) fn run(flag: &Flag) -> Result<ExitCode> {
    if let Some(Commands::Check { file }) = &flag.command {
        return Ok(match command::check(&text_of(file)?) {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(faults) => {
                println!("{faults}");
                ExitCode::FAILURE
            }
        });
    }
    let Some(file) = &flag.file else { bail!("which file? Name one, or - for standard input") };
    let question = Question {
        key: flag.key.as_deref(),
        context: &flag.context,
        environment: flag.environment.as_deref(),
        explain: flag.explain,
    };
    let answer = command::answer(&text_of(file)?, &question).map_err(|said| anyhow!(said))?;
    println!("{answer:#}");
    Ok(ExitCode::SUCCESS)
}
