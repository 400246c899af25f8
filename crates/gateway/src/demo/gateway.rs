//! The gateway under demonstration: a child process on the embedded default, all of its files in one folder.

use anyhow::{Context as _, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The ports of the defaults; one that is taken gives way to a free one.
const PORTS: [u16; 4] = [4317, 4318, 8080, 9600];
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Marks a folder as a demo's, so that no other one is ever emptied.
const MARK: &str = "made-by-forebay-demo";

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    pub otlp_grpc: SocketAddr,
    pub otlp_http: SocketAddr,
    pub json: SocketAddr,
    pub admin: SocketAddr,
    pub config: PathBuf,
    /// Where the index files are.
    pub indices: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Gateway {
    /// Starts a gateway with its files in `dir`.
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        empty(dir)?;
        let [otlp_grpc, otlp_http, json, admin] = free_addresses()?;
        let (config, log, indices) = (dir.join("forebay.yaml"), dir.join("forebay.log"), dir.join("indices"));
        let text = format!(
            "receivers:\n  otlp: {{grpc: {{listen: \"{otlp_grpc}\"}}, http: {{listen: \"{otlp_http}\"}}}}\n  \
             json: {{listen: \"{json}\"}}\nsinks:\n  files: {{type: file, path: {indices:?}}}\n\
             dead_letters: {{path: {letters:?}}}\nadmin: {{listen: \"{admin}\"}}\ndrain: {{door_open: 0s}}\n",
            letters = dir.join("dead-letters"),
        );
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("starting the gateway")?;
        let mut gateway = Self { otlp_grpc, otlp_http, json, admin, config, indices, log, child };
        gateway.ready().await?;
        Ok(gateway)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + START_LIMIT;
        while tokio::net::TcpStream::connect(self.admin).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended with {status}: {}", self.last_log_line());
            }
            if tokio::time::Instant::now() > end {
                bail!("the gateway did not start within {START_LIMIT:?}; its log is {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// User and system CPU time of the gateway so far, in seconds (proc(5), `/proc/pid/stat`, fields 14 and 15).
    pub fn cpu_seconds(&self) -> Option<f64> {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The command's name, which may hold spaces, ends with the last parenthesis; field 3 follows it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND)
    }

    /// Ends the gateway and returns the last line of its log: the ledger.
    pub async fn stop(&mut self) -> anyhow::Result<String> {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.context("the gateway did not end")??;
        Ok(self.last_log_line())
    }

    fn last_log_line(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }
}

/// Makes `dir` an empty folder of the demo's own.
fn empty(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        if !dir.join(MARK).exists() {
            bail!("{} exists and was not made by a demo; choose another folder with --dir", dir.display());
        }
        std::fs::remove_dir_all(dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    std::fs::write(dir.join(MARK), "").with_context(|| format!("writing into {}", dir.display()))
}

fn free_addresses() -> anyhow::Result<[SocketAddr; 4]> {
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 4];
    for (address, port) in addresses.iter_mut().zip(PORTS) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("finding a free port")?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
