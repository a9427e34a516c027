//! Judging without a server, and judging again.

use super::{SAMPLES, connect, text_of};
use crate::config::Database;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use judge::Replayed;
use judge::kayenta::{self, Config, Report};
use model::ReleaseId;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of `--strict` for whatever does not pass.
const NOT_PASSED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Judge {
    /// JSON or YAML; - for standard input
    file: PathBuf,
    /// Exit with 2 where the verdict is not Pass
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verdict {
    /// Recompute every verdict of a release from its stored samples, and every run of its plan's templates from its
    /// measurements; fails when one comes out differently
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    database: Database,
    /// Number of the release
    release: i64,
}

pub(super) fn judge(judge: &Judge) -> Result<ExitCode> {
    let report = judged(&text_of(&judge.file)?).with_context(|| judge.file.display().to_string())?;
    println!("{}", serde_json::to_string_pretty(&report).context("the report cannot be written")?);
    let passed = report.verdict == kayenta::Verdict::Pass;
    Ok(if judge.strict && !passed { ExitCode::from(NOT_PASSED) } else { ExitCode::SUCCESS })
}

/// JSON is YAML, too: one reader for both.
fn judged(text: &str) -> Result<Report> {
    let config: Config = serde_path_to_error::deserialize(serde_yaml_ng::Deserializer::from_str(text))?;
    let faults = config.faults();
    if !faults.is_empty() {
        let all: Vec<_> = faults.into_iter().map(|(path, what)| format!("{path}: {what}")).collect();
        bail!("{}", all.join(" "));
    }
    Ok(kayenta::report(&config))
}

pub(super) async fn replay(replay: &Replay) -> Result<ExitCode> {
    let store = connect(&replay.database).await?;
    let id = ReleaseId(replay.release);
    let release = store.release(id).await.with_context(|| format!("release {id} cannot be read"))?;
    let record =
        store.plan_version(release.plan, release.plan_version).await.context("its plan cannot be read")?;
    let samples = store.samples(id, None, SAMPLES).await.context("its samples cannot be read")?;
    let verdicts = store.verdicts(id).await.context("its verdicts cannot be read")?;
    if samples.is_empty() && verdicts.iter().any(|v| v.canary.requests > 0.0) {
        bail!(
            "what was measured during release {id} is no longer kept, so its verdicts cannot be recomputed"
        );
    }
    let mut other = 0;
    let replayed = judge::replay(&samples, &verdicts, |verdict| record.plan.in_words(verdict));
    for (stored, found) in verdicts.iter().zip(replayed) {
        let at = stored.at.format("%Y-%m-%d %H:%M:%S");
        let step = stored.step + 1;
        match found {
            Replayed::Same => println!("same   {at}  step {step}  {}", stored.class.key()),
            Replayed::OtherRule => {
                println!("older  {at}  step {step}  {}  by the rules of another version", stored.class.key());
            }
            Replayed::Other(found) => {
                other += 1;
                println!("OTHER  {at}  step {step}  stored: {}  {}", stored.class.key(), stored.words);
                println!("{:>35}  {}  {}", "again:", found.class.key(), found.words);
            }
        }
    }
    let runs = control::replay_templates(&store, id).await.context("its templates cannot be judged again")?;
    for run in &runs {
        let step = run.step.map_or_else(|| "?".to_owned(), |step| (step + 1).to_string());
        let (word, phase) = (if run.other.is_empty() { "same " } else { "OTHER" }, run.phase.to_lowercase());
        println!("{word}  template {}  step {step}  {phase}", run.name);
        for words in &run.other {
            println!("       {words}");
        }
        other += usize::from(!run.other.is_empty());
    }
    println!(
        "{} samples, {} verdicts, {} runs of templates, {other} of them differ",
        samples.len(),
        verdicts.len(),
        runs.len()
    );
    Ok(if other == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_are_read_alike() {
        let json =
            r#"{"metrics": [{"name": "p95", "control": [1, 2, null, 3], "experiment": [1, 2, 3, 3]}]}"#;
        let yaml = "metrics:\n- name: p95\n  control: [1, 2, null, 3]\n  experiment: [1, 2, 3, 3]\n";
        let both = [json, yaml].map(|text| judged(text).expect("judged"));
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0].verdict, kayenta::Verdict::Pass);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| format!("{:#}", judged(text).expect_err("refused"));
        assert!(
            said("metrics: [{name: a, control: [1], experiment: [1], weight: 3}]").contains("metrics[0]")
        );
        assert!(
            said("metrics: [{name: a, control: [one], experiment: [1]}]")
                .contains("list of numbers and nulls")
        );
        assert!(
            said("metrics: [{name: a, control: {bad: 9, of: 1}, experiment: {bad: 0, of: 1}}]")
                .starts_with("metrics[0].control: ")
        );
        assert!(said("metrics: [").contains("line"), "{}", said("metrics: ["));
    }
}
