//! `deploy/elasticsearch/setup.sh` against a real Elasticsearch with security; what that lacks (lifecycle management, Kibana), against a
//! recorder and by Elasticsearch's own parser.

use crate::kibana::{deployed, parse, searches};
use crate::rollout::node;
use base64::Engine;
use forebay_proto::common::any_value::Value as Any;
use forebay_tests::elasticsearch::{Distribution, Options, PASSWORD, USER, install};
use forebay_tests::otlp::{self, LogsClient, attribute};
use forebay_tests::process::run;
use forebay_tests::recorder::Recorder;
use forebay_tests::{Elasticsearch, Gateway};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

/// A password that must be quoted everywhere.
const INGEST_PASSWORD: &str = r#"a "quoted" pass\word"#;
const KINDS: [&str; 4] = ["persona", "security", "ethics", "logs"];

/// As the chart writes it for a cluster that was set up: no template, dead letters in an index.
const CONFIG: &str = r#"
receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{otlp_grpc}"}
  json: {listen: "127.0.0.1:{json}"}
sinks:
  es:
    type: elasticsearch
    endpoints: ["ENDPOINT"]
    auth: {username: forebay, password: 'PASSWORD'}
    template: {install: false}
dead_letters: {path: "{dir}/letters", to: {sink: es, index: "forebay-dead-letters-%Y.%m"}}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s}
"#;

/// One line of each kind, found by one search each, and one that the mapping refuses.
fn lines() -> Vec<Value> {
    vec![
        json!({"message": "m", "component": "security", "severity": "critical", "host": "web-1"}),
        json!({"message": "m", "component": "ai-persona", "mood": "calm", "value": 0.5}),
        json!({"message": "m", "component": "four-laws", "result": "denied"}),
        json!({"message": "m", "component": "api", "endpoint": "/v1/chat", "api.duration": 1_500, "day": "2026-11-21"}),
        json!({"message": "m", "component": "refused", "severity_number": "many"}),
    ]
}

#[test]
fn a_secured_cluster_is_set_up_and_the_ingest_role_is_enough_and_no_more() {
    let node = Elasticsearch::start(Options { security: true, ..Options::default() }).unwrap();
    let set_up = || {
        let mut command = script(&node.url());
        run(command.envs([
            ("ES_USERNAME", USER),
            ("ES_PASSWORD", PASSWORD),
            ("FOREBAY_PASSWORD", INGEST_PASSWORD),
        ]))
        .unwrap()
    };
    let said = stdout(&set_up());
    for what in
        ["index template project-ai-logs", "role forebay-ingest", "user forebay", "LEFT OUT: lifecycle"]
    {
        assert!(said.contains(what), "nothing of {what}:\n{said}");
    }
    let before = installed(&node);
    assert_eq!((stdout(&set_up()), installed(&node)), (said, before), "a second run changes something");

    let config = CONFIG.replace("ENDPOINT", &node.url()).replace("PASSWORD", INGEST_PASSWORD);
    let gateway = Gateway::start(&config).unwrap();
    send(&gateway);
    node.refresh().unwrap();
    let indices = node.get("/_cat/indices/project-ai-*,forebay-dead-letters-*?format=json").unwrap();
    let indices: BTreeSet<&str> =
        indices.as_array().unwrap().iter().map(|index| index["index"].as_str().unwrap()).collect();
    assert_eq!(indices.len(), KINDS.len() + 1, "{indices:?}");
    for kind in KINDS {
        let start = format!("project-ai-{kind}-");
        let index = indices.iter().find(|index| index.starts_with(&start)).unwrap();
        assert_index(&node, index);
    }
    let letters = node.documents("forebay-dead-letters-*", "reason:severity_number", 10).unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_searches(&node);
    assert_no_more(&node, indices.first().unwrap());
}

/// Sends the lines, and one record by OTLP, as the user of the ingest role.
fn send(gateway: &Gateway) {
    let lines: String = lines().iter().map(|line| format!("{line}\n")).collect();
    let address = format!("http://127.0.0.1:{}/", gateway.ports.json);
    let answer: Value = ureq::post(address).send(lines).unwrap().body_mut().read_json().unwrap();
    assert_eq!((&answer["accepted"], &answer["dead_lettered"]), (&json!(5), &json!(1)), "{answer}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut record = otlp::record(now, "m", vec![attribute("api.duration", Any::IntValue(12))]);
    record.severity_text = "ERROR".to_owned();
    record.severity_number = 17;
    record.trace_id = vec![7; 16];
    let mut client = LogsClient::new(&format!("127.0.0.1:{}", gateway.ports.otlp_grpc)).unwrap();
    assert_eq!(client.export(otlp::request("set-up", vec![record])).unwrap().partial_success, None);
    let ledger = gateway.balanced_ledger(Duration::from_secs(10)).unwrap();
    // The letter was delivered as well, to its own index.
    assert_eq!((ledger.delivered, ledger.dead_lettered), (6.0, 1.0), "{ledger:?}");
}

/// What the templates say of every index, and the types of fields that no template names.
fn assert_index(node: &Elasticsearch, index: &str) {
    let settings = &node.get(&format!("/{index}/_settings")).unwrap()[index]["settings"]["index"];
    assert_eq!(settings["refresh_interval"], "30s", "{index}: {settings}");
    assert_eq!(
        settings["mapping"]["total_fields"]["ignore_dynamic_beyond_limit"], "true",
        "{index}: {settings}"
    );
    let mappings = &node.get(&format!("/{index}/_mapping")).unwrap()[index]["mappings"];
    assert_eq!(mappings["subobjects"], false, "{index}");
    for (field, kind) in [
        ("@timestamp", "date"),
        ("message", "text"),
        ("component", "keyword"),
        ("severity", "keyword"),
        ("severity_number", "integer"),
        ("api.duration", "double"),
        ("trace_id", "keyword"),
    ] {
        assert_eq!(mappings["properties"][field]["type"], kind, "{index}: {field}");
    }
    let dynamic = ["host", "day", "service.name"].map(|field| &mappings["properties"][field]["type"]);
    assert!(dynamic.iter().all(|kind| kind.is_null() || **kind == "keyword"), "{index}: {dynamic:?}");
}

/// Every saved search can be parsed, finds its one record, and shows columns that there are.
fn assert_searches(node: &Elasticsearch) {
    let fields = node.get("/project-ai-*/_field_caps?fields=*").unwrap();
    let searches = searches();
    for search in &searches {
        parse(node, &search.query).unwrap();
        assert_eq!(node.count("project-ai-*", &search.query).unwrap(), 1, "{}", search.query);
        for column in &search.columns {
            // The level's logger is not in these records.
            let is_there = column == "name" || fields["fields"].get(column).is_some();
            assert!(is_there, "{}: no record has the column {column}", search.query);
        }
    }
    assert!(parse(node, "component:(").is_err(), "everything can be parsed");
}

/// What the role is not for: reading, deleting, templates, other indices.
fn assert_no_more(node: &Elasticsearch, index: &str) {
    let status = |method: &str, path: &str, body: &str| {
        let credentials = base64::prelude::BASE64_STANDARD.encode(format!("forebay:{INGEST_PASSWORD}"));
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", node.url()))
            .header("Authorization", format!("Basic {credentials}"))
            .header("Content-Type", "application/json");
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.run(request.body(body.to_owned()).unwrap()).unwrap().status().as_u16()
    };
    assert_eq!(status("POST", &format!("/{index}/_doc"), r#"{"message":"more"}"#), 201);
    for (method, path, body) in [
        ("GET", format!("/{index}/_search"), ""),
        ("DELETE", format!("/{index}"), ""),
        ("PUT", format!("/{index}/_doc/1"), r#"{"message":"other"}"#),
        ("PUT", "/_index_template/mine".to_owned(), r#"{"index_patterns":["mine-*"]}"#),
        ("POST", "/other/_doc".to_owned(), "{}"),
    ] {
        // Replacing a document is `index`, which the role has not.
        assert_eq!(status(method, &path, body), 403, "{method} {path}");
    }
}

/// Everything that the script puts, as the cluster has it.
fn installed(node: &Elasticsearch) -> Vec<Value> {
    [
        "/_index_template/project-ai-*",
        "/_index_template/forebay-*",
        "/_component_template/forebay-*",
        "/_security/role/forebay-ingest",
        "/_security/user/forebay",
    ]
    .map(|path| node.get(path).unwrap())
    .to_vec()
}

#[test]
fn without_security_it_says_what_it_leaves_out() {
    let node = node();
    let said = stdout(&run(&mut script(&node.url())).unwrap());
    for what in ["LEFT OUT: lifecycle", "LEFT OUT: roles", "index template forebay-dead-letters"] {
        assert!(said.contains(what), "nothing of {what}:\n{said}");
    }
    let templates = node.get("/_index_template/project-ai-*").unwrap();
    // Beside those of logs there are traces and metrics.
    assert_eq!(templates["index_templates"].as_array().unwrap().len(), KINDS.len() + 2);
}

/// A cluster that has everything, in front of a Kibana that takes everything.
#[test]
fn what_is_named_is_put_before_what_names_it_and_kibana_gets_its_objects() {
    let server = Recorder::start(|_| (200, r#"{"success":true}"#)).unwrap();
    let mut command = script(&server.url());
    command.env("KIBANA_URL", server.url()).env("ES_API_KEY", "key-of-the-test");
    let said = stdout(&run(&mut command).unwrap());
    assert!(!said.contains("LEFT OUT"), "{said}");
    let requests = server.take();
    let at = |target: &str| {
        let found = requests.iter().position(|request| request.target == target);
        found.unwrap_or_else(|| panic!("{target} was not asked: {requests:?}"))
    };
    let policies = ["/_ilm/policy/project-ai", "/_ilm/policy/project-ai-audit"].map(at);
    let component = at("/_component_template/forebay-lifecycle-audit");
    let template = at("/_index_template/project-ai-security");
    assert!(policies.iter().all(|policy| *policy < component) && component < template);
    for request in &requests {
        assert!(request.headers.contains(&("authorization".into(), "ApiKey key-of-the-test".into())));
    }
    let import = &requests[at("/api/saved_objects/_import?overwrite=true")];
    assert!(import.headers.contains(&("kbn-xsrf".into(), "forebay".into())), "{:?}", import.headers);
    let objects = fs::read_to_string(deployed("kibana/project-ai.ndjson")).unwrap();
    assert!(String::from_utf8_lossy(&import.body).contains(&objects), "the objects are not in the body");
}

/// Nothing is taken for done that was refused, and no secret is shown.
#[test]
fn it_stops_at_the_first_refusal_and_a_dry_run_asks_nothing() {
    let refusing = Recorder::start(|_| (403, r#"{"error":"no"}"#)).unwrap();
    let output =
        script(&refusing.url()).envs([("ES_USERNAME", "me"), ("ES_PASSWORD", "hunter2")]).output().unwrap();
    let said = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("403") && !said.contains("hunter2"),
        "{output:?}"
    );
    assert_eq!(refusing.take().len(), 1);

    // Kibana says 200 also of what it did not take.
    let half = Recorder::start(|request| match request.target.starts_with("/api/") {
        true => (200, r#"{"success":false,"errors":[{"id":"project-ai"}]}"#),
        false => (200, "{}"),
    })
    .unwrap();
    let output = script(&half.url()).env("KIBANA_URL", half.url()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    half.take();
    let said = stdout(&run(script(&half.url()).arg("--dry-run").env("KIBANA_URL", half.url())).unwrap());
    assert!(said.contains("would put: lifecycle policy project-ai\n"), "{said}");
    assert_eq!(half.take().len(), 0);
}

#[test]
fn elasticsearch_reads_the_lifecycle_policies_and_templates_name_them() {
    let home = install::install(Distribution::Elasticsearch).unwrap();
    let check = deployed("../../tests/elasticsearch/LifecycleCheck.java");
    let mut java = Command::new(install::java_home().unwrap().join("bin/java"));
    let path = format!("{0}/lib/*:{0}/modules/x-pack-core/*", home.display());
    java.args(["-cp", &path]).arg(check);
    java.args(["project-ai", "project-ai-audit"].map(|name| deployed(&format!("lifecycle/{name}.json"))));
    let said = stdout(&run(&mut java).unwrap());
    assert_eq!(said, "project-ai [delete, hot, warm]\nproject-ai-audit [delete, hot, warm]\n");

    let read =
        |file: &str| -> Value { serde_json::from_str(&fs::read_to_string(deployed(file)).unwrap()).unwrap() };
    for (template, policy) in [
        ("project-ai-persona", "project-ai"),
        ("project-ai-logs", "project-ai"),
        ("project-ai-traces", "project-ai"),
        ("project-ai-metrics", "project-ai"),
        ("project-ai-security", "project-ai-audit"),
        ("project-ai-ethics", "project-ai-audit"),
        ("forebay-dead-letters", "project-ai-audit"),
    ] {
        let template = read(&format!("index-templates/{template}.json"));
        let component = template["ignore_missing_component_templates"][0].as_str().unwrap();
        assert!(template["composed_of"].as_array().unwrap().contains(&component.into()), "{template}");
        let component = read(&format!("lifecycle-templates/{component}.json"));
        assert_eq!(component["template"]["settings"]["index"]["lifecycle"]["name"], policy, "{template}");
    }
}

/// The script against this cluster, with nothing from the environment of the tests.
fn script(url: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(deployed("setup.sh")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("ES_URL", url).env("NO_PROXY", "127.0.0.1");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
