//! Start of the control plane: which programs, with which flags, in which order, and how each is known to be
//! ready.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::future;
use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{Node, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::time;

use crate::{
    apply::Applier,
    binaries::Binaries,
    child::{Process, Progress, guarded},
    pki::{Pki, USERS},
    ports::{self, Ports},
};

/// How long any one part may take to become ready. A loaded machine of two cores needs a few seconds.
const READY: Duration = Duration::from_secs(60);

/// How long Tidegate's token is valid. A new one is made at each start.
const TOKEN_SECONDS: i64 = 365 * 24 * 3600;

const PORTS: [&str; 9] = [
    "etcd",
    "etcd-peer",
    "apiserver",
    "controller-manager",
    "scheduler",
    "argo-health",
    "argo-metrics",
    "prometheus",
    "traffic",
];

/// The started programs and where to reach them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) processes: Vec<Process>,
    pub(crate) ports: Ports,
    pub(crate) url: String,
    pub(crate) admin_kubeconfig: PathBuf,
    pub(crate) tidegate_kubeconfig: PathBuf,
    pub(crate) audit_log: PathBuf,
    dir: PathBuf,
    progress: Progress,
}

/// A client for a kubeconfig file.
///
/// # Errors
/// When the file cannot be read or is no kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

impl Cluster {
    /// Start everything below `dir` and wait until workloads can be scheduled.
    ///
    /// # Errors
    /// When a program cannot be started, ends early or is not ready in time; the message names it and shows
    /// its log.
    pub(crate) async fn start(dir: &Path, binaries: &Binaries, progress: Progress) -> Result<Self> {
        fs::create_dir_all(dir.join("log"))?;
        let ports = ports::choose(&dir.join("ports.json"), &PORTS)?;
        let pki = Pki::open(&dir.join("pki"))?;
        let mut cluster = Self {
            processes: Vec::new(),
            url: format!("https://127.0.0.1:{}", ports["apiserver"]),
            ports,
            admin_kubeconfig: dir.join("admin.kubeconfig"),
            tidegate_kubeconfig: dir.join("tidegate.kubeconfig"),
            audit_log: dir.join("apiserver-audit.log"),
            dir: dir.to_owned(),
            progress,
        };
        for user in USERS {
            let file = dir.join(format!("{}.kubeconfig", user.file));
            pki.kubeconfig_of(user.file, &cluster.url, &file)?;
        }
        cluster.etcd(binaries)?;
        cluster.apiserver(binaries, &pki)?;
        cluster.prometheus(binaries)?;
        let client = client(&cluster.admin_kubeconfig).await?;
        cluster.until("the API server", || api_ready(&client)).await?;
        progress.say("API server ready");
        cluster.controller_manager(binaries, &pki)?;
        cluster.scheduler(binaries, &pki)?;

        let applier = Applier::new(client.clone());
        cluster.definitions(&applier, &client, binaries).await?;
        progress.say("custom resources served");
        cluster.kwok(binaries)?;
        cluster.argo(binaries)?;
        cluster.tidegate(&client, &pki).await?;
        cluster.until("schedulable nodes", || nodes_ready(&client)).await?;
        let health = format!("http://127.0.0.1:{}/healthz", cluster.ports["argo-health"]);
        cluster.until("the Argo Rollouts controller", || http_ok(&health)).await?;
        let health = format!("http://127.0.0.1:{}/-/ready", cluster.ports["prometheus"]);
        cluster.until("Prometheus", || http_ok(&health)).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        cluster.until("service accounts", || async { accounts.get("default").await.is_ok() }).await?;
        progress.say("cluster ready: nodes schedulable, Argo Rollouts healthy");
        Ok(cluster)
    }

    fn run(&mut self, name: &str, program: &Path, flags: &[String], env: &[(&str, String)]) -> Result<()> {
        let mut command = guarded(program, None);
        command.args(flags).envs(env.iter().map(|(k, v)| (k, v))).current_dir(&self.dir);
        self.processes.push(Process::start(
            name,
            command,
            &self.dir.join("log").join(format!("{name}.log")),
        )?);
        Ok(())
    }

    /// Fail when any program has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.processes.iter().try_for_each(Process::check)
    }

    /// Wait until `probe` says yes. There is no event to wait for while a server does not answer yet, so it
    /// asks every 50 ms; a program that has ended meanwhile is reported at once.
    async fn until<F, Fut>(&self, what: &str, probe: F) -> Result<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = bool>,
    {
        let deadline = time::Instant::now() + READY;
        while !probe().await {
            self.check()?;
            if time::Instant::now() >= deadline {
                bail!(
                    "{what} not ready after {READY:?}. The logs are in {}.",
                    self.dir.join("log").display()
                );
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn etcd(&mut self, binaries: &Binaries) -> Result<()> {
        let flags = [
            "etcd".to_owned(),
            format!("--data-dir={}", self.dir.join("etcd").display()),
            format!("--client-url=http://127.0.0.1:{}", self.ports["etcd"]),
            format!("--peer-url=http://127.0.0.1:{}", self.ports["etcd-peer"]),
        ];
        self.run("etcd", &binaries.path("kube"), &flags, &[])
    }

    fn apiserver(&mut self, binaries: &Binaries, pki: &Pki) -> Result<()> {
        let policy = self.dir.join("audit-policy.yaml");
        fs::write(&policy, include_str!("../manifests/audit-policy.yaml"))?;
        let file = |name: &str| pki.path(name).display().to_string();
        let flags = [
            "apiserver".to_owned(),
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports["etcd"]),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports["apiserver"]),
            format!("--tls-cert-file={}", file("apiserver.crt")),
            format!("--tls-private-key-file={}", file("apiserver.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt")),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--profiling=false".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", self.audit_log.display()),
            "--audit-log-maxsize=500".to_owned(),
            "--audit-log-maxbackup=1".to_owned(),
        ];
        self.run("apiserver", &binaries.path("kube"), &flags, &[])
    }

    fn kubeconfigs(&self, user: &str) -> [String; 3] {
        let file = self.dir.join(format!("{user}.kubeconfig"));
        ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
            .map(|flag| format!("--{flag}={}", file.display()))
    }

    /// Flags that the controller manager and the scheduler share.
    fn component(&self, name: &str, pki: &Pki) -> Vec<String> {
        let file = |name: String| pki.path(&name).display().to_string();
        let mut flags = vec![name.to_owned()];
        flags.extend(self.kubeconfigs(name));
        flags.extend([
            format!("--client-ca-file={}", file("ca.crt".to_owned())),
            format!("--tls-cert-file={}", file(format!("{name}-serving.crt"))),
            format!("--tls-private-key-file={}", file(format!("{name}-serving.key"))),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports[name]),
            // Thousands of workloads are created by benchmarks; the defaults would make that take minutes.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]);
        flags
    }

    fn controller_manager(&mut self, binaries: &Binaries, pki: &Pki) -> Result<()> {
        let mut flags = self.component("controller-manager", pki);
        flags.extend([
            format!("--root-ca-file={}", pki.path("ca.crt").display()),
            format!("--service-account-private-key-file={}", pki.path("sa.key").display()),
            "--use-service-account-credentials=true".to_owned(),
            "--controllers=*".to_owned(),
            "--node-monitor-period=1s".to_owned(),
        ]);
        self.run("controller-manager", &binaries.path("kube"), &flags, &[])
    }

    fn scheduler(&mut self, binaries: &Binaries, pki: &Pki) -> Result<()> {
        let flags = self.component("scheduler", pki);
        self.run("scheduler", &binaries.path("kube"), &flags, &[])
    }

    fn kwok(&mut self, binaries: &Binaries) -> Result<()> {
        let flags = [
            format!("--kubeconfig={}", self.dir.join("kwok.kubeconfig").display()),
            "--manage-all-nodes".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
            "--cidr=10.244.0.0/16".to_owned(),
            "--enable-crds=Stage".to_owned(),
            "--node-lease-duration-seconds=40".to_owned(),
            "--config=/dev/null".to_owned(),
        ];
        self.run("kwok", &binaries.path("kwok"), &flags, &[])
    }

    fn argo(&mut self, binaries: &Binaries) -> Result<()> {
        let kubeconfig = self.dir.join("argo-rollouts.kubeconfig").display().to_string();
        let flags = [
            format!("--kubeconfig={kubeconfig}"),
            "--namespace=argo-rollouts".to_owned(),
            "--leader-elect=false".to_owned(),
            "--loglevel=info".to_owned(),
            "--logformat=json".to_owned(),
            "--qps=100".to_owned(),
            "--burst=200".to_owned(),
            format!("--healthzPort={}", self.ports["argo-health"]),
            format!("--metricsPort={}", self.ports["argo-metrics"]),
        ];
        // AnalysisTemplates name Prometheus by its in-cluster DNS name, which this machine cannot resolve.
        // The controller's plain-HTTP requests go through a proxy, and that proxy is Prometheus itself: it
        // looks at the path only. Addresses on 127.0.0.1 are never proxied by Go programs.
        let proxy = format!("http://127.0.0.1:{}", self.ports["prometheus"]);
        let env = [("KUBECONFIG", kubeconfig), ("HTTP_PROXY", proxy), ("NO_PROXY", String::new())];
        self.run("argo-rollouts", &binaries.path("rollouts-controller"), &flags, &env)
    }

    fn prometheus(&mut self, binaries: &Binaries) -> Result<()> {
        let config = self.dir.join("prometheus.yaml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - job_name: traffic\n  honor_labels: true\n  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            self.ports["traffic"]
        );
        fs::write(&config, text)?;
        let flags = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", self.dir.join("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{}", self.ports["prometheus"]),
            "--storage.tsdb.retention.time=24h".to_owned(),
        ];
        self.run("prometheus", &binaries.path("prometheus"), &flags, &[])
    }

    /// Definitions first, then what is made of them.
    async fn definitions(&self, applier: &Applier, client: &Client, binaries: &Binaries) -> Result<()> {
        let mut definitions = String::new();
        let mut rest = [include_str!("../manifests/base.yaml"), include_str!("../manifests/stages.yaml")]
            .join("\n---\n");
        for entry in fs::read_dir(&binaries.manifests)? {
            let path = entry?.path();
            let text = fs::read_to_string(&path)?;
            let is_definition = text.contains("kind: CustomResourceDefinition");
            let part = if is_definition { &mut definitions } else { &mut rest };
            part.push_str("\n---\n");
            part.push_str(&text);
        }
        rest.push_str(&format!("\n---\n{}", argo_config(&binaries.path("gateway-plugin"))));
        applier.apply_all(&definitions).await?;
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        self.until("custom resource definitions", || established(&api)).await?;
        // A namespace must be there before what lies in it.
        let (namespaces, rest): (Vec<_>, Vec<_>) = crate::apply::documents(&rest)?
            .into_iter()
            .partition(|o| o.types.as_ref().is_some_and(|t| t.kind == "Namespace"));
        for group in [namespaces, rest] {
            future::try_join_all(group.iter().map(|o| applier.apply(o))).await?;
        }
        Ok(())
    }

    /// Tidegate's own identity, with the rights of deploy/rbac.yaml and no other.
    async fn tidegate(&self, client: &Client, pki: &Pki) -> Result<()> {
        let applier = Applier::new(client.clone());
        for object in crate::apply::documents(include_str!("../../deploy/rbac.yaml"))? {
            applier.apply(&object).await?;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "tidegate");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec!["https://kubernetes.default.svc".to_owned()],
                expiration_seconds: Some(TOKEN_SECONDS),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request("tidegate", &PostParams::default(), &request).await?;
        let token = answer.status.context("the API server gave no token")?.token;
        pki.kubeconfig_token("tidegate", &self.url, &token, &self.tidegate_kubeconfig)?;
        self.progress.say("Tidegate's service account has its token");
        Ok(())
    }
}

/// The Argo Rollouts controller's settings: the traffic router that its users may name in a Rollout. JSON is YAML.
fn argo_config(plugin: &Path) -> Value {
    let plugins =
        json!([{"name": "argoproj-labs/gatewayAPI", "location": format!("file://{}", plugin.display())}]);
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "argo-rollouts-config", "namespace": "argo-rollouts"},
        "data": {"trafficRouterPlugins": plugins.to_string()}})
}

async fn api_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    client.request_text(request).await.is_ok_and(|text| text == "ok")
}

async fn nodes_ready(client: &Client) -> bool {
    let nodes: Api<Node> = Api::all(client.clone());
    let Ok(list) = nodes.list(&ListParams::default()).await else {
        return false;
    };
    !list.items.is_empty()
        && list.items.iter().all(|node| {
            let tainted =
                node.spec.as_ref().is_some_and(|s| s.taints.as_ref().is_some_and(|t| !t.is_empty()));
            let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
            !tainted && conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
        })
}

async fn established(api: &Api<CustomResourceDefinition>) -> bool {
    let Ok(list) = api.list(&ListParams::default()).await else {
        return false;
    };
    list.items.iter().all(|definition| {
        let conditions = definition.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|c| c.type_ == "Established" && c.status == "True")
    })
}

/// Whether a GET of `url` answers with success. Proxies of the environment are not for this machine's own
/// servers.
pub(crate) async fn http_ok(url: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build() else {
        return false;
    };
    client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
}
