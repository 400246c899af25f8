//! The real binary, started with a configuration as an operator would, on free ports in a folder of its own.

use crate::metrics::{Ledger, Metrics};
use crate::process::{self, Watchdog};
use crate::{ports, wait_until};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// Path of the binary to test, instead of building it.
const BINARY_VARIABLE: &str = "FOREBAY_BIN";
/// The same of the one that upgrades begin with, as that of an earlier release.
const OTHER_BINARY_VARIABLE: &str = "FOREBAY_OTHER_BIN";
/// What the other build says of itself, where it is built.
const OTHER_VERSION: &str = "0.0.0+other";

const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the drain of any test's configuration.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The loopback ports that a configuration may name as `{otlp_grpc}`, `{otlp_http}`, `{json}`, `{beats}`, `{elasticsearch}`, `{remote_write}`, `{forward}`,
/// `{tcp}`, `{syslog}`, `{loki}` and `{admin}`.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub otlp_grpc: u16,
    pub otlp_http: u16,
    pub json: u16,
    pub beats: u16,
    pub elasticsearch: u16,
    pub remote_write: u16,
    pub forward: u16,
    pub tcp: u16,
    pub syslog: u16,
    pub loki: u16,
    pub admin: u16,
}

/// A running (or ended) gateway. The process and its folder are gone when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    pub ports: Ports,
    folder: TempDir,
    agent: ureq::Agent,
    environment: Vec<(String, String)>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    _watchdog: Watchdog,
}

impl Gateway {
    /// Starts the binary with this configuration and waits until it is ready. In the text, `{otlp_grpc}`,
    /// `{otlp_http}`, `{json}`, `{beats}`, `{elasticsearch}`, `{remote_write}`, `{forward}`, `{admin}` stand for free ports and `{dir}` for the gateway's own temporary folder.
    /// The configuration must have `admin: {listen: "127.0.0.1:{admin}"}`.
    pub fn start(config_yaml: &str) -> Result<Self> {
        let mut gateway = Self::prepare()?;
        gateway.configure(config_yaml)?;
        gateway.start_again()?;
        Ok(gateway)
    }

    /// Ports and a folder, but no process and no configuration yet.
    pub fn prepare() -> Result<Self> {
        let [
            otlp_grpc,
            otlp_http,
            json,
            beats,
            elasticsearch,
            remote_write,
            forward,
            tcp,
            syslog,
            loki,
            admin,
        ] = ports::free()?;
        let ports = Ports {
            otlp_grpc,
            otlp_http,
            json,
            beats,
            elasticsearch,
            remote_write,
            forward,
            tcp,
            syslog,
            loki,
            admin,
        };
        let folder = tempfile::Builder::new().prefix("forebay-gateway-").tempdir()?;
        let agent = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).build().into();
        Ok(Self { ports, folder, agent, environment: Vec::new(), running: None })
    }

    /// Writes the configuration (as of [`start`](Self::start)) that the next start reads, or the next reload.
    pub fn configure(&self, config_yaml: &str) -> Result<()> {
        let config = self.ports.substitute(config_yaml).replace("{dir}", &self.folder().to_string_lossy());
        // In one step: a reload must not read half of it.
        let draft = self.folder().join("forebay.yaml.draft");
        fs::write(&draft, config)?;
        Ok(fs::rename(draft, self.folder().join("forebay.yaml"))?)
    }

    /// Environment variables of the process from its next start on, beside those of the tests.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Starts an ended gateway with the configuration, ports and folder that it had. Output is appended.
    pub fn start_again(&mut self) -> Result<()> {
        self.start_again_as(binary()?)
    }

    /// As [`start_again`](Self::start_again), as this executable.
    pub fn start_again_as(&mut self, binary: &Path) -> Result<()> {
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(self.folder().join("forebay.yaml"));
        self.launch(command)
    }

    /// As [`start_again`](Self::start_again), by a command of the caller's, which must become the gateway's process.
    pub fn launch(&mut self, mut command: Command) -> Result<()> {
        ensure!(self.running.is_none(), "the gateway runs already");
        command.current_dir(self.folder()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(self.output("stdout.log")?).stderr(self.output("stderr.log")?);
        let child = command.spawn().context("cannot start the gateway")?;
        let watchdog = Watchdog::over(child.id(), self.folder())?;
        self.running = Some(Running { child, _watchdog: watchdog });
        let address = self.admin_url("/readyz");
        wait_until("the gateway to be ready", READY_TIMEOUT, || {
            if let Some(status) = self.try_wait()? {
                bail!("the gateway ended ({status}):\n{}", self.log_tail());
            }
            Ok(self.agent.get(&address).call().is_ok().then_some(()))
        })
        .with_context(|| format!("the gateway's log:\n{}", self.log_tail()))
    }

    /// The gateway's folder: configuration, `stdout.log`, `stderr.log`, and whatever the configuration put at `{dir}`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An address on the admin port, for a path with a slash in front.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.admin)
    }

    /// The process id.
    ///
    /// # Errors
    /// The gateway was stopped or killed.
    pub fn pid(&self) -> Result<u32> {
        self.running.as_ref().map(|running| running.child.id()).context("the gateway does not run")
    }

    /// One scrape of `/metrics`.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.agent.get(self.admin_url("/metrics")).call()?.body_mut().read_to_string()?)
    }

    /// The ledger of one scrape.
    pub fn ledger(&self) -> Result<Ledger> {
        self.metrics()?.ledger()
    }

    /// Waits until nothing is in flight or in the journal, and returns the ledger with both equations checked.
    pub fn balanced_ledger(&self, timeout: Duration) -> Result<Ledger> {
        let ledger = wait_until("an empty gateway", timeout, || {
            let ledger = self.ledger()?;
            Ok((ledger.in_flight == 0.0 && ledger.behind == 0.0).then_some(ledger))
        })?;
        ledger.check()?;
        Ok(ledger)
    }

    /// User plus system CPU time so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.pid()?)
    }

    /// Resident memory, in bytes.
    pub fn rss_bytes(&self) -> Result<u64> {
        process::rss_bytes(self.pid()?)
    }

    /// Asks the gateway to read its configuration again (SIGHUP).
    pub fn sighup(&self) -> Result<()> {
        process::signal(self.pid()?, "HUP")
    }

    /// Asks the gateway to drain and end (SIGTERM); returns its exit status and the last line of its log.
    pub fn sigterm_and_wait(&mut self) -> Result<(ExitStatus, String)> {
        self.sigterm()?;
        self.wait_for_end()
    }

    /// Asks the gateway to drain and end (SIGTERM).
    pub fn sigterm(&self) -> Result<()> {
        process::signal(self.pid()?, "TERM")
    }

    /// Waits for a gateway that was asked to end; returns its exit status and the last line of its log.
    pub fn wait_for_end(&mut self) -> Result<(ExitStatus, String)> {
        let status = wait_until("the gateway's end", STOP_TIMEOUT, || self.try_wait())?;
        self.running = None;
        Ok((status, self.last_line()))
    }

    /// As [`wait_for_end`](Self::wait_for_end), for an end in order: the exit code is 0, and the last line is a ledger that
    /// balances, which is returned.
    pub fn wait_for_good_end(&mut self) -> Result<Value> {
        let (status, line) = self.wait_for_end()?;
        let ledger: Value = serde_json::from_str(&line).with_context(|| format!("no ledger: {line}"))?;
        let is_closed = ledger["message"] == "ledger" && ledger["balanced"] == true;
        ensure!(status.code() == Some(0) && is_closed, "the gateway's end: {status}, {line}");
        Ok(ledger)
    }

    /// Kills the gateway (SIGKILL) and reaps it.
    pub fn kill9(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the gateway does not run")?;
        running.child.kill()?;
        running.child.wait()?;
        Ok(())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let running = self.running.as_mut().context("the gateway does not run")?;
        Ok(running.child.try_wait()?)
    }

    fn output(&self, name: &str) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.folder().join(name))?)
    }

    /// The last line of the log on standard error; of standard output if the former is empty.
    fn last_line(&self) -> String {
        let line = process::tail(&self.folder().join("stderr.log"), 1);
        if line.is_empty() { process::tail(&self.folder().join("stdout.log"), 1) } else { line }
    }

    /// The last lines of the log on standard error.
    pub fn log_tail(&self) -> String {
        process::tail(&self.folder().join("stderr.log"), 20)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.running.is_some() {
            // A gateway that is gone already is what was wanted.
            let _ = self.kill9();
        }
    }
}

impl Ports {
    fn substitute(&self, text: &str) -> String {
        text.replace("{otlp_grpc}", &self.otlp_grpc.to_string())
            .replace("{otlp_http}", &self.otlp_http.to_string())
            .replace("{json}", &self.json.to_string())
            .replace("{beats}", &self.beats.to_string())
            .replace("{elasticsearch}", &self.elasticsearch.to_string())
            .replace("{remote_write}", &self.remote_write.to_string())
            .replace("{forward}", &self.forward.to_string())
            .replace("{tcp}", &self.tcp.to_string())
            .replace("{syslog}", &self.syslog.to_string())
            .replace("{loki}", &self.loki.to_string())
            .replace("{admin}", &self.admin.to_string())
    }
}

/// The binary under test: `FOREBAY_BIN`, else built once per test process in the profile of the tests themselves.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Another build of the gateway, for upgrades: `FOREBAY_OTHER_BIN`, else the same source with another version, built once per test process
/// beside the one under test.
pub fn other_binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find_or_build_other().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// What an executable says of itself: its version.
pub fn version_of(binary: &Path) -> Result<String> {
    let said = String::from_utf8(process::run(Command::new(binary).arg("--version"))?.stdout)?;
    let version = said.trim().strip_prefix("forebay ");
    Ok(version.with_context(|| format!("no version: {said}"))?.to_owned())
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(chosen) = chosen(BINARY_VARIABLE)? {
        return Ok(chosen);
    }
    let (folder, profile) = profile()?;
    let mut cargo = cargo("build", &profile);
    process::run(&mut cargo)?;
    Ok(folder.join("forebay"))
}

fn find_or_build_other() -> Result<PathBuf> {
    if let Some(chosen) = chosen(OTHER_BINARY_VARIABLE)? {
        return Ok(chosen);
    }
    let (folder, profile) = profile()?;
    let target = folder.parent().context("the profile's folder lies nowhere")?;
    let other = target.join("other");
    let mut cargo = cargo("rustc", &profile);
    // What both builds have in common is not built again; the executable is put where it is in nobody's way.
    cargo.arg("--config").arg(format!("build.build-dir={target:?}")).arg("--target-dir").arg(&other);
    // A name of its own among what is built, so that neither takes the place of the other.
    cargo.args(["--", "-C", "metadata=other"]).env("FOREBAY_VERSION", OTHER_VERSION);
    process::run(&mut cargo)?;
    Ok(other.join(folder.file_name().unwrap_or_default()).join("forebay"))
}

/// The executable that a variable names, if it is set.
fn chosen(variable: &str) -> Result<Option<PathBuf>> {
    let Some(chosen) = std::env::var_os(variable).map(PathBuf::from) else { return Ok(None) };
    ensure!(chosen.is_file(), "{variable} names no file: {}", chosen.display());
    Ok(Some(chosen.canonicalize()?))
}

/// The folder of the tests' own profile, and the profile's name.
fn profile() -> Result<(PathBuf, String)> {
    // A test runs as target/<profile folder>/deps/<name>.
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("the test does not lie in a target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("no profile in {}", folder.display()),
    };
    Ok((folder.to_owned(), profile.to_owned()))
}

/// `cargo <command>` of the gateway's executable.
fn cargo(command: &str, profile: &str) -> Command {
    let mut cargo = Command::new("cargo");
    // Those of this test's own package would make build scripts believe that something has changed.
    let is_of_this_test = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| is_of_this_test(name)) {
        cargo.env_remove(name);
    }
    cargo.args([command, "--quiet", "--package", "forebay", "--bin", "forebay", "--profile", profile]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}
