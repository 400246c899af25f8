//! Alerts, by Prometheus' own tool: each fires where it has to, and the tests that say so would notice if it did not.

use crate::render::{root, template, told, tool, value_sets};
use forebay_tests::tools::Tool;
use forebay_tests::yaml;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

fn folder() -> std::path::PathBuf {
    root().join("deploy/prometheus")
}

fn promtool(arguments: &[&str], file: &Path) -> Output {
    tool(Tool::Promtool).args(arguments).arg(file).output().unwrap()
}

pub fn rules() -> Vec<Value> {
    let text = fs::read_to_string(folder().join("rules.yaml")).unwrap();
    let groups = yaml::documents(&text).unwrap().remove(0)["groups"].take();
    let rules: Vec<Value> = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect();
    assert!(rules.len() >= 8);
    rules
}

#[test]
fn the_rules_are_sound() {
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    let output = promtool(&check, &folder().join("rules.yaml"));
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains(&format!("{} rules found", rules().len())), "{}", told(&output));

    // What the chart makes of them.
    let values = value_sets().into_iter().find(|file| file.ends_with("monitoring-values.yaml")).unwrap();
    let rendered = template(&values, &[]);
    let rule = rendered.objects.iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("rules.yaml");
    fs::write(&file, rule["spec"].to_string()).unwrap();
    let output = promtool(&check, &file);
    assert!(output.status.success(), "{}", told(&output));
    let text = rule["spec"].to_string();
    assert!(text.contains("https://wiki.example/runbooks/Forebay") && !text.contains("runbooks.example"));
}

#[test]
fn every_alert_fires_where_it_has_to() {
    let file = folder().join("rules_test.yaml");
    let output = promtool(&["test", "rules"], &file);
    assert!(output.status.success(), "{}", told(&output));

    let tests = yaml::documents(&fs::read_to_string(&file).unwrap()).unwrap().remove(0);
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for test in tests["tests"].as_array().unwrap() {
        for asked in test["alert_rule_test"].as_array().unwrap() {
            let expected = asked["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            let name = asked["alertname"].as_str().unwrap().to_owned();
            if expected {
                firing.insert(name)
            } else {
                silent.insert(name)
            };
        }
    }
    let alerts: BTreeSet<String> =
        rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(firing, alerts, "alerts that are seen to fire");
    assert_eq!(silent, alerts, "alerts that are seen to be silent");
}

/// What a runbook tells to ask Prometheus, it understands.
#[test]
fn the_queries_of_the_runbooks_are_sound() {
    let mut rules = Vec::new();
    for entry in fs::read_dir(root().join("docs/runbooks")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let blocks = text.split("```promql\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
        let queries = blocks.flat_map(str::lines).map(|query| json!({"record": "asked", "expr": query}));
        rules.extend(queries);
    }
    assert!(rules.len() >= 2, "{rules:?}");
    let check = |rules: &[Value]| {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("rules.yaml");
        fs::write(&file, json!({"groups": [{"name": "asked", "rules": rules}]}).to_string()).unwrap();
        promtool(&["check", "rules"], &file)
    };
    let output = check(&rules);
    assert!(output.status.success(), "{}", told(&output));
    rules.push(json!({"record": "asked", "expr": "rate(forebay_journal_bytes)"}));
    assert!(!check(&rules).status.success());
}

/// A change of any expression is noticed.
#[test]
fn a_wrong_rule_is_found() {
    let rules = fs::read_to_string(folder().join("rules.yaml")).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    fs::copy(folder().join("rules_test.yaml"), temporary.path().join("rules_test.yaml")).unwrap();
    for (right, wrong) in [
        (
            "!= sum by (namespace, pod) (forebay_receiver_records_total)",
            "> sum by (namespace, pod) (forebay_sink_state)",
        ),
        ("+ sum by (namespace, pod) (forebay_sink_recovered_records_total)", ""),
        ("forebay_delivery_in_flight_payloads) == 0", "forebay_delivery_in_flight_payloads) == 1"),
        ("answer=\"retry\"", "answer=\"rejected\""),
        ("> 0.05", "> 0.5"),
        ("outcome=\"dead_lettered\"", "outcome=\"delivered\""),
        ("state=\"blocked\"", "state=\"ok\""),
        ("last_success_timestamp_seconds) > 60", "last_success_timestamp_seconds) > 6000"),
        ("overloaded|partial", "overloaded"),
        ("> 0.2\n", "> 0.9\n"),
        ("> 300", "> 3000"),
        ("> 0.8", "> 0.99"),
        ("[15m])) > 2", "[15m])) > 20"),
        ("CrashLoopBackOff", "Completed"),
        ("last_over_time(forebay_journal_behind_requests[7d])", "forebay_journal_behind_requests"),
        ("or max by (namespace, pod) (last_over_time(forebay_journal_returned_requests[7d])) > 0", ""),
        ("outcome=\"dead_lettered\"}[1h]", "outcome=\"dead_lettered\"}[5m]"),
        ("unless on (namespace, pod) kube_pod_info", ""),
    ] {
        assert!(rules.contains(right), "no rule has {right}");
        fs::write(temporary.path().join("rules.yaml"), rules.replacen(right, wrong, 1)).unwrap();
        let output = promtool(&["test", "rules"], &temporary.path().join("rules_test.yaml"));
        assert!(!output.status.success(), "{right} made {wrong:?} is not found");
        assert!(told(&output).contains("FAILED"), "{right}: {}", told(&output));
    }
}
