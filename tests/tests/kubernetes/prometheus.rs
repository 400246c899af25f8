//! A Prometheus around one gateway.

use crate::render::{NAMESPACE, root};
use forebay_tests::process::{self, Watchdog};
use forebay_tests::tools::Tool;
use forebay_tests::{Gateway, ports, wait_until};
use serde_json::Value;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The label that the gateway's series get, as from a cluster.
pub const POD: &str = "forebay-0";

/// A server that scrapes the gateway each second and evaluates the alerts; it ends when this is dropped.
pub struct Prometheus {
    child: Child,
    _watchdog: Watchdog,
    folder: TempDir,
    address: String,
    agent: ureq::Agent,
}

impl Prometheus {
    pub fn start(gateway: &Gateway) -> Self {
        let rules = root().join("deploy/prometheus/rules.yaml");
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             - job_name: forebay\n  \
               static_configs:\n  \
               - targets: [\"127.0.0.1:{}\"]\n    \
                 labels: {{namespace: {NAMESPACE}, pod: {POD}}}\n",
            gateway.ports.admin
        );
        Self::run(&settings, &[])
    }

    /// A server with these settings (`{prometheus}` is its own address) and further flags; it ends when this is dropped.
    pub fn run(settings: &str, flags: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("forebay-prometheus-").tempdir().unwrap();
        let [port] = ports::free().unwrap();
        let address = format!("127.0.0.1:{port}");
        let settings = settings.replace("{prometheus}", &address);
        fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Tool::Prometheus.command().unwrap();
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}")).args(flags);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        let watchdog = Watchdog::over(child.id(), folder.path()).unwrap();
        let agent = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).build().into();
        let mut server = Self { child, _watchdog: watchdog, folder, address, agent };
        let is_ready = wait_until("Prometheus to be ready", START_TIMEOUT, || {
            anyhow::ensure!(server.child.try_wait()?.is_none(), "it has ended");
            Ok(server.get("/-/ready").is_ok().then_some(()))
        });
        is_ready.unwrap_or_else(|error| panic!("{error:#}: {}", server.log()));
        server
    }

    /// The series of an instant query.
    ///
    /// # Errors
    /// Prometheus' own words about what is wrong with the query.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let address = format!("http://{}/api/v1/query", self.address);
        let request = self.agent.post(address).config().http_status_as_error(false).build();
        let mut answer = request.send_form([("query", expression)]).map_err(|error| error.to_string())?;
        let mut answer: Value = answer.body_mut().read_json().map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        match answer["data"]["result"].take() {
            Value::Array(series) => Ok(series),
            other => Err(format!("no series: {other}")),
        }
    }

    /// The rules as they were last evaluated.
    pub fn rules(&self) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.get("/api/v1/rules").unwrap()).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let address = format!("http://{}{path}", self.address);
        Ok(self.agent.get(address).call()?.body_mut().read_to_string()?)
    }

    fn log(&self) -> String {
        process::tail(&self.folder.path().join("log"), 20)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
