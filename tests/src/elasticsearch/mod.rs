//! A real Elasticsearch or OpenSearch node: started on free ports, hung, killed, started again on the same data.

mod certificate;
mod client;
mod distribution;
pub mod install;

pub use client::Hit;
pub use distribution::Distribution;

use crate::process::{self, Watchdog, is_root};
use crate::{ports, wait_until};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The superuser of a node with security.
pub const USER: &str = "elastic";
pub const PASSWORD: &str = "forebay-harness";

/// The user and group that the node runs as when the tests run as root, which the servers refuse: `nobody`.
const UNPRIVILEGED: &str = "65534";

/// Until the node answers; a start takes 5 s of CPU, and CI machines are busy.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which server. Default: Elasticsearch.
    pub distribution: Distribution,
    /// Authentication: basic ([`USER`], [`PASSWORD`]) and API keys; plain HTTP all the same. Default: off.
    pub security: bool,
    /// HTTPS, with a certificate that nobody knows ([`Elasticsearch::certificate`]). Needs `security`. Default: off.
    pub tls: bool,
    /// Node settings beyond the harness's own, as of `-E name=value`.
    pub settings: Vec<(String, String)>,
    /// Java heap in MiB. Default: 512.
    pub heap_mib: u32,
    /// Quick start and a small resident set instead of full speed; off when measuring. Default: on.
    pub quick_start: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            distribution: Distribution::default(),
            security: false,
            tls: false,
            settings: Vec::new(),
            heap_mib: 512,
            quick_start: true,
        }
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
    /// What was started: a launcher that has ended, or the server itself.
    launched: Child,
    _watchdog: Watchdog,
}

impl Elasticsearch {
    /// Installs the server if need be, starts a node with empty data on free ports and waits until it answers.
    pub fn start(options: Options) -> Result<Self> {
        let home = install::install(options.distribution)?;
        let java_home = install::java_home()?;
        let folder = traversable_folder()?;
        let [http_port, transport_port] = ports::free()?;
        let agent = client::agent(None);
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
        let (pid, launched) = self.launch(&pid_file)?;
        self.running = Some(Running { pid, launched, _watchdog: Watchdog::over(pid, self.folder.path())? });
        wait_until("the node to answer", START_TIMEOUT, || {
            ensure!(process::alive(pid), "the node has ended:\n{}", self.output_tail());
            Ok(self.healthy().then_some(()))
        })
    }

    /// Starts the server; returns its JVM's process id, and what was started.
    fn launch(&self, pid_file: &Path) -> Result<(u32, Child)> {
        let name = self.options.distribution.name();
        let mut command = self.as_node_user(&self.home.join("bin").join(name));
        for (setting, value) in &self.options.settings {
            command.arg(format!("-E{setting}={value}"));
        }
        let output = File::create(self.path("start.out"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        if self.options.distribution == Distribution::OpenSearch {
            // Its script becomes the JVM.
            let server = command.spawn().context("cannot start OpenSearch")?;
            return Ok((server.id(), server));
        }
        // -d: the launcher returns when the node is up, and only the server's own JVM stays.
        command.arg("-d").arg("-p").arg(pid_file);
        let mut launcher = command.spawn().context("cannot start Elasticsearch")?;
        let status = launcher.wait()?;
        ensure!(status.success(), "Elasticsearch does not start ({status}):\n{}", self.output_tail());
        let pid = fs::read_to_string(pid_file)?.trim().parse().context("odd pid file")?;
        Ok((pid, launcher))
    }

    fn output_tail(&self) -> String {
        process::tail(&self.path("start.out"), 20)
    }

    /// The address of its HTTP port, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.http_port)
    }

    /// The PEM file of the certificate that a node with `tls` has, and that no authority has signed.
    pub fn certificate(&self) -> PathBuf {
        self.path("config").join(certificate::PEM)
    }

    /// What the server has logged so far, one JSON object a line.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.path("logs/forebay-harness_server.json")).context("the node has no log")
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
        if let Some(mut running) = self.running.take() {
            running.launched.wait()?;
        }
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
        let variable = |name: &str| format!("{}_{name}", self.options.distribution.variables());
        command.current_dir(self.folder.path()).env("HOME", self.path("tmp"));
        command.env(variable("TMPDIR"), self.path("tmp")).env(variable("PATH_CONF"), self.path("config"));
        command.env(variable("JAVA_HOME"), &self.java_home).env(variable("JAVA_OPTS"), java_options);
        command
    }

    fn configure(&mut self, transport_port: u16) -> Result<()> {
        let config = self.path("config");
        process::run(Command::new("cp").arg("-r").arg(self.home.join("config")).arg(&config))?;
        for name in ["data", "logs", "tmp"] {
            fs::create_dir(self.path(name))?;
        }
        self.keep_out_of_home(&config.join("jvm.options"))?;
        let file = format!("{}.yml", self.options.distribution.name());
        fs::write(config.join(file), self.settings(transport_port))?;
        if self.options.tls {
            certificate::make(&self.java_home, &config)?;
            let pem = fs::read(self.certificate())?;
            self.agent = client::agent(Some(ureq::tls::Certificate::from_pem(&pem)?));
        }
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

    /// OpenSearch's JVM runs in the distribution's folder, and does not start if it cannot write its `logs/gc.log` there.
    fn keep_out_of_home(&self, jvm_options: &Path) -> Result<()> {
        let logs = self.path("logs").display().to_string();
        let options = fs::read_to_string(jvm_options)?;
        Ok(fs::write(jvm_options, options.replace("=logs/", &format!("={logs}/")))?)
    }

    fn settings(&self, transport_port: u16) -> String {
        let Self { http_port, options, .. } = self;
        let (data, logs) = (self.path("data"), self.path("logs"));
        // Without the disk threshold switched off, a full disk turns into answers 429 that no test asked for.
        let mut settings = format!(
            "cluster.name: forebay-harness\n\
             node.name: node-1\n\
             network.host: 127.0.0.1\n\
             http.port: {http_port}\n\
             transport.port: {transport_port}\n\
             discovery.type: single-node\n\
             path.data: {}\n\
             path.logs: {}\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n",
            data.display(),
            logs.display(),
        );
        if options.distribution == Distribution::Elasticsearch {
            settings.push_str(&format!("xpack.security.enabled: {}\n", options.security));
        }
        if options.tls {
            settings.push_str(&format!(
                "xpack.security.http.ssl:\n  \
                   enabled: true\n  \
                   keystore.path: {}\n  \
                   keystore.password: {PASSWORD}\n",
                certificate::STORE,
            ));
        }
        settings
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
