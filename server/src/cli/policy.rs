//! Rollback policies without a server: is a file right, and what would it have done?

use super::{connect, text_of};
use crate::config::Database;
use anyhow::{Context as _, Result, bail};
use chrono::Utc;
use clap::{Args, Subcommand};
use cluster::Prometheus;
use model::policy::{self, Action, Policies, Policy, What};
use model::{Problem, Span};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Commands {
    /// Read a policy file, and say what it does or all that is wrong with it
    Check(Check),
    /// Which releases of the last days a policy would have fired on, from what was measured then
    Try(Try),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// As in the ConfigMap rollback-policies; - for standard input
    file: PathBuf,
    /// Have this Prometheus read the queries
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Try {
    #[command(flatten)]
    database: Database,
    /// As in the ConfigMap rollback-policies; - for standard input
    file: PathBuf,
    /// The policy, where the file has several
    #[arg(long)]
    policy: Option<String>,
    /// Releases of so many days
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
    /// Only this service's
    #[arg(long)]
    service: Option<String>,
}

pub(super) async fn run(command: &Commands) -> Result<ExitCode> {
    match command {
        Commands::Check(check) => self::check(check).await,
        Commands::Try(asked) => tried(asked).await,
    }
}

async fn check(check: &Check) -> Result<ExitCode> {
    let policies = file(&check.file)?;
    for (name, policy) in &policies {
        print!("{}", words(name, policy));
    }
    let Some(url) = &check.prometheus else { return Ok(ExitCode::SUCCESS) };
    let prometheus = Prometheus::new(url)?;
    let mut wrong = 0;
    for (name, trigger) in policies.iter().flat_map(|(name, p)| p.triggers.iter().map(move |t| (name, t))) {
        let What::Query { name: query, query: text } = &trigger.what else { continue };
        match prometheus.query(text, Utc::now()).await {
            Ok(series) if series.len() == 1 => println!("{name}: {query} answers {}", value(series[0].value)),
            Ok(series) => {
                println!("{name}: {query} answers {} series; only one can be compared", series.len())
            }
            Err(e) => {
                wrong += 1;
                println!("{name}: {query}: {e}");
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn value(value: Option<f64>) -> String {
    value.map_or_else(|| "no number".to_owned(), |v| v.to_string())
}

fn file(path: &Path) -> Result<Policies> {
    let name = path.display();
    let read = policy::from_yaml(&text_of(path)?)
        .map_err(|problem| anyhow::anyhow!("{name}: {}", told(&problem)))?;
    for warning in &read.warnings {
        eprintln!("{}: {}", warning.field, warning.message);
    }
    Ok(read.policies)
}

/// Every fault at its field.
fn told(problem: &Problem) -> String {
    if problem.fields.is_empty() {
        return problem.detail.clone();
    }
    let all: Vec<_> = problem.fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
    all.join(" ")
}

fn words(name: &str, policy: &Policy) -> String {
    let mut out =
        format!("{name}\n  when     {}\n  if       {}\n", policy.fires_when(), policy.conditions.words());
    for action in &policy.actions {
        let at = match action {
            Action::AutomaticRollback { delay, .. } => *delay,
            _ => Span::ZERO,
        };
        out.push_str(&format!(
            "  +{:<8}{}: {}\n",
            at.to_string(),
            action.title(),
            action.words(&policy.conditions)
        ));
    }
    if let Some(watches) = policy.service_words() {
        out.push_str(&format!("  watches  {watches}\n"));
    }
    if let Some(breaker) = policy.breaker {
        out.push_str(&format!("  then     {}\n", breaker.words()));
    }
    out
}

async fn tried(asked: &Try) -> Result<ExitCode> {
    let policies = file(&asked.file)?;
    let (name, policy) = chosen(&policies, asked.policy.as_deref())?;
    let store = connect(&asked.database).await?;
    let run = control::tried(&store, name, policy, asked.days, asked.service.clone())
        .await
        .context("releases cannot be read")?;
    for one in &run.fired {
        let at = one.at.format("%Y-%m-%d %H:%M:%S");
        println!(
            "release {} of {}, {at}: {} ({}), it ended: {}",
            one.release,
            one.service,
            one.words,
            one.version,
            one.ended.to_lowercase()
        );
    }
    println!(
        "{name} would have fired on {} of {} releases in {} days; {} have no samples",
        run.fired.len(),
        run.seen,
        run.days,
        run.without
    );
    if !run.untried.is_empty() {
        println!("tried only where a policy asked for it then: {}", run.untried.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen<'p>(policies: &'p Policies, name: Option<&str>) -> Result<(&'p String, &'p Policy)> {
    let names = || policies.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => {
            policies.get_key_value(name).with_context(|| format!("there is no policy `{name}`: {}", names()))
        }
        None if policies.len() == 1 => policies.first_key_value().context("the file names no policy"),
        None => bail!("the file has several policies: choose one with --policy ({})", names()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "rollback_triggers: {error_rate_threshold: 0.05, queries: [{name: queue, query: q, below: 3}]}\n\
        rollback_conditions: {max_rollback_time: 30m}\n\
        rollback_actions: [{type: notify_oncall, channels: [slack]}, {type: automatic_rollback, delay: 5m}]\n";

    #[test]
    fn a_policy_is_told_in_words() {
        let read = policy::from_yaml(FILE).expect("read");
        let (name, policy) = chosen(&read.policies, None).expect("one");
        let expected = "default\n  when     errors over 5 %, or queue under 3\n  \
            if       3 readings in a row, 50 requests\n  \
            +0s      Tell on-call: By Slack.\n  \
            +5m      Roll back to the last known good: After 5m, unless somebody stops it or rolls back sooner.\n";
        assert_eq!(words(name, policy), expected);
        assert!(chosen(&read.policies, Some("other")).is_err());
    }

    #[test]
    fn faults_are_one_line_with_their_fields() {
        let problem = policy::from_yaml(&FILE.replace("30m", "10 parsecs")).expect_err("refused");
        let words = told(&problem);
        assert!(
            words.starts_with("rollback_conditions.max_rollback_time: `10 parsecs` is not a duration"),
            "{words}"
        );
    }
}
