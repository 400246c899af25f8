//! What is wrong with the settings, where, and what to do about it.

use super::*;

#[test]
fn all_faults_are_reported_with_their_places() {
    let text = "\
snks: {}
sinks:
  es:
    type: elasticsearch
    endpont: http://a
    timeout: 8
    compression: gzp
  old:
    type: elasticsearh
    whatever: 1
  disk:
    type: files
    rotate: 4Mb1
    directry: /x
  none: {}
limits:
  workers: 65
  enabled: yes
  ratio: high
  memory: []
  connections: 4294967296
routes:
  - to: [es, 5]
    when: { equals: { field: a } }
  - to: es
    when: alway
address: 1.2.3
";
    let expected = [
        "1:1: snks: unknown setting; did you mean `sinks`?",
        "5:5: sinks.es.endpont: unknown setting; did you mean `endpoints`?",
        "6:14: sinks.es.timeout: the number `8`: a duration needs a unit (`200ms`, `8s`, `5m`, `1h`, `1m30s`)",
        "7:18: sinks.es.compression: expected one of `none`, `gzip`, found the text `gzp`; did you mean `gzip`?",
        "9:11: sinks.old.type: expected one of `elasticsearch`, `files`, `blackhole`, found the text \
         `elasticsearh`; did you mean `elasticsearch`?",
        "11:3: sinks.disk.directory: missing, and it has no default",
        "13:13: sinks.disk.rotate: the text `4Mb1`: not a size; write whole bytes (`123`) or a whole number \
         with a unit (`64 KiB`, `4MiB`, `10MB`)",
        "14:5: sinks.disk.directry: unknown setting; did you mean `directory`?",
        "15:3: sinks.none.type: missing; it is one of `elasticsearch`, `files`, `blackhole`",
        "17:12: limits.workers: expected a whole number from 1 to 64, found the number `65`",
        "18:12: limits.enabled: expected `true` or `false`, found the text `yes`",
        "19:10: limits.ratio: expected a number, found the text `high`",
        "20:3: limits.memory: expected a size such as `4MiB`, found a list",
        "21:16: limits.connections: expected a whole number of at least 0, found the number `4294967296`",
        "23:14: routes[0].to[1]: expected text, found the number `5`; put it in quotes",
        "24:13: routes[0].when.equals.value: missing, and it has no default",
        "26:11: routes[1].when: expected one of `always`, found the text `alway`; did you mean `always`?",
        "27:10: address: the text `1.2.3`: not an IP address",
    ];
    let found = faults(text);
    for (fault, line) in found.iter().zip(expected) {
        assert_eq!(fault, line);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn values_of_the_wrong_kind_are_told_apart() {
    assert_eq!(faults("- a\n"), ["1:1: expected a mapping of settings, found a list"]);
    assert_eq!(faults("limits:\n"), ["1:1: limits: expected a mapping of settings, found nothing"]);
    assert_eq!(faults("routes:\n  to: es\n"), ["1:1: routes: expected a list of mappings, found a mapping"]);
    assert_eq!(
        faults("sinks: { es: { type: blackhole, x: 1 } }\n"),
        ["1:33: sinks.es.x: unknown setting; there are no settings here"]
    );
    assert_eq!(
        faults("routes: [{ to: es, when: equals }]\n"),
        ["1:26: routes[0].when: `equals` needs a value: write `equals: ...`"]
    );
    assert_eq!(
        faults("routes: [{ to: es, when: { equal: {} } }]\n"),
        ["1:28: routes[0].when.equal: unknown setting; did you mean `equals`?"]
    );
    assert_eq!(
        faults("routes: [{ to: { es: 1 } }]\n"),
        ["1:12: routes[0].to: expected text or a list of texts, found a mapping"]
    );
    assert_eq!(
        faults("sinks: { es: { typ: files } }\n"),
        ["1:10: sinks.es.type: missing; it is one of `elasticsearch`, `files`, `blackhole`; \
         `typ` should perhaps be `type`"]
    );
    assert_eq!(
        faults("xyz: 1\n"),
        ["1:1: xyz: unknown setting; known here: `sinks`, `routes`, `limits`, `name`, `labels`, `address`"]
    );
}

#[test]
fn secrets_are_never_shown() {
    let texts = [
        "limits: \"${SECRET}\"",
        "limits: { workers: \"${SECRET}\", memory: \"${SECRET}\", ratio: \"${SECRET}\", enabled: \"${SECRET}\" }",
        "limits: { pause: \"${SECRET}\" }",
        "sinks: { a: { type: \"${SECRET}\" } }",
        "sinks: { a: { type: elasticsearch, timeout: \"a${SECRET}\", compression: \"${SECRET}\" } }",
        "routes: [{ to: a, when: \"${SECRET}\" }]",
        "routes: \"${SECRET}\"",
        "address: \"${SECRET}\"",
        "limits: { workers: \"${file:/run/key}\" }",
    ];
    for text in texts {
        for fault in faults(text) {
            assert!(!fault.contains("hunter2") && !fault.contains("from-a-file"), "{fault}");
            assert!(fault.contains("that came from `${...}`"), "{fault}");
        }
    }
    let locator = loaded("name: ${SECRET}\n").locator;
    let fault = locator.fault("name", "no host `hunter2`", None);
    assert_eq!(fault.to_string(), "1:7: name: no host `${...}`");
    assert!(!format!("{locator:?}").contains("hunter2"));
}

#[test]
fn later_checks_point_into_the_file() {
    let text = "\
sinks:
  es.prod:
    type: elasticsearch
routes:
  - to: es
  - to:
      - disk
      - es.prod
labels: { 'a.b': x }
";
    let locator = loaded(text).locator;
    let place = |path| {
        let fault = locator.fault(path, "m", None);
        (fault.line, fault.column)
    };
    assert_eq!(place("sinks.es.prod"), (2, 3));
    assert_eq!(place("sinks.es.prod.type"), (3, 11));
    assert_eq!(place("sinks.es.prod.timeout"), (2, 3));
    assert_eq!(place("routes[0].to"), (5, 9));
    assert_eq!(place("routes[1].to[0]"), (7, 9));
    assert_eq!(place("routes[1].to"), (6, 5));
    assert_eq!(place("routes[9]"), (4, 1));
    assert_eq!(place("labels.a.b"), (9, 18));
    assert_eq!(place("limits.workers"), (1, 1));
    assert_eq!(place(""), (1, 1));
    let fault =
        locator.fault("routes[0].to", "there is no sink `es`", nearest("es", ["es.prod"].into_iter()));
    assert_eq!(fault.to_string(), "5:9: routes[0].to: there is no sink `es`");
    let near = locator.fault("routes[0].to", "no such sink", Some("es.prod"));
    assert_eq!(near.to_string(), "5:9: routes[0].to: no such sink; did you mean `es.prod`?");
}

#[test]
fn what_only_the_type_refuses_is_still_a_fault_in_its_place() {
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(try_from = "String")]
    #[schemars(with = "String")]
    struct Even(#[allow(dead_code)] String);
    impl TryFrom<String> for Even {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            if text.len().is_multiple_of(2) { Ok(Self(text)) } else { Err(format!("`{text}` is odd")) }
        }
    }
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        #[allow(dead_code)]
        words: Vec<Even>,
    }
    let run = |text| load::<Outer>(text, &environment()).map(|_| ()).unwrap_err()[0].to_string();
    assert_eq!(run("words: [ab, abc]\n"), "1:13: words[1]: `abc` is odd");
    let secret = run("words: [ab, \"${SECRET}\"]\n");
    assert!(secret.starts_with("1:13: words[1]: ") && !secret.contains("hunter2"), "{secret}");
}

#[test]
fn the_alternative_that_fits_best_speaks() {
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Outer {
        rule: Option<Rule>,
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Rule {
        Any { any: Vec<Rule> },
        Not { not: Box<Rule> },
        Leaf(Leaf),
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Leaf {
        field: String,
        #[serde(default)]
        exists: bool,
    }
    let text = "\
rule:
  any:
    - not: { field: a, exsts: true }
    - feld: b
      exists: 1
    - {}
    - 7
    - field: ok
";
    let faults = load::<Outer>(text, &environment()).unwrap_err();
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let forms = "expected a mapping with `any` or a mapping with `not` or a mapping with `field`, found";
    let expected = [
        "3:24: rule.any[0].not.exsts: unknown setting; did you mean `exists`?".to_owned(),
        "4:7: rule.any[1].feld: unknown setting; did you mean `field`?".to_owned(),
        "4:7: rule.any[1].field: missing, and it has no default".to_owned(),
        "5:15: rule.any[1].exists: expected `true` or `false`, found the number `1`".to_owned(),
        format!("6:7: rule.any[2]: {forms} an empty mapping"),
        format!("7:7: rule.any[3]: {forms} the number `7`"),
    ];
    assert_eq!(found, expected);
    assert!(load::<Outer>("rule: { any: [{ field: a }, { not: { field: b } }] }", &environment()).is_ok());
}

#[test]
fn a_schema_that_cannot_be_checked_is_an_error() {
    assert_eq!(unsupported(&schema_of::<Config>()), Vec::<String>::new());
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Odd {
        #[schemars(regex(pattern = "^a"))]
        #[allow(dead_code)]
        pattern: String,
        #[allow(dead_code)]
        pair: (u8, u8),
        #[allow(dead_code)]
        set: std::collections::BTreeSet<String>,
    }
    let found = unsupported(&schema_of::<Odd>());
    assert_eq!(
        found,
        [
            "#/properties/pattern: the keyword `pattern` is not supported",
            "#/properties/pair: the keyword `prefixItems` is not supported",
            "#/properties/set: the keyword `uniqueItems` is not supported",
        ]
    );
    let faults = load::<Odd>("", &environment()).unwrap_err();
    assert_eq!(faults.len(), 3);
    assert!(faults[0].message.starts_with("the schema of the settings cannot be checked: "));
}
