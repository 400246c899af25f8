//! The dashboard and the alerts, asked of a real Prometheus that scrapes a real gateway under a little load.

use crate::prometheus::{POD, Prometheus};
use crate::render::{NAMESPACE, root};
use crate::rules;
use forebay_tests::gateway::Ports;
use forebay_tests::{Gateway, telemetrygen, wait_until};
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long clients send; more than [`RANGE`].
const LOAD: Duration = Duration::from_secs(15);
/// In place of the ranges that Grafana chooses by the width of a panel and the time that it shows.
const RANGE: &str = "10s";
const INTERVAL: &str = "2m";

/// One sink, and the journal, so that every row has something to show.
const GATEWAY: &str = "receivers:\n  \
       otlp:\n    \
         grpc: {listen: \"127.0.0.1:{otlp_grpc}\"}\n    \
         http: {listen: \"127.0.0.1:{otlp_http}\"}\n  \
       json: {listen: \"127.0.0.1:{json}\"}\n\
     sinks:\n  \
       es: {type: file, path: \"{dir}/indices\"}\n\
     acknowledge: durable\n\
     journal: {path: \"{dir}/journal\"}\n\
     dead_letters: {path: \"{dir}/dead-letters\"}\n\
     drain: {door_open: 0s}\n\
     admin: {listen: \"127.0.0.1:{admin}\"}\n";

/// One query of a panel, or of the marks across all of them.
struct Query {
    title: String,
    expression: String,
    legend: String,
}

impl Query {
    fn of(title: &Value, target: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            title: text(title),
            expression: filled(&text(&target["expr"])),
            legend: text(&target["legendFormat"]),
        }
    }

    /// Labels that the legend names: `{{pod}}`.
    fn labels(&self) -> Vec<&str> {
        self.legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()).collect()
    }
}

/// With the variables that the viewer chooses.
fn filled(expression: &str) -> String {
    let filled = expression.replace("$__rate_interval", RANGE).replace("$__interval", INTERVAL);
    let filled = filled.replace("$namespace", NAMESPACE).replace("$pod", ".*").replace("$sink", ".*");
    assert!(!filled.contains('$'), "an unknown variable: {filled}");
    filled
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(root().join("deploy/grafana/forebay.json")).unwrap()).unwrap()
}

fn queries(dashboard: &Value) -> Vec<Query> {
    let panels = dashboard["panels"].as_array().unwrap();
    let inner = panels.iter().flat_map(|panel| panel["panels"].as_array().into_iter().flatten());
    let mut found = Vec::new();
    for panel in panels.iter().chain(inner) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push(Query::of(&panel["title"], target));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        found.push(Query::of(&annotation["name"], annotation));
    }
    let text = dashboard.to_string();
    assert_eq!(found.len(), text.matches("\"expr\":").count(), "not every query was found");
    assert!(found.len() > 40);
    found
}

/// Sends by OTLP and as JSON for a while.
fn load(ports: Ports) {
    let otlp = thread::spawn(move || {
        let (endpoint, duration) = (format!("127.0.0.1:{}", ports.otlp_grpc), format!("{}s", LOAD.as_secs()));
        let arguments =
            ["logs", "--otlp-endpoint", &endpoint, "--otlp-insecure", "--rate", "50", "--duration"];
        telemetrygen::run(&[&arguments[..], &[&duration]].concat()).unwrap();
    });
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(LOAD)).build().into();
    let started = Instant::now();
    let lines = ["ai-persona", "security", "four-laws", "billing"]
        .map(|component| format!("{{\"component\":\"{component}\",\"message\":\"hello\"}}\n"))
        .concat();
    while started.elapsed() < LOAD {
        agent.post(format!("http://127.0.0.1:{}/", ports.json)).send(lines.as_str()).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    otlp.join().unwrap();
}

#[test]
fn every_query_finds_what_it_shows() {
    let mut gateway = Gateway::start(GATEWAY).unwrap();
    let prometheus = Prometheus::start(&gateway);
    restart(&mut gateway, &prometheus);
    load(gateway.ports);
    scraped_at_rest(&gateway, &prometheus);

    let dashboard = dashboard();
    let mut faults = panels(&prometheus, &queries(&dashboard));
    faults.extend(variables(&prometheus, &dashboard));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    alerts(&prometheus);
}

/// So that the dashboard has a start to mark.
fn restart(gateway: &mut Gateway, prometheus: &Prometheus) {
    wait_until("the first scrape", Duration::from_secs(30), || {
        let series = prometheus.query("forebay_process_start_time_seconds").map_err(anyhow::Error::msg)?;
        Ok((!series.is_empty()).then_some(()))
    })
    .unwrap();
    gateway.sigterm_and_wait().unwrap();
    gateway.start_again().unwrap();
}

/// Waits until the last scrape is one of an empty gateway: under load, one may catch a request half counted.
fn scraped_at_rest(gateway: &Gateway, prometheus: &Prometheus) {
    let received = gateway.balanced_ledger(Duration::from_secs(30)).unwrap().received;
    let at_rest = format!(
        "sum(forebay_receiver_received_records_total) == {received} and sum(forebay_sink_in_flight_records) == 0"
    );
    wait_until("a scrape at rest", Duration::from_secs(30), || {
        let series = prometheus.query(&at_rest).map_err(anyhow::Error::msg)?;
        Ok((!series.is_empty()).then_some(()))
    })
    .unwrap();
}

/// What is wrong with the panels.
fn panels(prometheus: &Prometheus, queries: &[Query]) -> Vec<String> {
    let mut faults = Vec::new();
    for query in queries {
        let Query { title, expression, .. } = query;
        match prometheus.query(expression) {
            Err(error) => faults.push(format!("{title}: {expression}: {error}")),
            Ok(series) if series.is_empty() => faults.push(format!("{title}: nothing: {expression}")),
            Ok(series) => {
                for label in query.labels() {
                    let has =
                        |one: &Value| one["metric"][label].as_str().is_some_and(|value| !value.is_empty());
                    if !series.iter().all(has) {
                        faults.push(format!("{title}: no label {label}: {expression}"));
                    }
                }
                faults.extend(known_value(title, &series));
            }
        }
    }
    faults
}

/// What the first row must say of this gateway: `None` where it does.
fn known_value(title: &str, series: &[Value]) -> Option<String> {
    let value: f64 = series.first()?["value"][1].as_str()?.parse().ok()?;
    let is_right = match title {
        "Pods" => value == 1.0,
        "In" | "Delivered" => value > 5.0,
        "Out of balance" | "Refused requests" | "Sinks not well" => value == 0.0,
        _ => true,
    };
    (!is_right).then(|| format!("{title}: {value}"))
}

/// What is wrong with the lists that the viewer chooses from.
fn variables(prometheus: &Prometheus, dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut asked = 0;
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let (selector, label) = query
            .strip_prefix("label_values(")
            .unwrap()
            .strip_suffix(')')
            .unwrap()
            .rsplit_once(", ")
            .unwrap();
        let series = prometheus.query(&filled(selector)).unwrap();
        let expected = match label {
            "namespace" => NAMESPACE,
            "pod" => POD,
            _ => "es",
        };
        if series.is_empty() || series.iter().any(|one| one["metric"][label] != expected) {
            faults.push(format!("{query}: {series:?}"));
        }
        asked += 1;
    }
    assert_eq!(asked, 3);
    faults
}

/// Each was evaluated without an error, and is silent: the gateway is well.
fn alerts(prometheus: &Prometheus) {
    let evaluated = wait_until("the alerts", Duration::from_secs(30), || {
        let rules = prometheus.rules();
        Ok(rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules))
    });
    let evaluated = evaluated.unwrap();
    assert_eq!(evaluated.len(), rules::rules().len());
    for rule in evaluated {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule}");
    }
    for rule in rules::rules() {
        let series = prometheus.query(rule["expr"].as_str().unwrap()).unwrap();
        assert!(series.is_empty(), "{}: {series:?}", rule["alert"]);
    }
}
