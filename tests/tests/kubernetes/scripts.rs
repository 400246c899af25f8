//! The scripts that judge a running Forebay: `health-check.sh`, and what the pod of `helm test` runs. A real gateway answers them.

use crate::cluster::{GATEWAY, refusal};
use crate::render::{chart, root};
use forebay_tests::{Gateway, process};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Books that do not balance.
const UNBALANCED: &str = "forebay_receiver_received_records_total{receiver=\"json\"} 3\n\
                          forebay_receiver_records_total{receiver=\"json\",outcome=\"accepted\"} 2\n";

/// Answers every request with this page until the test process ends.
fn page(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            // A page that nobody reads is no matter.
            let _ = connection.read(&mut [0; 4096]);
            let length = text.len();
            let _ = write!(
                connection,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
            );
        }
    });
    port
}

fn health_check(address: &str) -> Command {
    let mut check = Command::new("timeout");
    check.args(["60", "sh"]).arg(root().join("deploy/health-check.sh")).args(["--url", address]);
    check
}

#[test]
fn the_health_check_tells_the_well_from_the_ill() {
    let mut gateway = Gateway::start(GATEWAY).unwrap();
    let address = gateway.admin_url("");
    let told = process::run(&mut health_check(&address)).unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    for part in ["livez", "readyz", "received 0 = 0 at the door", "sink none: ok"] {
        assert!(told.lines().any(|line| line.starts_with("ok ") && line.contains(part)), "{part}:\n{told}");
    }
    assert!(!told.contains("WRONG"), "{told}");

    let said = refusal(&mut health_check(&format!("http://127.0.0.1:{}", page(UNBALANCED))));
    assert!(said.contains("received 3 = 2 at the door"), "{said}");

    gateway.kill9().unwrap();
    let said = refusal(&mut health_check(&address));
    assert!(said.contains("no metrics of a Forebay"), "{said}");
}

/// The programs of the image that the test's pod runs in: BusyBox and curl, and nothing else. Names are resolved by what is
/// told here, in the words of BusyBox's own `nslookup`, which also tells what it did not find.
fn image(folder: &Path, addresses: &[&str], routes: &[(&str, u16)]) {
    let busybox = process::find_program("busybox").expect("busybox is not there: apt-get install busybox");
    for name in ["sh", "awk", "sleep", "cat"] {
        symlink(&busybox, folder.join(name)).unwrap();
    }
    symlink(process::find_program("curl").unwrap(), folder.join("curl")).unwrap();
    let mut answer = String::from("Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n");
    for address in addresses {
        answer += &format!("Name:\tforebay-headless.telemetry.svc.cluster.local\nAddress: {address}\n\n");
    }
    answer += "** server can't find forebay-headless.svc.cluster.local: NXDOMAIN\n";
    let nslookup = folder.join("nslookup");
    let script = format!(
        "#!{}/sh\n[ \"$1\" = forebay-headless ] && cat <<'ANSWER'\n{answer}ANSWER\nexit 1\n",
        folder.display()
    );
    fs::write(&nslookup, script).unwrap();
    fs::set_permissions(&nslookup, Permissions::from_mode(0o755)).unwrap();
    let routes = routes.iter().map(|(place, port)| format!("connect-to = \"{place}:127.0.0.1:{port}\"\n"));
    fs::write(folder.join(".curlrc"), routes.collect::<String>()).unwrap();
}

fn helm_test(folder: &Path) -> Command {
    let mut test = Command::new(process::find_program("timeout").unwrap());
    test.arg("60")
        .arg(folder.join("sh"))
        .arg("-c")
        .arg(fs::read_to_string(chart().join("files/test.sh")).unwrap());
    test.env_clear().env("PATH", folder).env("CURL_HOME", folder).env("SERVICE", "forebay");
    test
}

#[test]
fn the_script_of_helm_test_sends_and_reads_the_books() {
    let gateway = Gateway::start(GATEWAY).unwrap();
    let ports = gateway.ports;
    let routes = [
        ("forebay:8080", ports.json),
        ("forebay:4318", ports.otlp_http),
        ("10.244.1.7:9600", ports.admin),
        ("10.244.2.9:9600", ports.admin),
        ("10.244.3.1:9600", page(UNBALANCED)),
    ];
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), &["10.244.1.7", "10.244.2.9"], &routes);
    let told = process::run(&mut helm_test(folder.path())).unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    for part in
        ["\"accepted\":1", "OTLP: status 200", "10.244.1.7: received 2 = 2", "10.244.2.9: received 2 = 2"]
    {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    let ledger = gateway.ledger().unwrap();
    assert_eq!(ledger.received, 2.0);

    // One pod of two keeps bad books.
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), &["10.244.1.7", "10.244.3.1"], &routes);
    let said = refusal(&mut helm_test(folder.path()));
    assert!(said.contains("FAILED: 10.244.3.1: received 3 = 2"), "{said}");
    // Nobody answers.
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), &["10.244.1.7"], &[("forebay:8080", 9)]);
    let said = refusal(&mut helm_test(folder.path()));
    assert!(said.contains("FAILED: no answer from forebay:8080"), "{said}");
}
