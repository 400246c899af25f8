//! What `check` says of whole files.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{self, Fault, Loaded, ProcessEnvironment};
use crate::graph::Blueprint;

fn draw(text: &str) -> Result<Blueprint, Vec<Fault>> {
    config::load(text, &ProcessEnvironment, stand_in, |Loaded { value, locator }| {
        Blueprint::draw(value, &locator)
    })
}

#[test]
fn every_construct_of_the_schema_can_be_checked_and_described() {
    let schema = config::schema_of::<Settings>();
    assert_eq!(config::unsupported(&schema), Vec::<String>::new());
    assert!(config::reference_markdown(&schema).unwrap().contains("max_event_age"));
}

#[test]
fn an_empty_file_is_a_working_default() {
    draw("").unwrap();
}

#[test]
fn settings_that_contradict_each_other_are_faults() {
    let text = "receivers: {otlp: {grpc: {listen: '127.0.0.1:9600'}}}\nlimits: {memory: 0}\n\
        sinks: {a: {type: file, path: x}, b: {type: file, path: x}, c: {type: file, path: y}}\n\
        dead_letters: {path: y}\njournal: {path: x}\n";
    let shared = "dead_letters: {path: y}\njournal: {path: y}\n";
    assert_eq!(draw(shared).unwrap_err()[0].path, "journal.path");
    let faults = draw(text).unwrap_err();
    let places: Vec<(usize, &str)> = faults.iter().map(|fault| (fault.line, fault.path.as_str())).collect();
    assert_eq!(
        places,
        [
            (1, "admin.listen"),
            (2, "limits.memory"),
            (3, "sinks.a.path"),
            (3, "sinks.b.path"),
            (3, "sinks.c.path")
        ]
    );
}

#[test]
fn faults_between_components_are_found_all_at_once() {
    let text = "sinks: {es: {type: blackhole, delivery: {batch: {max_bytes: 0}}}}\nroutes: [{name: a, to: [ess], index: A}]\n";
    let faults = draw(text).unwrap_err();
    let places: Vec<(usize, &str)> = faults.iter().map(|fault| (fault.line, fault.path.as_str())).collect();
    assert_eq!(
        places,
        [(1, "sinks.es.delivery.batch.max_bytes"), (2, "routes[0].to[0]"), (2, "routes[0].index")]
    );
    assert_eq!(faults[1].hint.as_deref(), Some("did you mean `es`?"));
}

#[test]
fn faults_in_form_do_not_hide_faults_in_sense() {
    let text = "\
receivers: {json: {listen: nowhere, timezone: Mars/Olympus}}
sinks:
  es: {type: elasticsearch, timeout: 5, endpoints: [\"ftp://a\"]}
  odd: {type: filee}
routes:
  - {name: a, to: [ess, odd], index: a}
  - {name: b, to: [es], index: B, colour: red}
";
    let faults: Vec<String> = draw(text).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "1:28: receivers.json.listen: ",
        "1:47: receivers.json.timezone: ",
        "3:38: sinks.es.timeout: ",
        "3:53: sinks.es.endpoints[0]: ",
        "4:15: sinks.odd.type: ",
        "6:20: routes[0].to[0]: ",
        "7:32: routes[1].index: ",
        "7:35: routes[1].colour: ",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start), "{fault} is not {start}");
    }
}

#[test]
fn a_route_that_cannot_be_read_hides_no_fault_of_the_routes() {
    let text = "\
sinks: {es: {type: blackhole}}
routes:
  - {name: a, to: [ess], index: A}
  - {to: [es], index: B}
  - {name: c, to: es, index: C}
  - {name: c, to: [ess, 5], index: 5}
  - 7
  - {name: f, to: [es], when: {all: [5]}}
";
    let faults: Vec<String> = draw(text).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "3:20: routes[0].to[0]: there is no sink",
        "3:33: routes[0].index: ",
        "4:5: routes[1].name: missing",
        "4:23: routes[1].index: ",
        "5:19: routes[2].to: expected",
        "5:30: routes[2].index: ",
        "6:12: routes[3].name: two routes",
        "6:20: routes[3].to[0]: there is no sink",
        "6:25: routes[3].to[1]: expected",
        "6:36: routes[3].index: expected",
        "7:5: routes[4]: expected",
        "8:5: routes[5].index: missing",
        "8:38: routes[5].when.all[0]: expected",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start), "{fault} is not {start}");
    }
}
