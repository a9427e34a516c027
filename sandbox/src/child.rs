//! Child processes that never outlive this process, not even when it is killed with SIGKILL.
//!
//! Each child is started through `setpriv --pdeathsig KILL`. The kernel sends that signal when the *thread*
//! that started the child ends, so one thread that lives as long as the process starts them all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

type Job = (Command, mpsc::Sender<io::Result<Child>>);

fn spawner() -> &'static mpsc::Sender<Job> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (jobs, work) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in work {
                // Whoever asked may have given up waiting; then the child is dropped, and dies with this
                // process.
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    })
}

/// Spawn from the long-lived thread.
fn spawn(command: Command) -> io::Result<Child> {
    let (answer, wait) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes has ended");
    spawner().send((command, answer)).map_err(|_| gone())?;
    wait.recv().map_err(|_| gone())?
}

/// A user to run as, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A `setpriv` invocation that kills the program when this process ends, in a process group of its own so
/// that a Ctrl-C in the terminal reaches only this process, which then stops its children in order.
pub(crate) fn guarded(program: impl AsRef<Path>, user: Option<User>) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(User { uid, gid }) = user {
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
    }
    command.arg("--").arg(program.as_ref()).process_group(0).stdin(Stdio::null());
    command
}

/// Run a short program to its end, as a guarded child, and give what it printed.
///
/// # Errors
/// When it cannot be started or does not end with success; the message holds the end of what it printed.
pub(crate) fn output(mut command: Command, what: &str) -> Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(command).map_err(|e| start_error(what, &e))?;
    let out = child.wait_with_output().with_context(|| format!("waiting for {what}"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        return Ok(text);
    }
    let all = format!("{text}\n{}", String::from_utf8_lossy(&out.stderr));
    bail!("{what} failed ({}):\n{}", out.status, tail(&all, 15))
}

fn start_error(what: &str, e: &io::Error) -> anyhow::Error {
    if e.kind() == io::ErrorKind::NotFound {
        anyhow!("cannot start {what}: `setpriv` is missing. Install util-linux (apt-get install util-linux).")
    } else {
        anyhow!("cannot start {what}: {e}")
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// One long-running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    log: PathBuf,
    pid: u32,
    child: Mutex<Child>,
}

impl Process {
    /// Start `command` (from [`guarded`]) with its output in `log`, which is truncated.
    ///
    /// # Errors
    /// When the log cannot be made or the program not started.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let err = out.try_clone().context("sharing the log file")?;
        command.stdout(out).stderr(err);
        let child = spawn(command).map_err(|e| start_error(name, &e))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), pid: child.id(), child: Mutex::new(child) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    fn try_wait(&self) -> Option<ExitStatus> {
        // A poisoned lock only means that a thread panicked between two calls on the child.
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    /// Fail with the end of its log if it has exited.
    ///
    /// # Errors
    /// When the process is no longer running.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(status) = self.try_wait() else {
            return Ok(());
        };
        bail!("{} exited ({status}). {}", self.name, self.last_words())
    }

    /// Where its log is, and how that ends.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        format!("Its log is {}; it ends:\n{}", self.log.display(), tail(&text, 12))
    }

    /// Send a signal. A process that is gone already is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.try_wait().is_none() {
            send(self.pid, signal);
        }
    }

    /// Ask it to stop, wait up to `grace`, then kill it.
    pub(crate) fn stop(&self, signal: Signal, grace: Duration) {
        self.signal(signal);
        let deadline = Instant::now() + grace;
        while self.try_wait().is_none() {
            if Instant::now() >= deadline {
                self.kill();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kill it and wait for its end.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Send a signal to a process by its id, ignoring one that is gone.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process with this id exists and has not ended.
#[must_use]
pub fn alive(pid: u32) -> bool {
    // A killed process whose first thread has ended may hold its ports and files until its last thread has.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.filter_map(Result::ok).any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // After the name in parentheses comes the state; Z is one that ended and was not reaped yet.
        !matches!(stat.rsplit(") ").next().and_then(|s| s.chars().next()), None | Some('Z' | 'X'))
    })
}

/// Progress on standard error, with the time since the start of what is going on.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    since: Instant,
    quiet: bool,
}

impl Progress {
    /// Count from now. `quiet` prints nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { since: Instant::now(), quiet }
    }

    /// Print one line.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{:>7.1}s  {}", self.since.elapsed().as_secs_f64(), line.as_ref());
        }
    }
}
