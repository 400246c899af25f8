//! Text, substitutions, anchors and bounds, before any schema.

use super::*;

#[test]
fn substituted_values_are_typed_unless_quoted() {
    let config =
        loaded("name: \"${WORKERS}\"\nlimits:\n  workers: ${WORKERS}\n  memory: ${MEMORY:-4MiB}\n").value;
    assert_eq!(config.name.as_deref(), Some("8"));
    assert_eq!(config.limits.workers, 8);
    assert_eq!(config.limits.memory, ByteSize::mib(4));

    let text = "sinks:\n  es:\n    type: elasticsearch\n    password: ${file:/run/key}\n    endpoints: http://${HOST}:9200\n";
    let config = loaded(text).value;
    let Sink::Elasticsearch(es) = &config.sinks["es"] else { panic!("another sink") };
    assert_eq!(es.password.as_deref(), Some("from-a-file"));
    assert_eq!(es.endpoints, OneOrMany::One("http://es1:9200".to_owned()));
    assert_eq!(loaded("name: $${HOST}").value.name.as_deref(), Some("${HOST}"));
}

#[test]
fn failed_substitutions_are_all_reported() {
    let text = "name: ${NOBODY}\nlabels:\n  a: ${file:/nowhere}\n  b: [\"${X\"]\n";
    assert_eq!(
        faults(text),
        [
            "1:7: name: the environment variable `NOBODY` is not set (or not UTF-8) and has no default",
            "3:6: labels.a: the file `/nowhere` cannot be read: no such file",
            "4:7: labels.b[0]: `${` without its `}`; write `$${` for a literal `${`",
        ]
    );
    assert_eq!(faults("${HOST}: 1\n")[0], "1:1: names are not substituted; use `${...}` in values only");
}

/// Where a file is checked, its secrets are often not at hand.
#[test]
fn a_failed_substitution_hides_no_other_fault() {
    let found = faults("name: ${NOBODY}\nlimits:\n  wrokers: 1\n  workers: many\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("1:7: name: the environment variable"), "{found:?}");
    assert!(found[1].contains("did you mean `workers`") && found[2].starts_with("4:12"), "{found:?}");
}

#[test]
fn duplicate_keys_are_faults() {
    assert_eq!(
        faults("limits:\n  workers: 1\n  ratio: 1\n  workers: 2\n"),
        ["4:3: limits.workers: set twice; the first is on line 2"]
    );
}

#[test]
fn invalid_yaml_is_one_fault_with_its_place() {
    let texts = [
        ("limits:\n\tworkers: 1\n", 2),
        ("limits:\n  workers: 1\n ratio: 2\n", 3),
        ("name: \"open\n", 1),
        ("labels: { a: b\n", 2),
        ("name: a: b\n", 1),
        ("name: @x\n", 1),
    ];
    for (text, line) in texts {
        let found = load::<Config>(text, &environment()).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].line, line, "{text}: {found:?}");
        assert!(found[0].message.starts_with("not valid YAML: "), "{found:?}");
    }
    assert!(faults("name: a\n---\nname: b\n")[0].contains("a second document"));
    assert!(faults("name: !secret a\n")[0].starts_with("1:7: name: YAML tags"));
    assert!(faults("? [a]\n: b\n")[0].contains("must be plain text"));
    assert!(faults("labels: { a: ${HOST} }\n")[0].contains("put a `${...}` in quotes"));
    assert!(faults("limits: { ratio: .nan }\n")[0].contains("not a finite number"));
}

#[test]
fn aliases_are_copies_and_bounded() {
    let text = "sinks:\n  a: &es\n    type: elasticsearch\n    timeout: 3s\n  b: *es\n";
    let config = loaded(text).value;
    let Sink::Elasticsearch(b) = &config.sinks["b"] else { panic!("another sink") };
    assert_eq!(b.timeout, Period::secs(3));

    assert_eq!(faults("sinks: &x\n  a: *x\n"), ["2:6: sinks.a: an alias inside the value it refers to"]);
    assert!(faults("name: *nobody\n")[0].contains("1:7: not valid YAML"));
    assert!(faults("labels:\n  <<: {}\n")[0].contains("merge keys"));

    let mut bomb = "labels:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let copies = vec![format!("*a{below}"); 10].join(", ");
        bomb.push_str(&format!("  a{level}: &a{level} [{copies}]\n"));
    }
    let found = faults(&bomb);
    assert!(found.last().unwrap().contains("too large once its aliases are expanded"), "{found:?}");
}

#[test]
fn nesting_and_size_are_bounded() {
    for (open, depth) in [("[", 65), ("{a: ", 65), ("- ", 65), ("- ", 100_000)] {
        let found = faults(&format!("{}1", open.repeat(depth)));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("nested more than 64 levels"), "{open} {depth}: {found:?}");
    }
    let chain =
        format!("a: &a {}1{}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40));
    assert!(faults(&chain)[0].contains("nested more than 64 levels"));
    assert!(faults(&" ".repeat(MAX_FILE_BYTES + 1))[0].contains("larger than 1 MiB"));
}
