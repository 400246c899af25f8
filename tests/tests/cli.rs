//! The command line, as a person at a terminal meets it.

#![allow(clippy::unwrap_used)]

use forebay_tests::{Gateway, gateway, ports, wait_until};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const SECRET: &str = "hunter2-of-the-test";

/// One mistake of each kind, some in the words of the file, some only seen from the whole of it.
const FAULTY: &str = r#"receivers:
  otlp:
    grcp: {listen: "127.0.0.1:4317"}
sinks:
  es:
    type: elasticsearch
    endpont: ["http://localhost:9200"]
    timeout: 60
    auth: {username: elastic, password: "${FOREBAY_TEST_SECRET}"}
    compression: "${FOREBAY_TEST_SECRET}"
  disk: {type: fiel}
limits: {memory: lots}
"#;

const FAULTS_OF_FAULTY: [&str; 6] = [
    "3:5: receivers.otlp.grcp: unknown setting; did you mean `grpc`?",
    "7:5: sinks.es.endpont: unknown setting; did you mean `endpoints`?",
    "8:14: sinks.es.timeout: the number `60`: a duration needs a unit",
    "10:18: sinks.es.compression: expected one of `none`, `gzip`, found the text that came from `${...}`",
    "11:16: sinks.disk.type: expected one of `elasticsearch`, `file`, `stdout`, `blackhole`, found the text `fiel`; \
     did you mean `file`?",
    "12:18: limits.memory: the text `lots`: not a size",
];

/// Every setting has the right form, and yet it cannot be.
const CONTRADICTORY: &str = r#"receivers:
  json: {timezone: Mars/Olympus, path: logs, ack_timeout: 0s}
sinks:
  es:
    type: elasticsearch
    endpoints: ["ftp://localhost", "${FOREBAY_TEST_SECRET}"]
    auth: {username: elastic, password: "${FOREBAY_TEST_SECRET}", api_key: x}
routes:
  - name: all
    to: [ess]
    index: "Upper-%Y"
  - name: all
    when: {field: level, regex: "["}
    to: [es]
    index: "x-%Q"
"#;

const FAULTS_OF_CONTRADICTORY: [&str; 11] = [
    "2:20: receivers.json.timezone: there is no time zone `Mars/Olympus`",
    "2:40: receivers.json.path: a path begins with `/`",
    "2:59: receivers.json.ack_timeout: with no time to deliver, every request would fail",
    "6:17: sinks.es.endpoints[0]: must begin with http:// or https://",
    "6:36: sinks.es.endpoints[1]: not an address",
    "7:76: sinks.es.auth.api_key: a user and an API key are both given; keep one of them",
    "10:10: routes[0].to[0]: there is no sink `ess`; did you mean `es`?",
    "11:12: routes[0].index: makes the name `Upper-1970`, in which 'U' is not allowed",
    "12:11: routes[1].name: two routes have this name",
    "13:33: routes[1].when.regex: unclosed character class",
    "15:12: routes[1].index: `%Q` is not one of",
];

#[test]
fn check_tells_every_fault_with_its_place_and_the_nearest_name() {
    assert_faults(FAULTY, &FAULTS_OF_FAULTY);
    assert_faults(CONTRADICTORY, &FAULTS_OF_CONTRADICTORY);
}

/// What is wrong in form does not hide what is wrong in sense.
#[test]
fn check_tells_faults_of_both_kinds_at_once() {
    let text = "sinks:\n  es: {type: elasticsearch, endpont: [x], timeout: 5}\nroutes:\n  - {name: a, to: [ess], index: a}\n";
    let expected = [
        "2:29: sinks.es.endpont: unknown setting; did you mean `endpoints`?",
        "2:52: sinks.es.timeout: the number `5`: a duration needs a unit",
        "4:20: routes[0].to[0]: there is no sink `ess`; did you mean `es`?",
    ];
    assert_faults(text, &expected);
}

/// Each fault on one line, `file:line:column: ...`, then their number; exit code 2; nothing of a secret.
fn assert_faults(config: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("forebay.yaml");
    fs::write(&file, config).unwrap();
    let output =
        forebay(folder.path()).arg("check").arg(&file).env("FOREBAY_TEST_SECRET", SECRET).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    for (line, start) in lines.iter().zip(expected) {
        let start = format!("{}:{start}", file.display());
        assert!(line.starts_with(&start), "expected {start}\n   found {line}");
    }
    let number = format!("{}: {} faults", file.display(), expected.len());
    assert_eq!(lines[expected.len()..], [number], "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

#[test]
fn check_finds_nothing_wrong_with_good_files() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.yaml");
    let password = folder.path().join("password");
    fs::write(&password, format!("{SECRET}\n")).unwrap();
    let text = format!(
        "receivers:\n  json: {{listen: \"127.0.0.1:${{FOREBAY_TEST_PORT}}\", timezone: \"${{FOREBAY_TEST_ZONE:-Europe/Berlin}}\"}}\n\
         sinks:\n  es:\n    type: elasticsearch\n    auth: {{username: elastic, password: \"${{file:{}}}\"}}\n",
        password.display()
    );
    fs::write(&own, text).unwrap();
    let empty = folder.path().join("empty.yaml");
    fs::write(&empty, "").unwrap();
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base/forebay.yaml");
    for file in [&own, &empty, &deployed] {
        let output =
            forebay(folder.path()).arg("check").arg(file).env("FOREBAY_TEST_PORT", "8081").output().unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), stderr(&output));
    }

    // The substitutions were read, not skipped: without the variable, and without the file, there is a fault.
    let unset = forebay(folder.path()).arg("check").arg(&own).output().unwrap();
    assert_eq!(unset.status.code(), Some(2));
    assert!(
        stderr(&unset)
            .contains("2:18: receivers.json.listen: the environment variable `FOREBAY_TEST_PORT` is not set"),
        "{unset:?}"
    );
    fs::remove_file(&password).unwrap();
    let gone =
        forebay(folder.path()).arg("check").arg(&own).env("FOREBAY_TEST_PORT", "8081").output().unwrap();
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr(&gone).contains(&format!("the file `{}` cannot be read", password.display())), "{gone:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for command in [vec!["check", "none.yaml"], vec!["run", "--config", "none.yaml"]] {
        let output = forebay(folder.path()).args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).starts_with("forebay: cannot read none.yaml: No such file"), "{output:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let [other] = ports::free().unwrap();
    let free = format!("127.0.0.1:{other}");
    for (json, admin, name) in [(taken.to_string(), free.clone(), "json"), (free, taken.to_string(), "admin")]
    {
        let config = format!(
            "receivers:\n  json: {{listen: \"{json}\"}}\nsinks:\n  b: {{type: blackhole}}\nadmin: {{listen: \"{admin}\"}}\n\
             log: {{level: error}}\n"
        );
        fs::write(folder.path().join("forebay.yaml"), config).unwrap();
        let output = forebay(folder.path()).args(["run", "--config", "forebay.yaml"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = stderr(&output);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&taken.to_string()) && said.contains(name), "{said}");
        assert!(said.contains("Address already in use"), "{said}");
    }
    drop(held);
}

/// The table counts the lines of the files; here they are counted again.
#[test]
fn the_demo_shows_where_every_record_went() {
    const RECORDS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut command = forebay(folder.path());
    let output = command.args(["demo", "--once", "--records", "20000", "--dir", "demo"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let mut lines_of_all = 0;
    let mut routes = Vec::new();
    for entry in fs::read_dir(folder.path().join("demo/indices")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        let index = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".ndjson").to_owned();
        assert_eq!(shown(&table, &index), lines.to_string(), "{table}");
        for line in text.lines().step_by(100) {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(document["@timestamp"].is_string(), "{line}");
        }
        lines_of_all += lines;
        routes.push(index.trim_start_matches("project-ai-").trim_end_matches(|c: char| c != '-').to_owned());
    }
    assert_eq!(lines_of_all, RECORDS);
    assert_eq!(shown(&table, "total in the files"), RECORDS.to_string());
    assert_eq!(shown(&table, "total acknowledged to the clients"), RECORDS.to_string());
    routes.sort_unstable();
    routes.dedup();
    assert_eq!(routes, ["ethics-", "logs-", "persona-", "security-"], "{table}");
    assert!(table.contains("received 20000 = admitted 20000 + rejected 0 + refused 0"), "{table}");
    assert!(table.contains("owed 20000 = delivered 20000 +"), "{table}");
    let ledger = table.lines().find_map(|line| line.strip_prefix("Ledger at exit: ")).unwrap();
    let ledger: serde_json::Value = serde_json::from_str(ledger).unwrap();
    assert_eq!(ledger["balanced"], true, "{ledger}");
}

/// The last word of the table's line that begins with `name`.
fn shown<'a>(table: &'a str, name: &str) -> &'a str {
    let line =
        table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {table}"));
    line.split_whitespace().last().unwrap()
}

/// That the committed pages are these is a step of `cargo xtask test`.
#[test]
fn the_reference_and_the_schema_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let schema = forebay(folder.path()).args(["config-reference", "--schema"]).output().unwrap();
    assert!(schema.status.success(), "{schema:?}");
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    let page = forebay(folder.path()).arg("config-reference").output().unwrap();
    assert!(page.status.success(), "{page:?}");
    let page = String::from_utf8(page.stdout).unwrap();
    let settings = schema["properties"].as_object().unwrap();
    assert!(settings.contains_key("sinks") && settings.contains_key("receivers"), "{schema}");
    for name in settings.keys() {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in the reference");
    }
}

#[test]
fn health_says_whether_a_gateway_takes_records() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |url: &str| {
        let output = forebay(folder.path()).args(["health", "--url", url]).output().unwrap();
        let said = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
        (output.status.code(), said)
    };
    let config = "sinks: {none: {type: blackhole}}\nreceivers: {json: {listen: \"127.0.0.1:{json}\"}}\n\
        dead_letters: {path: \"{dir}/letters\"}\nadmin: {listen: \"127.0.0.1:{admin}\"}\ndrain: {door_open: 60s}\n";
    let mut gateway = Gateway::start(config).unwrap();
    let url = gateway.admin_url("");
    assert_eq!(ask(&url), (Some(0), "ready\n".to_owned()));
    gateway.sigterm().unwrap();
    let told =
        wait_until("the drain", Duration::from_secs(10), || Ok(Some(ask(&url)).filter(|it| it.0 != Some(0))));
    let expected = "forebay: not ready: HTTP/1.1 503 Service Unavailable: draining\n";
    assert_eq!(told.unwrap(), (Some(1), expected.to_owned()));
    // The door closes.
    gateway.sigterm().unwrap();
    gateway.wait_for_good_end().unwrap();
    let (code, said) = ask(&url);
    assert!(code == Some(1) && said.contains(&url) && said.contains("refused"), "{code:?}: {said}");
    let (code, said) = ask("https://127.0.0.1:9600");
    assert!(code == Some(1) && said.contains("must begin with http://"), "{code:?}: {said}");
}

/// The binary in a folder of the test's own, so that nothing of the defaults lands in the checkout.
fn forebay(folder: &Path) -> Command {
    let mut command = Command::new(gateway::binary().unwrap());
    command.current_dir(folder).env_remove("FOREBAY_CONFIG");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
