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

/// The paths of the faults of a file.
fn places(text: &str) -> Vec<String> {
    draw(text).map_or_else(|faults| faults.into_iter().map(|fault| fault.path).collect(), |_| Vec::new())
}

#[test]
fn a_folder_is_the_same_however_it_is_written() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().canonicalize().unwrap().join("real");
    std::fs::create_dir(&folder).unwrap();
    let link = outside.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let (real, link) = (folder.display(), link.display());
    let two = |one: &str, other: &str| {
        places(&format!("sinks: {{a: {{type: file, path: {one}}}, b: {{type: file, path: {other}}}}}\n"))
    };
    assert_eq!(two("./x", "x"), ["sinks.b.path"]);
    assert_eq!(two("x/", "y/../x/./"), ["sinks.b.path"]);
    assert_eq!(two(&format!("{real}/x"), &format!("{link}/x")), ["sinks.b.path"]);
    assert_eq!(two("x", "x/y"), [""; 0]);
    assert_eq!(places("sinks: {a: {type: file, path: ./x}}\ndead_letters: {path: x}\n"), ["sinks.a.path"]);
    assert_eq!(places("journal: {path: ./z}\ndead_letters: {path: z}\n"), ["journal.path"]);
}

#[test]
fn a_path_with_a_nul_is_a_fault() {
    let text = "sinks: {a: {type: file, path: \"a\\0b\"}}\ndead_letters: {path: \"l\\0\"}\njournal: {path: \"j\\0\"}\n";
    assert_eq!(places(text), ["sinks.a.path", "dead_letters.path", "journal.path"]);
}

#[test]
fn every_address_includes_each_of_its_kind() {
    let two = |one: &str, other: &str| {
        let json = format!("json: {{listen: '{one}'}}");
        places(&format!("receivers: {{{json}, beats: {{listen: '{other}'}}}}\n"))
    };
    for (one, other) in [
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
    ] {
        assert_eq!(two(one, other), ["receivers.beats.listen"], "{one} {other}");
    }
    for (one, other) in [
        ("0.0.0.0:8080", "127.0.0.1:8081"),
        ("0.0.0.0:0", "127.0.0.1:0"),
        ("127.0.0.2:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "[::1]:8080"),
    ] {
        assert_eq!(two(one, other), [""; 0], "{one} {other}");
    }
}

#[test]
fn receivers_that_listen_on_nothing_are_a_fault() {
    for nothing in ["receivers: {}\n", "receivers: {json: , otlp: }\n"] {
        assert_eq!(places(nothing), ["receivers"], "{nothing}");
    }
    assert_eq!(places("receivers: {json: {}}\n"), [""; 0]);
}

#[test]
fn two_templates_of_one_name_cannot_be_on_one_cluster() {
    let two = |one: &str, other: &str| {
        let sink = |more: &str| format!("{{type: elasticsearch, {more}}}");
        places(&format!("sinks: {{a: {}, b: {}}}\n", sink(one), sink(other)))
    };
    let (a, b) = ("template: {patterns: ['a-*']}", "template: {patterns: ['b-*']}");
    assert_eq!(two(a, b), ["sinks.b.template.name"]);
    assert_eq!(two(&format!("{a}, endpoints: ['http://LOCALHOST:9200/']"), b), ["sinks.b.template.name"]);
    for (one, other) in [
        (a, a),
        (a, "template: {patterns: ['b-*'], name: other}"),
        (a, "template: {patterns: ['b-*'], install: false}"),
        (a, "template: {patterns: ['b-*']}, endpoints: ['http://elsewhere:9200']"),
    ] {
        assert_eq!(two(one, other), [""; 0], "{one} {other}");
    }
}

#[test]
fn data_streams_take_only_create() {
    for streams in ["require_data_stream: true", "template: {data_stream: true}"] {
        let text = |op: &str| format!("sinks: {{a: {{type: elasticsearch, op_type: {op}, {streams}}}}}\n");
        assert_eq!(places(&text("index")), ["sinks.a.op_type"], "{streams}");
        assert_eq!(places(&text("create")), [""; 0], "{streams}");
    }
    let elsewhere = "{type: elasticsearch, op_type: index, template: {data_stream: true, install: false}}";
    assert_eq!(places(&format!("sinks: {{a: {elsewhere}}}\n")), [""; 0]);
}
