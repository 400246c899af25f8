//! Records as functions of their number: what was sent need not be remembered to be compared with what is found.

use forebay_tests::seeded::Random;
use serde::Deserialize;
use serde_json::json;

/// Purposes of random numbers.
const KIND: u64 = 1;
const CONTENT: u64 = 2;

/// How a client's records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    OtlpGrpc,
    OtlpHttp,
    Json,
    Beats,
    Bulk,
    Forward,
}

impl Protocol {
    fn is_otlp(self) -> bool {
        matches!(self, Self::OtlpGrpc | Self::OtlpHttp)
    }
}

/// What is special about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: OTLP's id is made of the content, JSON's is minted.
    Plain,
    /// With an id of the client's own.
    Keyed,
    /// An event of Beats that says where it was read: its id is made of the content.
    Placed,
    /// Sent twice in one request, on purpose.
    Twin,
    /// Not OTLP: sent at the end of its batch and once more at the beginning of the next one.
    Echo,
    /// Elasticsearch refuses it for good: a dead letter.
    Poisoned,
    /// Not OTLP: not a whole line, or no record, which the door rejects.
    Spoilt,
}

/// The client that a record comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub seed: u64,
    pub client: usize,
    pub protocol: Protocol,
    /// Records in a batch.
    pub batch: u32,
    /// Nanoseconds since 1970 of the record number 0.
    pub began: u64,
}

/// What a document must say.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Content {
    pub id: String,
    pub lane: String,
    pub message: String,
    pub ratio: f64,
    pub status: i64,
    /// Over the seed, the number and the message.
    pub sum: String,
    /// The client's own id, if it has one.
    pub key: Option<String>,
}

impl Origin {
    pub fn kind(&self, number: u32) -> Kind {
        let chance = Random::of(&[self.seed, KIND, self.client as u64, number.into()]).below(1_000);
        let is_last = (number + 1).is_multiple_of(self.batch);
        let is_otlp = self.protocol.is_otlp();
        match (self.protocol, chance) {
            _ if !is_otlp && is_last && chance < 500 => Kind::Echo,
            (_, 0..=2) => Kind::Poisoned,
            (_, 3..=14) => Kind::Twin,
            (_, 15..=18) if !is_otlp => Kind::Spoilt,
            (Protocol::Json | Protocol::Beats | Protocol::Bulk, 19..=219) => Kind::Keyed,
            (Protocol::Beats | Protocol::Bulk, 220..=519) => Kind::Placed,
            _ => Kind::Plain,
        }
    }

    /// Whether ids tell a copy that was sent again from an honest second one.
    pub fn is_recognised(&self, kind: Kind) -> bool {
        // Forward's are those of a chunk that has a name.
        let by_content = self.protocol.is_otlp() || self.protocol == Protocol::Forward;
        by_content || matches!(kind, Kind::Keyed | Kind::Placed)
    }

    /// `c<client>-<number>`, as [`parse_id`] reads it.
    pub fn id(&self, number: u32) -> String {
        format!("c{}-{number}", self.client)
    }

    pub fn content(&self, number: u32) -> Content {
        let mut random = Random::of(&[self.seed, CONTENT, self.client as u64, number.into()]);
        let message = message(&mut random);
        let lane = ["a", "a", "a", "b", "b", "c"][random.below(6) as usize];
        Content {
            id: self.id(number),
            lane: lane.to_owned(),
            // A sixteenth is a number that both formats write in full.
            ratio: random.below(1 << 20) as f64 / 16.0 + 0.03125,
            status: random.within(100..600) as i64,
            sum: checksum(self.seed, number, &message),
            message,
            key: (self.kind(number) == Kind::Keyed).then(|| format!("key-{}-{}", self.seed, self.id(number))),
        }
    }

    /// Nanoseconds since 1970: the same whenever the record is sent again.
    pub fn time(&self, number: u32) -> u64 {
        self.began + u64::from(number) * 1_000_000
    }

    /// One line of JSON without its end.
    pub fn line(&self, number: u32) -> String {
        let content = self.content(number);
        let kind = self.kind(number);
        let mut line = json!({
            "@timestamp": self.time(number) / 1_000_000,
            "id": content.id,
            "lane": content.lane,
            "message": content.message,
            "ratio": content.ratio,
            "status": content.status,
            "sum": content.sum,
        });
        if self.protocol == Protocol::Beats {
            line["@metadata"] = json!({"beat": "filebeat", "version": "8.19.0"});
        }
        if let Some(key) = content.key {
            if self.protocol == Protocol::Beats {
                line["@metadata"]["_id"] = key.clone().into();
            }
            line["key"] = key.into();
        }
        if kind == Kind::Placed {
            line["log"] = json!({"offset": number, "file": {"path": format!("/var/log/{}", self.client)}});
        }
        if kind == Kind::Poisoned {
            line["status"] = "teapot".into();
        }
        let mut text = line.to_string();
        if kind == Kind::Spoilt {
            text.pop();
        }
        text
    }
}

/// Client and number of an id.
pub fn parse_id(id: &str) -> Option<(usize, u32)> {
    let (client, number) = id.strip_prefix('c')?.split_once('-')?;
    Some((client.parse().ok()?, number.parse().ok()?))
}

/// 80 to 400 bytes of words, some of them awkward.
fn message(random: &mut Random) -> String {
    const WORDS: [&str; 16] = [
        "request",
        "served",
        "in",
        "time",
        "\"quoted\"",
        "back\\slash",
        "tab\there",
        "line\nbreak",
        "größe",
        "日本語",
        "\u{1F600}",
        "user=42",
        "{\"a\":1}",
        "timeout",
        "\u{1}",
        "</script>",
    ];
    let mut text = String::new();
    let wanted = random.within(80..400) as usize;
    while text.len() < wanted {
        let bits = random.next();
        text.push_str(WORDS[(bits & 15) as usize]);
        text.push_str(&format!(" {:x} ", bits >> 40));
    }
    text
}

fn checksum(seed: u64, number: u32, message: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed ^ u64::from(number);
    for byte in message.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
