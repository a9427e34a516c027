//! The whole sandbox as its command line starts it: the demo world is healthy, nothing survives the parent,
//! and a second start finds what the first left.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it cannot use")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use sandbox::{Info, alive, client, in_phase, rollouts};
use serde_json::json;

/// How long a start may take where the programs are not built yet.
const START: Duration = Duration::from_secs(900);

struct Up {
    child: Child,
    info: Info,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn up(data: &Path) -> Up {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(["up", "--demo", "--postgres", "--data"]).arg(data).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (line, ready) = mpsc::channel();
    thread::spawn(move || line.send(BufReader::new(stdout).lines().next()));
    let line = ready.recv_timeout(START).unwrap().expect("it ended before it was ready").unwrap();
    Up { child, info: serde_json::from_str(&line).unwrap() }
}

fn all_gone(info: &Info) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Some((name, pid)) = info.pids.iter().find(|(_, pid)| alive(**pid)) {
        assert!(Instant::now() < deadline, "{name} ({pid}) outlived its parent");
        thread::sleep(Duration::from_millis(20));
    }
}

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn the_demo_is_healthy_dies_with_its_parent_and_is_found_again() {
    let dir = Dir(std::env::temp_dir().join(format!("tidegate-test-lifetime-{}", std::process::id())));
    let mut first = up(&dir.0);
    let admin = client(&first.info.admin_kubeconfig).await.unwrap();
    for (namespace, name, image) in [
        ("shop", "checkout", "registry.example.com/shop/checkout:1.41.3"),
        ("shop", "search", "registry.example.com/shop/search:3.9.0"),
        ("shop", "cart", "registry.example.com/shop/cart:2.17.0"),
        ("agent-platform", "coderun-controller-rollout", "registry.company.com/coderun-controller:v1.2.3"),
    ] {
        let rollout = rollouts(admin.clone(), namespace).get(name).await.unwrap();
        assert!(in_phase(&rollout, "Healthy"), "{name}: {}", rollout.data["status"]);
        assert_eq!(rollout.data["spec"]["template"]["spec"]["containers"][0]["image"], image);
    }
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), "shop");
    let mailer = deployments.get("mailer").await.unwrap();
    assert_eq!(mailer.status.unwrap().available_replicas, Some(3));

    // Somebody releases a version; the next start must not take it back.
    let image = json!({"spec": {"template": {"spec": {"containers":
        [{"name": "app", "image": "registry.example.com/shop/mailer:0.13.0"}]}}}});
    deployments.patch("mailer", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();

    let postgres = first.info.postgres_url.clone().unwrap();
    sqlx::PgPool::connect(&postgres).await.unwrap().close().await;
    // SIGKILL: the parent can do nothing about its children any more.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    all_gone(&first.info);

    let mut second = up(&dir.0);
    assert_eq!(second.info.apiserver_url, first.info.apiserver_url, "a kept sandbox keeps its addresses");
    assert_eq!(second.info.postgres_url.as_ref(), Some(&postgres));
    // The old kubeconfig still works: the authority was kept.
    let nodes =
        Api::<k8s_openapi::api::core::v1::Node>::all(admin.clone()).list(&ListParams::default()).await;
    assert_eq!(nodes.unwrap().items.len(), 3);
    let mailer = Api::<Deployment>::namespaced(admin, "shop").get("mailer").await.unwrap();
    let containers = mailer.spec.unwrap().template.spec.unwrap().containers;
    assert_eq!(containers[0].image.as_deref(), Some("registry.example.com/shop/mailer:0.13.0"));

    let refused =
        Command::new(env!("CARGO_BIN_EXE_sandbox")).args(["up", "--data"]).arg(&dir.0).output().unwrap();
    assert!(!refused.status.success());
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("another sandbox runs on"), "{message}");

    let pid = second.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(second.child.wait().unwrap().success(), "SIGTERM is an orderly end");
    all_gone(&second.info);
}
