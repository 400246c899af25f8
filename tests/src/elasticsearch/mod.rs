//! A real Elasticsearch node: started on free ports, hung, killed, started again on the same data.

mod client;
pub mod install;

pub use client::Hit;

use crate::process::{self, Watchdog, is_root};
use crate::{ports, wait_until};
use anyhow::{Context, Result, bail};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The superuser of a node with security.
pub const USER: &str = "elastic";
pub const PASSWORD: &str = "forebay-harness";

/// The user and group that the node runs as when the tests run as root, which Elasticsearch refuses: `nobody`.
const UNPRIVILEGED: &str = "65534";

/// Until the node answers; a start takes 5 s of CPU, and CI machines are busy.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Authentication: basic ([`USER`], [`PASSWORD`]) and API keys; plain HTTP all the same. Default: off.
    pub security: bool,
    /// Node settings beyond the harness's own, as of `-E name=value`.
    pub settings: Vec<(String, String)>,
    /// Java heap in MiB. Default: 512.
    pub heap_mib: u32,
    /// Quick start and a small resident set instead of full speed; off when measuring. Default: on.
    pub quick_start: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { security: false, settings: Vec::new(), heap_mib: 512, quick_start: true }
    }
}

/// A node of its own cluster on 127.0.0.1. It and its data are gone when this is dropped.
#[derive(Debug)]
pub struct Elasticsearch {
    options: Options,
    home: PathBuf,
    java_home: PathBuf,
    folder: TempDir,
    http_port: u16,
    agent: ureq::Agent,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pid: u32,
    _watchdog: Watchdog,
}

impl Elasticsearch {
    /// Installs Elasticsearch if need be, starts a node with empty data on free ports and waits until it answers.
    pub fn start(options: Options) -> Result<Self> {
        let home = install::install()?;
        let java_home = install::java_home()?;
        let folder = traversable_folder()?;
        let [http_port, transport_port] = ports::free()?;
        let agent = client::agent();
        let mut node = Self { options, home, java_home, folder, http_port, agent, running: None };
        node.configure(transport_port)?;
        node.start_again()?;
        Ok(node)
    }

    /// Starts the stopped or killed node on the data, ports and settings that it had.
    pub fn start_again(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("the node runs already");
        }
        let pid_file = self.path("pid");
        if pid_file.exists() {
            fs::remove_file(&pid_file)?;
        }
        let mut command = self.as_node_user(&self.home.join("bin/elasticsearch"));
        // -d: the launcher returns when the node is up, and only the server's own JVM stays.
        command.arg("-d").arg("-p").arg(&pid_file);
        for (name, value) in &self.options.settings {
            command.arg(format!("-E{name}={value}"));
        }
        let output = File::create(self.path("start.out"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let launched = command.status().context("cannot start Elasticsearch")?;
        if !launched.success() {
            bail!(
                "Elasticsearch does not start ({launched}):\n{}",
                process::tail(&self.path("start.out"), 20)
            );
        }
        let pid = fs::read_to_string(&pid_file)?.trim().parse().context("odd pid file")?;
        self.running = Some(Running { pid, _watchdog: Watchdog::over(pid, self.folder.path())? });
        wait_until("Elasticsearch to answer", START_TIMEOUT, || Ok(self.healthy().then_some(())))
    }

    /// The address of its HTTP port, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// The process id of the server's JVM.
    ///
    /// # Errors
    /// The node does not run.
    pub fn pid(&self) -> Result<u32> {
        self.running.as_ref().map(|running| running.pid).context("the node does not run")
    }

    /// Makes the node hang (SIGSTOP): connections are accepted by the kernel, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        process::signal(self.pid()?, "STOP")
    }

    /// Lets a hanging node go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        process::signal(self.pid()?, "CONT")
    }

    /// Stops the node in an orderly way (SIGTERM) and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        self.end("TERM")
    }

    /// Kills the node (SIGKILL) and waits for its end.
    pub fn kill9(&mut self) -> Result<()> {
        self.end("KILL")
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let pid = self.pid()?;
        process::signal(pid, signal)?;
        process::wait_gone(pid, STOP_TIMEOUT)?;
        self.running = None;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of the distribution with this node's environment, run as the node's user.
    fn as_node_user(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups"]).arg(program);
            setpriv
        } else {
            Command::new(program)
        };
        let heap = self.options.heap_mib;
        let mut java_options = format!("-Xms{heap}m -Xmx{heap}m");
        if self.options.quick_start {
            java_options.push_str(" -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch");
        }
        command.current_dir(self.folder.path());
        command.env("HOME", self.path("tmp")).env("ES_TMPDIR", self.path("tmp"));
        command.env("ES_PATH_CONF", self.path("config")).env("ES_JAVA_HOME", &self.java_home);
        command.env("ES_JAVA_OPTS", java_options);
        command
    }

    fn configure(&self, transport_port: u16) -> Result<()> {
        let config = self.path("config");
        process::run(Command::new("cp").arg("-r").arg(self.home.join("config")).arg(&config))?;
        for name in ["data", "logs", "tmp"] {
            fs::create_dir(self.path(name))?;
        }
        fs::write(config.join("elasticsearch.yml"), self.settings(transport_port))?;
        if is_root() {
            let owner = format!("{UNPRIVILEGED}:{UNPRIVILEGED}");
            process::run(Command::new("chown").arg("-R").arg(owner).arg(self.folder.path()))?;
        }
        if self.options.security {
            self.keystore(&["create"], "")?;
            self.keystore(&["add", "--stdin", "--force", "bootstrap.password"], PASSWORD)?;
        }
        Ok(())
    }

    fn settings(&self, transport_port: u16) -> String {
        let Self { http_port, options, .. } = self;
        let (data, logs) = (self.path("data"), self.path("logs"));
        // Without the disk threshold switched off, a full disk turns into answers 429 that no test asked for.
        format!(
            "cluster.name: forebay-harness\n\
             node.name: node-1\n\
             network.host: 127.0.0.1\n\
             http.port: {http_port}\n\
             transport.port: {transport_port}\n\
             discovery.type: single-node\n\
             path.data: {}\n\
             path.logs: {}\n\
             xpack.security.enabled: {}\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n",
            data.display(),
            logs.display(),
            options.security,
        )
    }

    fn keystore(&self, args: &[&str], input: &str) -> Result<()> {
        let mut command = self.as_node_user(&self.home.join("bin/elasticsearch-keystore"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("cannot run elasticsearch-keystore")?;
        if let Some(mut stdin) = child.stdin.take() {
            writeln!(stdin, "{input}")?;
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("elasticsearch-keystore failed ({status})");
        }
        Ok(())
    }
}

impl Drop for Elasticsearch {
    fn drop(&mut self) {
        if self.running.is_some() {
            // A node that is gone already is what was wanted.
            let _ = self.kill9();
        }
    }
}

/// A temporary folder that the node's user can reach, whatever `TMPDIR` says to root.
fn traversable_folder() -> Result<TempDir> {
    let parent = if is_root() { PathBuf::from("/tmp") } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("forebay-es-").tempdir_in(parent)?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}
