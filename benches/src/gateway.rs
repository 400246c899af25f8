//! The gateway under test, as a child process with a configuration of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::load::http::{HttpClient, Target};

/// The four routes of the document model into one Elasticsearch; `{...}` are filled in.
const CONFIG: &str = r#"receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{grpc}"}
    http: {listen: "127.0.0.1:{http}"}
  json: {listen: "127.0.0.1:{json}"}
  beats: {listen: "127.0.0.1:{beats}"}
  elasticsearch: {listen: "127.0.0.1:{elasticsearch}"}
sinks:
  es: {type: elasticsearch, endpoints: ["http://{sink}"], compression: {compression}}
routes:
  - {name: persona, when: {field: component, equals: ai-persona}, to: [es], index: "project-ai-persona-%Y.%m.%d"}
  - {name: security, when: {field: component, one_of: [security, cerberus], ignore_case: true}, to: [es], index: "project-ai-security-%Y.%m.%d"}
  - {name: ethics, when: {field: component, equals: four-laws}, to: [es], index: "project-ai-ethics-%Y.%m.%d"}
  - {name: logs, to: [es], index: "project-ai-logs-%Y.%m.%d"}
admin: {listen: "127.0.0.1:{admin}"}
runtime: {threads: {threads}}
"#;

/// The gateway must be ready within this time.
const START_WITHIN: Duration = Duration::from_secs(20);

/// The gateway must have ended this long after SIGTERM: its door stays open, then it may drain, 30 s together.
const STOP_WITHIN: Duration = Duration::from_secs(45);

const POLL: Duration = Duration::from_millis(50);

/// Lines of the gateway's own log told when something went wrong.
const LOG_LINES: usize = 20;

/// The family in which the gateway counts what its sinks did.
const DELIVERED: &str = "forebay_sink_records_total{";

/// How the gateway is started.
#[derive(Debug)]
pub struct Launch<'a> {
    pub program: &'a Path,
    /// CPUs it may use, as `taskset` reads them.
    pub cpus: &'a str,
    pub threads: usize,
    pub sink: SocketAddr,
    /// `none` or `gzip`, for the bulks.
    pub compression: &'a str,
    /// More of the configuration, as YAML at its top level.
    pub extra: &'a str,
}

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub json: SocketAddr,
    pub beats: SocketAddr,
    pub elasticsearch: SocketAddr,
    pub admin: SocketAddr,
}

/// The running child; it is killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pid: u32,
    ports: Ports,
    directory: TempDir,
}

impl Gateway {
    /// Starts the gateway and waits until it is ready.
    ///
    /// # Errors
    /// It could not be started, ended at once, or is not ready within [`START_WITHIN`]; its log is told.
    pub async fn start(launch: &Launch<'_>) -> Result<Self> {
        // The child starts in a directory of its own, where a relative path would mean something else.
        let program = launch
            .program
            .canonicalize()
            .with_context(|| format!("looking for the gateway {}", launch.program.display()))?;
        let directory = tempfile::tempdir().context("a directory for the gateway")?;
        let ports = free_ports()?;
        let config = directory.path().join("forebay.yaml");
        std::fs::write(&config, configuration(launch, &ports))?;
        let log = File::create(directory.path().join("log"))?;
        let child = Command::new("taskset")
            .args(["-c", launch.cpus])
            .arg(program)
            .args(["run", "--config"])
            .arg(&config)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the gateway with taskset (package util-linux)")?;
        let pid = child.id().context("the gateway has no process id")?;
        let mut gateway = Self { child, pid, ports, directory };
        if let Err(fault) = gateway.wait_until_ready().await {
            bail!("{fault:#}; its log ends with:\n{}", gateway.log_tail());
        }
        Ok(gateway)
    }

    /// Its process id: `taskset` becomes the gateway.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Records that its ledger says were delivered; `None` if it exports no such count.
    ///
    /// # Errors
    /// `/metrics` cannot be read.
    pub async fn delivered(&self) -> Result<Option<u64>> {
        let (status, text) = self.admin("/metrics").await?;
        if status != 200 {
            bail!("/metrics answers {status}");
        }
        Ok(delivered_in(&text))
    }

    /// The sum of a metric over its labels, 0 if there is none of this name.
    ///
    /// # Errors
    /// `/metrics` cannot be read.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.admin("/metrics").await?;
        let value_of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let is_whole = rest.starts_with(' ') || rest.starts_with('{');
            is_whole.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        };
        Ok(text.lines().filter_map(value_of).sum())
    }

    /// Sends SIGTERM and waits until it has drained and ended.
    ///
    /// # Errors
    /// It does not end within [`STOP_WITHIN`], or with an error.
    pub async fn stop(mut self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status().await?;
        if !status.success() {
            bail!("the gateway had ended before; its log ends with:\n{}", self.log_tail());
        }
        let ended =
            timeout(STOP_WITHIN, self.child.wait()).await.context("waiting for the gateway to drain")??;
        if !ended.success() {
            bail!("the gateway ended with {ended}; its log ends with:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// The last lines that it logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended at once with {status}");
            }
            if matches!(self.admin("/readyz").await, Ok((200, _))) {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("the gateway is not ready after {START_WITHIN:?}")
    }

    async fn admin(&self, path: &str) -> Result<(u16, String)> {
        let target = Target { path: "/", content_type: "text/plain", gzip: false };
        let mut client = HttpClient::connect(self.ports.admin, target).await?;
        let (status, _, body) = client.get(path).await?;
        Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}

fn configuration(launch: &Launch<'_>, ports: &Ports) -> String {
    CONFIG
        .replace("{grpc}", &ports.grpc.port().to_string())
        .replace("{http}", &ports.http.port().to_string())
        .replace("{json}", &ports.json.port().to_string())
        .replace("{beats}", &ports.beats.port().to_string())
        .replace("{elasticsearch}", &ports.elasticsearch.port().to_string())
        .replace("{admin}", &ports.admin.port().to_string())
        .replace("{sink}", &launch.sink.to_string())
        .replace("{compression}", launch.compression)
        .replace("{threads}", &launch.threads.to_string())
        + launch.extra
}

/// Ports that were free a moment ago; all are held until all are known, so that they differ.
fn free_ports() -> Result<Ports> {
    let mut listeners = Vec::new();
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 6];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("looking for a free port")?;
        *address = listener.local_addr()?;
        listeners.push(listener);
    }
    let [grpc, http, json, beats, elasticsearch, admin] = addresses;
    Ok(Ports { grpc, http, json, beats, elasticsearch, admin })
}

/// The sum of all delivered counts in an exposition of Prometheus.
fn delivered_in(exposition: &str) -> Option<u64> {
    let mut total = None;
    for line in exposition.lines() {
        let Some(rest) = line.strip_prefix(DELIVERED) else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        if labels.split(',').any(|label| label == "outcome=\"delivered\"")
            && let Some(Ok(count)) = value.split(' ').next().map(str::parse::<f64>)
        {
            total = Some(total.unwrap_or(0) + count as u64);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn delivered_counts_are_summed_over_sinks_and_routes() {
        let exposition = "# HELP forebay_sink_records_total x\n\
            forebay_sink_records_total{sink=\"es\",outcome=\"delivered\",route=\"a\"} 40\n\
            forebay_sink_records_total{outcome=\"delivered\",route=\"b\"} 2\n\
            forebay_sink_records_total{outcome=\"duplicate\",route=\"b\"} 7\n\
            forebay_sink_bytes_total{outcome=\"delivered\"} 100\n";
        assert_eq!(delivered_in(exposition), Some(42));
        assert_eq!(delivered_in("up 1\n"), None);
    }

    #[test]
    fn the_configuration_has_no_gap() {
        let ports = free_ports().unwrap();
        let launch = Launch {
            program: Path::new("forebay"),
            cpus: "0",
            threads: 1,
            sink: ports.http,
            compression: "none",
            extra: "",
        };
        let config = configuration(&launch, &ports);
        assert!(config.contains(&format!("\"127.0.0.1:{}\"", ports.grpc.port())));
        assert!(config.contains(&format!("http://{}", ports.http)));
        for gap in [
            "{grpc}",
            "{http}",
            "{json}",
            "{beats}",
            "{elasticsearch}",
            "{admin}",
            "{sink}",
            "{compression}",
            "{threads}",
        ] {
            assert!(!config.contains(gap), "{gap}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_no_gateway_is_told_with_its_log() {
        let launch = Launch {
            program: Path::new("/bin/false"),
            cpus: "0",
            threads: 1,
            sink: free_ports().unwrap().http,
            compression: "none",
            extra: "",
        };
        let fault = Gateway::start(&launch).await.unwrap_err();
        assert!(format!("{fault:#}").contains("ended at once"), "{fault:#}");
    }
}
