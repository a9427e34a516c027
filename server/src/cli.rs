//! The command line.

mod flag;
mod judging;
mod policy;

use crate::config::{Database, Settings};
use crate::serve;
use anyhow::{Context as _, Result, bail};
use chrono::{TimeDelta, Utc};
use clap::{Args, Parser, Subcommand};
use control::{Config, Control};
use model::{Actor, Grant, PersonId, Role, Span, Via};
use std::collections::HashMap;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Samples read of a release: a day of looks, three seconds apart.
const SAMPLES: i64 = 30_000;

/// A web control plane for zero-downtime releases on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane
    Serve(Box<Settings>),
    /// Make or update the database's tables (as their owner)
    Migrate(Database),
    /// The audit chain
    #[command(subcommand)]
    Audit(Audit),
    /// People with an account
    #[command(subcommand)]
    Person(Person),
    /// Bearer tokens for programs
    #[command(subcommand)]
    Token(Token),
    /// Judge a file of metrics, and print each one's class, the scores and the verdict as JSON (docs/JUDGE.md)
    Judge(judging::Judge),
    /// A file of feature flags: what it answers, as JSON, or what is wrong with it (docs/FLAGS.md)
    Flag(flag::Flag),
    /// Rollback policies: is a file right, and what would it have done?
    #[command(subcommand)]
    Policy(policy::Commands),
    /// Verdicts of the analysis
    #[command(subcommand)]
    Verdict(judging::Verdict),
    /// Ask a running server whether it is well; for containers without curl
    Healthcheck(Healthcheck),
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Recompute the whole chain; fails when an event was changed, removed or reordered
    Verify(Database),
}

#[derive(Debug, Subcommand)]
enum Person {
    /// Add a person. The password is read from standard input
    Add(PersonAdd),
    /// List people and their roles
    List(Database),
}

#[derive(Debug, Args)]
struct PersonAdd {
    #[command(flatten)]
    database: Database,
    #[arg(long)]
    name: String,
    #[arg(long)]
    email: String,
    /// viewer, release-manager, approver, on-call or administrator; `approver@staging` for one environment only.
    /// May be given several times
    #[arg(long = "role", required = true, value_parser = grant)]
    roles: Vec<Grant>,
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make a token and print it, once
    Issue(TokenIssue),
}

#[derive(Debug, Args)]
struct TokenIssue {
    #[command(flatten)]
    database: Database,
    /// What it is for: shown in the history as who acted
    #[arg(long)]
    name: String,
    /// viewer, release-manager, approver, on-call or administrator; `approver@staging` for one environment only.
    /// May be given several times
    #[arg(long = "role", required = true, value_parser = grant)]
    roles: Vec<Grant>,
    /// How long it works: 12h, 30d, at most 365d
    #[arg(long, default_value = "30d", value_parser = str::parse::<Span>)]
    expires: Span,
    /// E-mail address of the person it acts for: they then cannot approve their own plans with it either
    #[arg(long)]
    person: Option<String>,
}

#[derive(Debug, Args)]
struct Healthcheck {
    /// Address the server listens on
    #[arg(long, env = "TIDEGATE_LISTEN", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Ask /readyz instead of /healthz
    #[arg(long)]
    ready: bool,
}

/// Runs the command; errors are one line on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(matches!(&cli.command, Command::Serve(s) if s.log_json));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: threads cannot be started: {e}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(cli.command));
    // What still blocks must not keep a process that was asked to end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match done {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {}", one_line(&e));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each said once.
fn one_line(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let words = cause.to_string().replace('\n', " ");
        if said.contains(&words) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&words);
    }
    said
}

fn log(json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,tower_sessions=error,tower_sessions_core=off,sqlx=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(settings) => serve::serve(*settings).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(database) => {
            serve::migrate(database.owner_url()?, &CancellationToken::new()).await?;
            println!("The database is up to date.");
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit(Audit::Verify(database)) => verify(&database).await,
        Command::Person(Person::Add(add)) => add_person(add).await,
        Command::Person(Person::List(database)) => list_people(&database).await,
        Command::Token(Token::Issue(issue)) => issue_token(issue).await,
        Command::Flag(flag) => flag::run(&flag),
        Command::Policy(command) => policy::run(&command).await,
        Command::Judge(judge) => judging::judge(&judge),
        Command::Verdict(judging::Verdict::Replay(replay)) => judging::replay(&replay).await,
        Command::Healthcheck(check) => healthcheck(&check),
    }
}

async fn verify(database: &Database) -> Result<ExitCode> {
    let store = connect(database).await?;
    let found = store.verify().await.context("the chain cannot be read")?;
    println!("size {}", found.size);
    println!("root {}", found.root);
    Ok(match found.broken {
        None => {
            println!("ok   every event fits the one before it");
            ExitCode::SUCCESS
        }
        Some(broken) => {
            println!("BROKEN at event {}: {}", broken.seq, broken.why);
            ExitCode::FAILURE
        }
    })
}

async fn add_person(add: PersonAdd) -> Result<ExitCode> {
    let (control, _dir) = control(&add.database).await?;
    let password = password()?;
    let id = control.add_person(&operator(), &add.name, &add.email, &password, add.roles).await?;
    println!("{} added with number {id}.", add.email);
    Ok(ExitCode::SUCCESS)
}

async fn list_people(database: &Database) -> Result<ExitCode> {
    let store = connect(database).await?;
    for p in store.people().await.context("people cannot be read")? {
        let roles: Vec<_> = p
            .grants
            .iter()
            .map(|g| match &g.environment {
                Some(environment) => format!("{}@{environment}", g.role.key()),
                None => g.role.key().to_owned(),
            })
            .collect();
        let disabled = if p.disabled { "  disabled" } else { "" };
        println!("{:>5}  {}  {}  {}{disabled}", p.id.0, p.email, p.name, roles.join(","));
    }
    Ok(ExitCode::SUCCESS)
}

async fn issue_token(issue: TokenIssue) -> Result<ExitCode> {
    const LONGEST: TimeDelta = TimeDelta::days(365);
    let (lasts, store) = (issue.expires.delta(), connect(&issue.database).await?);
    if lasts <= TimeDelta::zero() || lasts > LONGEST {
        bail!("--expires {}: choose something between 1s and 365d", issue.expires);
    }
    let person: Option<PersonId> = match &issue.person {
        Some(email) => Some(
            store
                .person_by_email(&email.to_ascii_lowercase())
                .await
                .context("people cannot be read")?
                .with_context(|| format!("nobody here has the address {email}: see `tidegate person list`"))?
                .id,
        ),
        None => None,
    };
    let (control, _dir) = control(&issue.database).await?;
    let token =
        control.issue_token(&operator(), &issue.name, person, issue.roles, Utc::now() + lasts).await?;
    eprintln!(
        "{} works until {}. It is shown this once:",
        token.name,
        token.expires.format("%Y-%m-%d %H:%M UTC")
    );
    println!("{}", token.secret);
    Ok(ExitCode::SUCCESS)
}

/// Without the crates that a client needs: one request, one line of the answer.
fn healthcheck(check: &Healthcheck) -> Result<ExitCode> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let mut address = check.listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let path = if check.ready { "/readyz" } else { "/healthz" };
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut first = String::new();
        std::io::BufReader::new(stream.take(4096)).read_line(&mut first)?;
        Ok(first)
    };
    let first = ask().with_context(|| format!("nothing answers at {address}"))?;
    if first.split(' ').nth(1) == Some("200") {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{path} answered: {}", first.trim())
}

async fn connect(database: &Database) -> Result<Store> {
    serve::database(database.url()?, &CancellationToken::new()).await
}

/// What a file holds; `-` is standard input.
fn text_of(path: &Path) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The door, for the command line: no cluster, and a journal that nothing is ever written to.
async fn control(database: &Database) -> Result<(Control, Scratch)> {
    let scratch = Scratch::new()?;
    let control = Control::new(Config {
        store: connect(database).await?,
        clusters: Vec::new(),
        prometheus: HashMap::new(),
        data_dir: scratch.0.clone(),
        clock: Arc::new(Utc::now),
        home: String::new(),
        replica: format!("cli-{}", std::process::id()),
        demo: false,
        notifying: control::Notifying::default(),
        keep_samples_days: control::KEEP_DAYS,
    })?;
    Ok((control, scratch))
}

/// A directory that goes away with its owner.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("tidegate-cli-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whoever may run this command on a machine that knows the database's password.
fn operator() -> Actor {
    let user = std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "operator".to_owned());
    Actor {
        person: None,
        name: format!("{user}, command line"),
        grants: vec![Grant { role: Role::Administrator, environment: None }],
        via: Via::Cli,
    }
}

/// `approver`, `approver@staging`
fn grant(text: &str) -> Result<Grant, String> {
    let (role, environment) = match text.split_once('@') {
        Some((role, environment)) if !environment.is_empty() => (role, Some(environment.to_owned())),
        Some(_) => return Err(format!("`{text}` names no environment after the @")),
        None => (text, None),
    };
    Ok(Grant { role: role.parse()?, environment })
}

fn password() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("Password (shown while you type): ");
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("the password cannot be read from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password on standard input: echo it, or type it after the prompt");
    }
    Ok(password)
}

/// Kept beside the grants it would give, so that a change of the table is seen here too.
#[cfg(test)]
mod tests {
    use super::*;
    use model::Action;

    #[test]
    fn a_grant_may_be_for_one_environment() {
        let everywhere = grant("on-call").expect("a grant");
        assert_eq!(everywhere, Grant { role: Role::OnCall, environment: None });
        let staging = grant("approver@staging").expect("a grant");
        assert_eq!(staging.environment.as_deref(), Some("staging"));
        for wrong in ["boss", "approver@", ""] {
            assert!(grant(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_operator_may_administer() {
        assert!(operator().may(Action::Administer, "production"));
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
