//! Bodies taken out of a journal: as they came, and what is asked for alone.

use super::*;

#[test]
fn bodies_are_exported_as_they_arrived_and_taken_by_a_gateway() {
    let scene = Scene::set();
    let (said, _) = scene.expect(0, &["export", "journal", "--to", "out"]);
    let bytes: usize = (0..FRAMES).map(|number| body(number).1.len()).sum();
    assert_eq!(said, format!("30 frames, 45 records, {bytes} bytes written to out\n"));
    let out = scene.folder.path().join("out");
    let index = fs::read_to_string(out.join("index.ndjson")).unwrap();
    let entries: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((entries.len() as u64, files(&out).len() as u64), (FRAMES, FRAMES + 1));
    let third = json!({"number": 2, "wire": "otlp", "receiver": "door", "arrived": "2026-01-01T00:00:02Z", "records": 2,
        "ids": "minted", "plan": 0, "bytes": body(2).1.len(), "file": "00000000000000000002.otlp"});
    assert_eq!(entries[2], third);
    for (number, entry) in (0..).zip(&entries) {
        assert_eq!(fs::read(out.join(entry["file"].as_str().unwrap())).unwrap(), body(number).1);
    }

    let mut gateway = Gateway::start(
        "receivers:\n  otlp: {grpc: {listen: \"127.0.0.1:{otlp_grpc}\"}, http: {listen: \"127.0.0.1:{otlp_http}\"}}\n  \
         json: {listen: \"127.0.0.1:{json}\"}\nsinks:\n  b: {type: blackhole}\nroutes:\n  - {name: all, to: [b], index: all}\n\
         dead_letters: {path: \"{dir}/letters\"}\nadmin: {listen: \"127.0.0.1:{admin}\"}\ndrain: {door_open: 0s}\n",
    )
    .unwrap();
    for entry in &entries {
        let (port, path, kind) = match entry["wire"].as_str().unwrap() {
            "otlp" => (gateway.ports.otlp_http, "v1/logs", "application/x-protobuf"),
            _ => (gateway.ports.json, "", "application/json"),
        };
        let body = fs::read(out.join(entry["file"].as_str().unwrap())).unwrap();
        let post = ureq::post(format!("http://127.0.0.1:{port}/{path}")).header("Content-Type", kind);
        assert_eq!(post.send(&body).unwrap().status(), 200, "{entry}");
    }
    let ledger = gateway.balanced_ledger(Duration::from_secs(10)).unwrap();
    assert_eq!(ledger.received, 45.0, "{ledger:?}");
    assert!(gateway.sigterm_and_wait().unwrap().0.success());
}

#[test]
fn an_export_takes_what_is_asked_for_and_overwrites_nothing() {
    let scene = Scene::set();
    let exported = |folder: &str, args: &[&str]| {
        scene.expect(0, &[&["export", "journal", "--to", folder], args].concat());
        let index = fs::read_to_string(scene.folder.path().join(folder).join("index.ndjson")).unwrap();
        let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap();
        index.lines().map(number).collect::<Vec<u64>>()
    };
    let es: Vec<u64> = (5..FRAMES).filter(|number| *number != 7).collect();
    assert_eq!(exported("es", &["--sink", "es"]), es);
    let (from, until) = ("2026-01-01T00:00:10Z", "2026-01-01T01:00:12+01:00");
    assert_eq!(exported("time", &["--from", from, "--until", until]), [10, 11]);
    assert_eq!(exported("few", &["--sink", "es", "--limit", "2"]), [5, 6]);
    assert_eq!(exported("none", &["--limit", "0"]), [0; 0]);
    let before = files(&scene.folder.path().join("few"));
    let (_, told) = scene.expect(2, &["export", "journal", "--to", "few"]);
    assert!(told.contains("few/index.ndjson is not overwritten"), "{told}");
    assert_eq!(files(&scene.folder.path().join("few")), before);
    let (_, told) = scene.expect(2, &["export", "journal", "--to", "new", "--sink", "ess"]);
    assert!(told.contains("the journal knows no sink \"ess\": did you mean \"es\"?"), "{told}");
    let (_, told) = scene.expect(2, &["export", "journal", "--to", "journal/out"]);
    assert!(told.contains("lies in the journal itself"), "{told}");
    assert!(!scene.folder.path().join("journal/out").exists(), "nothing is left there");

    let (_, number) = scene.damage();
    let (said, told) = scene.expect(1, &["export", "journal", "--to", "rest"]);
    assert!(said.starts_with("29 frames, "), "{said}");
    assert!(told.contains(&format!("1 frame is lost: {number}")), "{told}");
}
