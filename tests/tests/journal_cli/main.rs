//! `forebay journal` on journals that the library wrote and that were damaged afterwards.

#![allow(clippy::unwrap_used)]

mod export;

use forebay_pipeline::journal::Journal;
use forebay_pipeline::journal::frame::{IdKind, Label};
use forebay_pipeline::journal::log::{Entry, LogConfig};
use forebay_pipeline::journal::storage::Folder;
use forebay_pipeline::wire::WireId;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use forebay_tests::{Gateway, gateway};
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const FRAMES: u64 = 30;
/// 2026-01-01T00:00:00Z, when frame 0 arrived; each further one a second later.
const FIRST_ARRIVAL: i64 = 1_767_225_600_000_000_000;
const CONFIG: LogConfig = LogConfig { segment_bytes: 1_000, max_bytes: 1 << 20, block_bytes: 8 };
const SINKS: [&str; 2] = ["archive", "es"];
const NANOS: i64 = 1_000_000_000;
/// Routes as a journal keeps them.
const PLAN: &str = r#"{"routes":[{"name":"all","to":["es","archive"],"index":"all"}],"route_mode":"first_match","promote":[],
    "max_event_age":"720h","max_event_lead":"24h","max_records":1000,"max_record_bytes":100000,"json":{}}"#;

/// A folder with a journal in `journal`.
struct Scene {
    folder: TempDir,
}

/// The body of a frame: OTLP and JSON in turn.
fn body(number: u64) -> (WireId, Vec<u8>) {
    if number % 2 == 1 {
        return (WireId::Json, format!("{{\"message\":\"{}\"}}", "x".repeat(number as usize)).into_bytes());
    }
    let record = LogRecord { time_unix_nano: 1 + number, severity_number: 9, ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record; 2], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    (WireId::OtlpLogs, ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec())
}

fn records(number: u64) -> u64 {
    if number % 2 == 1 { 1 } else { 2 }
}

impl Scene {
    /// Thirty frames, every third stored as zstd. `es` has finished the first five and the eighth, `archive` nothing.
    fn set() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        let storage = Arc::new(Folder::open(&scene.journal()).unwrap());
        let (mut journal, _) = Journal::open(storage, CONFIG, &SINKS.map(str::to_owned)).unwrap();
        for number in 0..FRAMES {
            let (wire, body) = body(number);
            let zstd = zstd::bulk::compress(&body, 1).unwrap();
            let is_zstd = number % 3 == 0;
            let label = Label {
                wire,
                ids: IdKind::Minted,
                arrived: FIRST_ARRIVAL + number as i64 * NANOS,
                epoch: 1,
                counter: number,
                plan: u32::from(number >= 20),
                records: records(number) as u32,
            };
            let stored = if is_zstd { &zstd } else { &body };
            let zstd = is_zstd.then_some(body.len() as u32);
            journal.append(&[Entry { label, receiver: b"door", stored, zstd }]).unwrap();
        }
        journal.sync().unwrap();
        (0..5).chain([7]).for_each(|number| journal.finish("es", number));
        journal.checkpoint().unwrap();
        for plan in [0, 1] {
            fs::write(scene.journal().join(format!("plan-{plan}.json")), PLAN).unwrap();
        }
        fs::write(scene.journal().join("notes.txt"), "not a journal's").unwrap();
        scene
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(gateway::binary().unwrap());
        command.current_dir(self.folder.path()).arg("journal").args(args);
        let output = command.output().unwrap();
        assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
        output
    }

    /// Standard output and error of a command that ends with this code.
    fn expect(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        (text(&output.stdout), text(&output.stderr))
    }

    fn segments(&self) -> Vec<PathBuf> {
        let names = files(&self.journal()).into_keys();
        names.filter(|name| name.extension().is_some_and(|end| end == "segment")).collect()
    }

    /// Flips a bit in the body of the second frame of the second segment, and returns the segment and the frame's number.
    fn damage(&self) -> (PathBuf, u64) {
        let segment = self.segments()[1].clone();
        let mut bytes = fs::read(&segment).unwrap();
        let starts: Vec<usize> = (40..bytes.len()).filter(|at| bytes[*at..].starts_with(b"FBFR")).collect();
        bytes[starts[1] + 82] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        (segment, u64::from(bytes[starts[1] + 8]))
    }

    /// The numbers that a start finds owed to a sink.
    fn owed(&self, sink: &str) -> Vec<u64> {
        let storage = Arc::new(Folder::open(&self.journal()).unwrap());
        let (journal, _) = Journal::open(storage, CONFIG, &SINKS.map(str::to_owned)).unwrap();
        journal.owed(sink).flat_map(Result::unwrap).map(|position| position.sequence).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All files under a folder with what is in them, and when they were written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let written = path.metadata().unwrap().modified().unwrap();
            found.insert(path.clone(), (fs::read(&path).unwrap(), written));
        }
    }
    found
}

/// Frames, records and bytes of these.
fn sums(numbers: impl Iterator<Item = u64> + Clone) -> Value {
    let bytes: usize = numbers.clone().map(|number| body(number).1.len()).sum();
    json!({"frames": numbers.clone().count(), "records": numbers.map(records).sum::<u64>(), "bytes": bytes})
}

#[test]
fn info_tells_what_is_there_and_changes_nothing() {
    let scene = Scene::set();
    let (said, _) = scene.expect(0, &["check", "journal"]);
    assert!(said.starts_with("journal: sound: 30 sound frames in "), "{said}");
    fs::remove_file(scene.journal().join("plan-1.json")).unwrap();
    let before = files(&scene.journal());
    fs::set_permissions(scene.journal(), fs::Permissions::from_mode(0o555)).unwrap();
    let (told, _) = scene.expect(0, &["info", "journal", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let segments = told["segments"].as_array().unwrap();
    assert_eq!(segments.len(), scene.segments().len());
    assert!(segments.len() > 2);
    assert_eq!((&segments[0]["first"], &segments.last().unwrap()["last"]), (&json!(0), &json!(FRAMES - 1)));
    assert_eq!(segments.iter().map(|one| one["frames"].as_u64().unwrap()).sum::<u64>(), FRAMES);
    let all = sums(0..FRAMES);
    assert_eq!(
        (&told["frames"], &told["records"], &told["body_bytes"]),
        (&all["frames"], &all["records"], &all["bytes"])
    );
    let wires = json!({"json": sums((1..FRAMES).step_by(2)), "otlp": sums((0..FRAMES).step_by(2))});
    assert_eq!(told["wires"], wires);
    assert_eq!(
        (&told["oldest_arrival"], &told["newest_arrival"]),
        (&json!("2026-01-01T00:00:00Z"), &json!("2026-01-01T00:00:29Z"))
    );
    let es = (5..FRAMES).filter(|number| *number != 7);
    let sinks = json!({
        "archive": {"low": 0, "finished_above": 0, "owed": all},
        "es": {"low": 5, "finished_above": 1, "owed": sums(es)},
    });
    assert_eq!((&told["cursors"], &told["sinks"]), (&json!("sound"), &sinks));
    let plans = json!([
        {"plan": 0, "frames": 20, "first": 0, "last": 19, "stored": true},
        {"plan": 1, "frames": 10, "first": 20, "last": 29, "stored": false},
    ]);
    assert_eq!((&told["plans"], &told["stored_plans"]), (&plans, &json!([0])));
    assert_eq!((&told["damaged_places"], &told["in_use"]), (&json!(0), &json!(false)));

    let (table, _) = scene.expect(0, &["info", "journal"]);
    for line in [
        "frames    30, numbers 0 to 29",
        "records   45",
        "arrived   2026-01-01T00:00:00Z to 2026-01-01T00:00:29Z",
        "sink      es: finished below 5 and 1 above; owed 24 frames, 36 records, ",
        "plan      0: 20 frames from 0 to 19",
        "plan      1: is not there; 10 frames from 20 to 29",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    scene.expect(1, &["check", "journal"]);
    assert_eq!(files(&scene.journal()), before);
    fs::set_permissions(scene.journal(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn damage_is_told_and_repaired_without_touching_the_rest() {
    let scene = Scene::set();
    let (segment, number) = scene.damage();
    let before = files(&scene.journal());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let (_, told) = scene.expect(1, &["check", "journal"]);
    let line = told.lines().next().unwrap();
    assert!(line.starts_with(&format!("{name}:")), "{told}");
    assert!(line.contains(&format!("the frame's body is damaged (frame {number})")), "{told}");
    assert!(line.ends_with(&format!("; 1 frame is lost: {number}")), "{told}");
    assert!(told.contains("journal: damaged in 1 place: "), "{told}");
    let (table, _) = scene.expect(0, &["info", "journal"]);
    assert!(table.contains("damage    in 1 place"), "{table}");
    let (dry, _) = scene.expect(1, &["repair", "journal", "--dry-run"]);
    assert!(dry.contains(&format!("{name}: would be written anew with ")), "{dry}");
    assert!(dry.contains("1 frame lost"), "{dry}");
    assert_eq!(files(&scene.journal()), before);

    let (done, _) = scene.expect(0, &["repair", "journal"]);
    assert!(done.contains("journal: sound with 29 frames, "), "{done}");
    assert!(done.contains(&format!("; 1 frame lost ({number})")), "{done}");
    let after = files(&scene.journal());
    for (path, (bytes, _)) in &before {
        let kept = after
            .iter()
            .find(|(other, _)| other.file_name() == path.file_name() && other.parent() != path.parent());
        if *path == segment {
            assert_eq!(&kept.unwrap().1.0, bytes);
        } else {
            assert!(kept.is_none());
            assert_eq!(&after[path].0, bytes);
        }
    }
    let (said, _) = scene.expect(0, &["check", "journal"]);
    assert!(said.starts_with("journal: sound: 29 sound frames"), "{said}");
    let (table, _) = scene.expect(0, &["info", "journal"]);
    let given_up = format!("given up  1 frame that an earlier repair found lost: {number}\n");
    assert!(table.contains(&given_up), "{table}");
    let (again, _) = scene.expect(0, &["repair", "journal"]);
    assert!(again.contains("29 sound frames, nothing to repair"), "{again}");
    assert_eq!(files(&scene.journal()), after);
    assert_eq!(scene.owed("archive"), (0..FRAMES).filter(|other| *other != number).collect::<Vec<_>>());
}

#[test]
fn lost_cursors_and_a_lost_segment_are_repaired_for_good() {
    let scene = Scene::set();
    fs::write(scene.journal().join("cursors"), "rubbish").unwrap();
    fs::write(&scene.segments()[0], [0xee; 300]).unwrap();
    let (_, told) = scene.expect(1, &["check", "journal"]);
    let first = u64::from_str_radix(scene.segments()[1].file_stem().unwrap().to_str().unwrap(), 16).unwrap();
    let replay = format!("at the next start every sink begins with the oldest frame, {first}, again");
    assert!(told.contains(&format!("cursors:0: the cursors are damaged: {replay}")), "{told}");
    let (done, _) = scene.expect(0, &["repair", "journal"]);
    assert!(
        done.contains("0000000000000000.segment: removed: none of its 300 bytes is a sound frame"),
        "{done}"
    );
    assert!(done.contains("cursors: removed"), "{done}");
    // All that is left to say is what the start is going to do.
    let (_, told) = scene.expect(1, &["check", "journal"]);
    assert!(told.contains(&format!("cursors:0: there are no cursors: {replay}; 0 bytes\n")), "{told}");
    assert!(told.contains("journal: damaged in 1 place: 0 bytes, 0 frames lost"), "{told}");
    assert_eq!(scene.owed("es"), (first..FRAMES).collect::<Vec<_>>());
}

#[test]
fn what_a_start_would_do_without_is_told() {
    let scene = Scene::set();
    fs::remove_file(scene.journal().join("cursors")).unwrap();
    fs::write(scene.journal().join("plan-0.json"), "{}").unwrap();
    fs::remove_file(scene.journal().join("plan-1.json")).unwrap();
    let (_, told) = scene.expect(1, &["check", "journal"]);
    for line in [
        "cursors:0: there are no cursors: at the next start every sink begins with the oldest frame, 0, again; 0 bytes",
        "plan-0.json:0: the routes that frames were taken under cannot be understood (missing field `routes` at line 1 column 2): \
         at the next start 20 frames follow the present ones; 2 bytes",
        "plan-1.json:0: the routes that frames were taken under are missing: at the next start 10 frames follow the present ones; 0 bytes",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    assert!(
        told.contains("journal: damaged in 3 places: 2 bytes, 0 frames lost; 30 sound frames in "),
        "{told}"
    );
    // A repair has nothing to do with that.
    let (said, _) = scene.expect(0, &["repair", "journal"]);
    assert!(said.contains("30 sound frames, nothing to repair"), "{said}");
    // Routes that no frame names are not missed, and without frames no cursors are.
    for segment in scene.segments() {
        fs::remove_file(segment).unwrap();
    }
    fs::write(scene.journal().join("0000000000000000.segment"), "").unwrap();
    scene.expect(0, &["check", "journal"]);
}

/// A folder in the place of a file can be read by nobody, root included.
#[test]
fn what_cannot_be_read_is_no_loss_and_refuses_the_start() {
    let scene = Scene::set();
    let segment = scene.segments()[1].clone();
    fs::remove_file(&segment).unwrap();
    fs::create_dir(&segment).unwrap();
    let before = files(&scene.journal());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let (_, told) = scene.expect(2, &["check", "journal"]);
    assert!(told.starts_with(&format!("{name}:0: cannot be read: Is a directory")), "{told}");
    assert!(
        told.contains("journal: 1 file cannot be read, and nothing is known of what is in there"),
        "{told}"
    );
    assert!(!told.contains("lost"), "{told}");
    let (table, _) = scene.expect(0, &["info", "journal"]);
    assert!(table.contains(&format!("unreadable {name}: cannot be read: Is a directory")), "{table}");
    assert!(!table.contains("damage"), "{table}");
    let (told, _) = scene.expect(0, &["info", "journal", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["unreadable"], &told["damaged_places"]), (&json!([name]), &json!(0)));

    let config = "acknowledge: durable\njournal: {path: journal}\nreceivers: {json: {listen: '127.0.0.1:0'}}\n\
        sinks: {es: {type: blackhole}, archive: {type: blackhole}}\nroutes: [{name: all, to: [es, archive], index: all}]\n\
        admin: {listen: '127.0.0.1:0'}\ndead_letters: {path: letters}\n";
    fs::write(scene.folder.path().join("forebay.yaml"), config).unwrap();
    let mut run = Command::new(gateway::binary().unwrap());
    let output =
        run.current_dir(scene.folder.path()).args(["run", "--config", "forebay.yaml"]).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let expected = format!("the journal in journal: {name} cannot be read: Is a directory");
    assert!(told.contains(&expected) && told.contains("Nothing of it is known to be lost"), "{told}");
    assert_eq!(files(&scene.journal()), before);
}

/// `archive` is owed something and not configured; its name is misspelled.
#[test]
fn names_to_abandon_that_mean_nothing_are_told() {
    let scene = Scene::set();
    let configure = |abandon: &str| {
        let config = format!(
            "acknowledge: durable\njournal: {{path: journal, abandon: [{abandon}]}}\n\
             receivers: {{json: {{listen: '127.0.0.1:0'}}}}\nsinks: {{es: {{type: blackhole}}}}\n\
             routes: [{{name: all, to: [es], index: all}}]\nadmin: {{listen: '127.0.0.1:0'}}\ndead_letters: {{path: letters}}\n"
        );
        fs::write(scene.folder.path().join("forebay.yaml"), config).unwrap();
    };
    let run = |args: &[&str]| {
        let mut command = Command::new(gateway::binary().unwrap());
        let output = command.current_dir(scene.folder.path()).args(args).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    configure("archiv, else");
    let meant = "journal.abandon: the journal in journal knows no sink `archiv`: did you mean `archive`?";
    let (code, told) = run(&["check", "forebay.yaml"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("forebay.yaml: warning: {meant}\n")), "{told}");
    assert!(told.contains("knows no sink `else`: nothing is held for it, and its name can go\n"), "{told}");
    let (code, told) = run(&["run", "--config", "forebay.yaml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("\"level\":\"WARN\"") && told.contains(meant), "{told}");
    assert!(told.contains("sinks that are not configured: `archive` (30 requests)"), "{told}");
    configure("archive");
    assert_eq!(run(&["check", "forebay.yaml"]), (Some(0), String::new()));
    configure("archive, es");
    let (code, told) = run(&["check", "forebay.yaml"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("journal.abandon[1]: `es` is a sink, so nothing is given up"), "{told}");
}

#[test]
fn a_torn_tail_is_no_damage() {
    let scene = Scene::set();
    let last = scene.segments().pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 9]).unwrap();
    let (said, _) = scene.expect(0, &["check", "journal"]);
    assert!(said.contains("a torn tail, as a crash leaves it: the frame is cut short (frame 29)"), "{said}");
    assert!(said.contains("journal: sound: 29 sound frames"), "{said}");
}

#[test]
fn a_journal_in_use_is_read_only_by_force_and_never_repaired() {
    let scene = Scene::set();
    scene.damage();
    let before = files(&scene.journal());
    let held = Folder::open(&scene.journal()).unwrap();
    for command in ["info", "check"] {
        let (_, told) = scene.expect(2, &[command, "journal"]);
        assert!(told.contains("journal is in use by a running gateway"), "{told}");
    }
    let (_, told) = scene.expect(2, &["repair", "journal"]);
    assert!(told.contains("journal is in use by a running gateway: stop it first"), "{told}");
    let (told, warned) = scene.expect(0, &["info", "journal", "--force", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["in_use"], true);
    assert!(warned.contains("its end may look torn"), "{warned}");
    scene.expect(1, &["check", "journal", "--force"]);
    drop(held);
    // Looking does not keep a gateway out.
    scene.expect(0, &["info", "journal"]);
    assert_eq!(files(&scene.journal()), before);
}

#[test]
fn what_is_no_journal_cannot_be_read() {
    let scene = Scene::set();
    fs::create_dir(scene.folder.path().join("empty")).unwrap();
    for (folder, said) in [
        ("none", "No such file"),
        ("empty", "empty holds no journal"),
        ("journal/notes.txt", "ot a directory"),
    ] {
        let commands: [&[&str]; 4] =
            [&["info", folder], &["check", folder], &["export", folder, "--to", "out"], &["repair", folder]];
        for command in commands {
            let (_, told) = scene.expect(2, command);
            assert!(told.contains(said), "{command:?}: {told}");
        }
    }
    assert!(!scene.folder.path().join("none").exists());
}

/// Files that are anything do no harm, whatever is asked of them.
#[test]
fn arbitrary_files_are_told_of_and_repaired() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for round in 0..12 {
        let scene = Scene::set();
        for segment in scene.segments() {
            let mut bytes = fs::read(&segment).unwrap();
            for _ in 0..random() % 40 {
                let place = random() as usize % bytes.len();
                bytes[place] = random() as u8;
            }
            if random() % 4 == 0 {
                bytes.truncate(random() as usize % bytes.len());
            }
            fs::write(&segment, bytes).unwrap();
        }
        fs::write(scene.journal().join("ffffffffffffffff.segment"), [random() as u8; 99]).unwrap();
        for command in
            [&["info", "journal"][..], &["check", "journal"], &["export", "journal", "--to", "out"]]
        {
            assert!(matches!(scene.run(command).status.code(), Some(0 | 1)), "round {round}: {command:?}");
        }
        scene.expect(0, &["repair", "journal"]);
        scene.expect(0, &["check", "journal"]);
    }
}
