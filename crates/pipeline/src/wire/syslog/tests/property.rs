//! A message is written as RFC 5424 says, by code of its own, and must be read as what was meant.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, json};

/// Printable ASCII without what ends a name.
fn word(len: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[!-~]{{1,{len}}}"))
        .unwrap()
        .prop_filter("is the sign for none", |word| word != "-")
}

fn name() -> impl Strategy<Value = String> {
    "[!#-<>-\\\\^-~]{1,32}"
}

#[derive(Clone, Debug)]
struct Meant {
    priority: u8,
    micros: Option<u32>,
    words: [Option<String>; 4],
    elements: Vec<(String, Vec<(String, String)>)>,
    text: Option<String>,
}

fn meant() -> impl Strategy<Value = Meant> {
    let words = (
        prop::option::of(word(255)),
        prop::option::of(word(48)),
        prop::option::of(word(128)),
        prop::option::of(word(32)),
    );
    let params = prop::collection::vec((name(), "(?s:.{0,20})"), 0..5);
    let elements = prop::collection::btree_map(name(), params, 0..4);
    let text = prop::option::of(
        "(?s:.{0,100})".prop_filter("the end is cut off", |text| !text.ends_with(['\n', '\r', '\0'])),
    );
    (0..=191_u8, prop::option::of(0..1_000_000_u32), words, elements, text).prop_map(
        |(priority, micros, (a, b, c, d), elements, text)| Meant {
            priority,
            micros,
            words: [a, b, c, d],
            elements: elements.into_iter().collect(),
            text,
        },
    )
}

impl Meant {
    fn written(&self) -> String {
        let time =
            self.micros.map_or("-".to_owned(), |micros| format!("2026-11-21T09:26:04.{micros:06}+01:00"));
        let words: Vec<&str> = self.words.iter().map(|word| word.as_deref().unwrap_or("-")).collect();
        let mut data = String::new();
        for (id, params) in &self.elements {
            data += &format!("[{id}");
            for (name, value) in params {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
                data += &format!(" {name}=\"{value}\"");
            }
            data.push(']');
        }
        let data = if data.is_empty() { "-" } else { &data };
        let text = self.text.as_ref().map_or(String::new(), |text| format!(" \u{feff}{text}"));
        format!("<{}>1 {time} {} {data}{text}", self.priority, words.join(" "))
    }

    fn document(&self) -> Value {
        let levels = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
        let time = self.micros.map_or("580000000".to_owned(), |micros| format!("{micros:06}000"));
        let mut document = json!({
            "@timestamp": format!("2026-11-21T08:26:04.{time}Z"),
            "level": levels[usize::from(self.priority % 8)],
            "message": self.text.clone().unwrap_or_default(),
            "syslog.priority": self.priority,
            "syslog.version": 1,
        });
        for (name, word) in ["hostname", "app_name", "proc_id", "msg_id"].into_iter().zip(&self.words) {
            if let Some(word) = word {
                document[name] = json!(word);
            }
        }
        let mut data = Map::new();
        for (id, params) in &self.elements {
            let mut element: Map<String, Value> = Map::new();
            for (name, value) in params {
                match element.get_mut(name) {
                    None => drop(element.insert(name.clone(), json!(value))),
                    Some(Value::Array(values)) => values.push(json!(value)),
                    Some(first) => *first = json!([first.clone(), value]),
                }
            }
            data.insert(id.clone(), Value::Object(element));
        }
        if !data.is_empty() {
            document["structured_data"] = Value::Object(data);
        }
        document
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(meant in prop::collection::vec(meant(), 1..4)) {
        let written: Vec<String> = meant.iter().map(Meant::written).collect();
        let messages: Vec<&[u8]> = written.iter().map(String::as_bytes).collect();
        let (documents, unparsed) = documents_in(&body_of(&messages), &TimeZone::UTC);
        prop_assert_eq!((documents.len(), unparsed), (meant.len(), 0));
        for (mut document, meant) in documents.into_iter().zip(&meant) {
            // These two follow from the priority; the examples have them.
            for derived in ["severity_number", "syslog.facility"] {
                prop_assert!(document.as_object_mut().unwrap().remove(derived).is_some());
            }
            prop_assert_eq!(document, meant.document());
        }
    }

    /// Whatever bytes come, each message is a document that serde_json reads, and no field is there twice.
    #[test]
    fn any_bytes_are_documents(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5), standard: bool, cut: u8) {
        let messages: Vec<Vec<u8>> = messages.into_iter().map(|tail| if standard {
            let head = b"<14>1 2026-11-21T08:26:04Z h a p m [x y=\"z\"][";
            [&head[..head.len().min(usize::from(cut))], &tail].concat()
        } else { tail }).collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let (documents, unparsed) = documents_in(&body_of(&messages), &TimeZone::UTC);
        prop_assert_eq!(documents.len(), messages.len());
        prop_assert!(unparsed as usize <= messages.len());
    }
}
