//! The image without a container engine: the root file system that the Dockerfile copies, and the binary in it as a cluster runs it, as
//! nobody in particular and with nothing to write to but its volume.

use forebay_proto::common::any_value::Value as Any;
use forebay_tests::otlp::{self, LogsClient, attribute};
use forebay_tests::process::{is_root, run, tail};
use forebay_tests::{Gateway, gateway};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Of the Dockerfile and the chart.
const USER: u32 = 65532;
/// The most that the image may have, in bytes: as it is shipped, and with what an unoptimised build carries along.
const MOST_SHIPPED: u64 = 40 << 20;
const MOST_UNOPTIMISED: u64 = 48 << 20;
/// Everything that may be there beside time zones, the binary and its libraries.
const FILES: [&str; 4] = ["etc/group", "etc/nsswitch.conf", "etc/passwd", "usr/share/doc/forebay/LICENSE"];

/// Runs a command in the image as a container would: `/` is read-only but for `/tmp` and the volume, the configuration is mounted, and the
/// process has no capability and no way to get one. Needs a mount namespace of its own.
const CONTAINER: &str = r#"
set -eu
root=$1 config=$2 volume=$3
shift 3
mount --bind "$root" "$root"
mount --bind "$config" "$root/etc/forebay/forebay.yaml"
mount --bind "$volume" "$root/var/lib/forebay"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" "$@"
"#;

/// Where the binary keeps what it took; no server is needed.
const CONFIG: &str = r#"
receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{otlp_grpc}"}
  json: {listen: "127.0.0.1:{json}", timezone: Europe/Berlin}
sinks:
  files: {type: file, path: /var/lib/forebay/indices}
dead_letters: {path: /var/lib/forebay/dead-letters}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s}
"#;

#[test]
fn the_image_holds_the_binary_with_its_libraries_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = assemble(&folder);
    let mut found = BTreeSet::new();
    let (mut bytes, mut zones) = (0, 0);
    for file in files(&root) {
        let metadata = fs::symlink_metadata(&file).unwrap();
        bytes += metadata.len();
        let path = file.strip_prefix(&root).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_runnable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        let is_set_to_root = metadata.permissions().mode() & 0o6000 != 0;
        let is_library = name.contains(".so") && (name.starts_with("lib") || name.starts_with("ld-linux"));
        assert!(!is_set_to_root, "{path:?} runs as its owner");
        assert!(!is_runnable || is_library || path == Path::new("usr/bin/forebay"), "{path:?} can be run");
        if path.starts_with("usr/share/zoneinfo") {
            zones += 1;
        } else if !is_library {
            found.insert(path.to_str().unwrap().to_owned());
        }
    }
    let mut expected: BTreeSet<String> = FILES.map(str::to_owned).into();
    expected.insert("usr/bin/forebay".to_owned());
    assert_eq!(found, expected);
    assert!(zones > 400, "only {zones} time zones");

    let profile = gateway::binary().unwrap().parent().unwrap().file_name().unwrap().to_str().unwrap();
    let most = if ["release", "dist"].contains(&profile) { MOST_SHIPPED } else { MOST_UNOPTIMISED };
    println!("image, {profile} build: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    assert!(bytes <= most, "{bytes} bytes, where {most} are allowed");
}

#[test]
fn in_the_image_it_serves_as_nobody_on_a_read_only_root() {
    if !can_contain() {
        println!("SKIPPED: the image is not run: a mount namespace needs root, unshare and setpriv");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = assemble(&folder);
    let mut gateway = Gateway::prepare().unwrap();
    gateway.configure(CONFIG).unwrap();
    let image = Image { root, config: gateway.folder().join("forebay.yaml"), volume: volume(&folder) };
    gateway.launch(image.command(&["run", "--config", "/etc/forebay/forebay.yaml"])).unwrap();
    assert_confined(gateway.pid().unwrap(), &image);

    let attributes = vec![attribute("component", Any::StringValue("ai-persona".to_owned()))];
    let request =
        otlp::request("image", vec![otlp::record(1_795_000_000_000_000_000, "by OTLP", attributes)]);
    let mut client = LogsClient::new(&format!("127.0.0.1:{}", gateway.ports.otlp_grpc)).unwrap();
    assert_eq!(client.export(request).unwrap().partial_success, None);
    let address = format!("http://127.0.0.1:{}/", gateway.ports.json);
    let line = r#"{"message":"by JSON","component":"security","timestamp":"2026-11-21T12:00:00"}"#;
    let answer: Value = ureq::post(address).send(line).unwrap().body_mut().read_json().unwrap();
    assert_eq!(answer["accepted"], 1, "{answer}");
    let ledger = gateway.balanced_ledger(Duration::from_secs(10)).unwrap();
    assert_eq!((ledger.received, ledger.delivered), (2.0, 2.0), "{ledger:?}");

    let health = ["health", "--url", &gateway.admin_url("")];
    let output = run(&mut image.command(&health)).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ready\n");
    gateway.sigterm().unwrap();
    gateway.wait_for_good_end().unwrap();
    let output = image.command(&health).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    let log = fs::read_to_string(gateway.folder().join("stderr.log")).unwrap();
    for what in ["threads", "memory_available_bytes", "memory_budget_bytes"] {
        assert!(log.contains(what), "the log says nothing of {what}:\n{log}");
    }
    let stored: String = files(&image.volume.join("indices"))
        .iter()
        .filter(|file| file.to_string_lossy().contains("project-ai-"))
        .map(|file| tail(file, 9))
        .collect();
    assert!(stored.contains("by OTLP") && stored.contains("by JSON"), "{stored}");
    // Noon in Berlin: its time zone is in the image.
    assert!(stored.contains("2026-11-21T11:00:00"), "{stored}");
}

/// The kernel's view of the process: whose it is, what it may do, and what it can write to.
fn assert_confined(pid: u32, image: &Image) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let has = |line: String| assert!(status.lines().any(|own| own == line), "not {line:?}:\n{status}");
    has(format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}"));
    has(format!("Gid:\t{USER}\t{USER}\t{USER}\t{USER}"));
    has("CapEff:\t0000000000000000".to_owned());
    has("CapPrm:\t0000000000000000".to_owned());
    has("NoNewPrivs:\t1".to_owned());
    // Through its eyes, and with root's rights: it is the file system that refuses.
    let inside = PathBuf::from(format!("/proc/{pid}/root"));
    for folder in ["", "etc", "usr/bin"] {
        let refused = File::create(inside.join(folder).join("new")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "/{folder}: {refused}");
    }
    assert!(!inside.join("bin/sh").exists() && !inside.join("usr/bin/sh").exists());
    assert!(image.volume.join("dead-letters").exists(), "the volume is not where it writes");
}

struct Image {
    root: PathBuf,
    config: PathBuf,
    volume: PathBuf,
}

impl Image {
    /// `forebay` in the image, with these arguments. Its process is the command's own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", CONTAINER, "container"]);
        command.args([&self.root, &self.config, &self.volume]).arg("/usr/bin/forebay").args(arguments);
        // The variables of a test are not there either.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command
    }
}

fn can_contain() -> bool {
    let probe = "mount -t tmpfs tmpfs /tmp && setpriv --no-new-privs true";
    let mut command = Command::new("unshare");
    is_root() && command.args(["--mount", "sh", "-c", probe]).output().is_ok_and(|it| it.status.success())
}

/// Makes the root file system of the binary under test, with the folders that a container's runtime adds.
fn assemble(folder: &TempDir) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docker/rootfs.sh");
    let root = folder.path().join("root");
    run(Command::new("sh").arg(script).arg(gateway::binary().unwrap()).arg(&root)).unwrap();
    for name in ["proc", "sys"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    root
}

/// A folder that belongs to the image's user, and a place in the image for the configuration.
fn volume(folder: &TempDir) -> PathBuf {
    let volume = folder.path().join("volume");
    fs::create_dir(&volume).unwrap();
    chown(&volume, Some(USER), Some(USER)).unwrap();
    File::create(folder.path().join("root/etc/forebay/forebay.yaml")).unwrap();
    volume
}

/// Every file and link below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let list = if entry.file_type().unwrap().is_dir() { &mut folders } else { &mut found };
            list.push(entry.path());
        }
    }
    found
}
