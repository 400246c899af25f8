//! A Kubernetes of one machine: the real store, API server, controllers and scheduler, and nodes that `kwok` plays.
//!
//! No container runs. A pod is ready because `kwok` says so, and a connection that is forwarded to a pod's admin port ends at one
//! real gateway, which stands for all of them.

mod control_plane;
mod namespace;
mod server;

pub use namespace::{Namespace, RELEASE, SETTLE_TIMEOUT, text, value_set};

use anyhow::{Context, Result};
use forebay_tests::tools::Tool;
use forebay_tests::{Gateway, ports, process, schemas, wait_until};
use serde_json::Value;
use server::Server;
use std::ffi::OsString;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// One node in each of three zones.
pub const NODES: [(&str, &str); 3] = [("node-a", "a"), ("node-b", "b"), ("node-c", "c")];

/// One more: a test that selects it by [`RESERVED_LABEL`] may close it, and no other test notices.
pub const RESERVED_NODE: &str = "node-reserved";
pub const RESERVED_LABEL: &str = "drill/reserved";
const RESERVED_ZONE: &str = "a";

/// Until all is up; it takes some 10 s of CPU, and CI machines are busy.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// No command against the cluster takes longer, else `timeout` ends it.
const COMMAND_SECONDS: &str = "150";

/// What every simulated pod answers with.
pub const GATEWAY: &str = r#"
receivers:
  otlp: {http: {listen: "127.0.0.1:{otlp_http}"}}
  json: {listen: "127.0.0.1:{json}"}
sinks: {none: {type: blackhole}}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s}
"#;

/// A running cluster. Its processes and its folder are gone when this is dropped, or when the test process ends.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
    /// Answers for every pod.
    pub gateway: Gateway,
    ports: Ports,
    folder: TempDir,
}

#[derive(Debug)]
struct Ports {
    store: u16,
    store_peer: u16,
    api: u16,
    controllers: u16,
    scheduler: u16,
    nodes: u16,
}

/// The cluster of this test process, started by whoever asks first.
pub fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Cluster::start().map_err(|error| format!("{error:#}")));
    cluster.as_ref().unwrap_or_else(|error| panic!("no cluster: {error}"))
}

impl Cluster {
    /// Starts everything and waits until pods can be scheduled.
    fn start() -> Result<Self> {
        let [store, store_peer, api, controllers, scheduler, nodes] = ports::free()?;
        let mut cluster = Self {
            servers: Vec::new(),
            gateway: Gateway::start(GATEWAY)?,
            ports: Ports { store, store_peer, api, controllers, scheduler, nodes },
            folder: tempfile::Builder::new().prefix("forebay-kubernetes-").tempdir()?,
        };
        cluster.write_files()?;
        cluster.start_store()?;
        cluster.start_api()?;
        cluster.wait("the API server", |cluster| {
            let probe = cluster.kubectl().args(["get", "--raw", "/readyz"]).output()?;
            Ok(probe.status.success())
        })?;
        cluster.start_controllers()?;
        cluster.start_nodes()?;
        cluster.apply(include_str!("pod-metrics.yaml"))?;
        cluster.wait("the nodes", |cluster| {
            let nodes = cluster.get(&["nodes"])?;
            let nodes = nodes["items"].as_array().context("no list of nodes")?;
            // Once a node is ready, a controller takes the taint away that keeps pods off.
            let ready = |node: &Value| is_true(&node["status"], "Ready") && node["spec"]["taints"].is_null();
            Ok(nodes.iter().filter(|node| ready(node)).count() == NODES.len() + 1)
        })?;
        Ok(cluster)
    }

    /// Waits for `probe` while every server runs.
    fn wait(&mut self, what: &str, probe: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let waited = wait_until(what, START_TIMEOUT, || {
            self.servers.iter_mut().try_for_each(Server::check)?;
            Ok(probe(self)?.then_some(()))
        });
        let tails = || self.servers.iter().map(Server::log_tail).collect::<Vec<_>>().join("\n--\n");
        waited.with_context(tails)
    }

    fn access_file(&self) -> PathBuf {
        self.folder.path().join("access.json")
    }

    /// `kubectl` towards this cluster.
    pub fn kubectl(&self) -> Command {
        self.bounded(Tool::Kubectl)
    }

    /// `helm` towards this cluster.
    pub fn helm(&self) -> Command {
        self.bounded(Tool::Helm)
    }

    fn bounded(&self, tool: Tool) -> Command {
        self.command(&tool.find().unwrap())
    }

    /// Any program that finds this cluster by its environment, ended if it takes too long.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.arg(COMMAND_SECONDS).arg(program).env("KUBECONFIG", self.access_file());
        // Nothing in the home folder of whoever runs the tests.
        command.env("HOME", self.folder.path()).env("PATH", self.path());
        command.env_remove("HELM_NAMESPACE").env_remove("HTTPS_PROXY").env_remove("https_proxy");
        command
    }

    /// The programs that were built, and then those of the system.
    fn path(&self) -> OsString {
        let mut folders: Vec<PathBuf> = [Tool::Kubectl, Tool::Helm]
            .iter()
            .map(|tool| tool.find().unwrap().parent().unwrap().to_owned())
            .collect();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        std::env::join_paths(folders).unwrap()
    }

    /// Applies a manifest that is not of one namespace.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        run_with_input(self.kubectl().args(["apply", "-f", "-"]), manifest).map(drop)
    }

    /// Brings the Prometheus operator's types in, once; not the operator itself.
    pub fn define_monitors(&self) -> Result<()> {
        static DEFINED: OnceLock<Result<(), String>> = OnceLock::new();
        let defined = DEFINED.get_or_init(|| self.define().map_err(|error| format!("{error:#}")));
        defined.clone().map_err(anyhow::Error::msg)
    }

    fn define(&self) -> Result<()> {
        for file in schemas::definitions().context("the operator's types are not there")? {
            // Server-side: they are too long for the annotation that a client would keep.
            process::run(self.kubectl().args(["apply", "--server-side", "-f"]).arg(file))?;
        }
        let all = ["customresourcedefinitions", "--all"];
        process::run(self.kubectl().args(["wait", "--for=condition=Established", "--timeout=60s"]).args(all))
            .map(drop)
    }

    /// The zone of a node.
    pub fn zone(&self, node: &str) -> &'static str {
        NODES.iter().find(|(name, _)| *name == node).map_or(RESERVED_ZONE, |(_, zone)| zone)
    }

    /// `kubectl get <args> -o json`.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        json(self.kubectl().arg("get").args(args).args(["-o", "json"]))
    }
}

/// Gives a command `input` on its standard input.
pub fn with_input<'c>(command: &'c mut Command, input: &str) -> Result<&'c mut Command> {
    let mut file = tempfile::tempfile()?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    Ok(command.stdin(file))
}

/// Runs a command with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<Output> {
    process::run(with_input(command, input)?)
}

/// Runs a command that prints JSON.
pub fn json(command: &mut Command) -> Result<Value> {
    Ok(serde_json::from_slice(&process::run(command)?.stdout)?)
}

/// What a command that must fail has said.
pub fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!output.status.success(), "this was not refused: {said}");
    said
}

/// Whether a status has this condition, and it is true.
pub fn is_true(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|it| it["type"] == condition && it["status"] == "True"))
}
