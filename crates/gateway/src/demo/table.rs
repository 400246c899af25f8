//! What the demo shows at the end: where every record went, what it cost, and whether the books balance.

use super::gateway::Gateway;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// The figures of one demo.
#[derive(Debug)]
pub struct Report {
    sent: u64,
    took: Duration,
    cpu_seconds: Option<f64>,
    /// Lines counted in the files, by file.
    files: BTreeMap<String, u64>,
    /// Lines of `/metrics` that belong to the ledger.
    ledger: Vec<(String, f64)>,
    example: Option<String>,
}

impl Report {
    /// Reads the gateway's files and metrics.
    pub fn gather(gateway: &Gateway, sent: u64, took: Duration) -> anyhow::Result<Self> {
        let cpu_seconds = gateway.cpu_seconds();
        let (files, example) = count_lines(&gateway.indices)?;
        let ledger = ledger_metrics(gateway.admin).context("reading the metrics")?;
        Ok(Self { sent, took, cpu_seconds, files, ledger, example })
    }

    /// Whether as many records are in the files as were acknowledged, and nothing is left owed.
    pub fn complete(&self) -> bool {
        let owed = self.sum("forebay_sink_in_flight_records", "");
        self.files.values().sum::<u64>() == self.sent && owed == 0.0
    }

    fn sum(&self, name: &str, label: &str) -> f64 {
        let matching =
            self.ledger.iter().filter(|(series, _)| series.starts_with(name) && series.contains(label));
        matching.map(|(_, value)| value).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<44} {:>12}", "index (a file of JSON lines)", "records")?;
        for (file, lines) in &self.files {
            writeln!(f, "{file:<44} {lines:>12}")?;
        }
        writeln!(f, "{:<44} {:>12}", "total in the files", self.files.values().sum::<u64>())?;
        writeln!(f, "{:<44} {:>12}\n", "total acknowledged to the clients", self.sent)?;
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "{:.1} s, {:.0} records/s here, with acknowledgements and fsync",
            seconds,
            self.sent as f64 / seconds
        )?;
        if let Some(cpu) = self.cpu_seconds {
            writeln!(
                f,
                "{:.2} microseconds of the gateway's CPU time per record",
                cpu * 1e6 / self.sent as f64
            )?;
        }
        writeln!(f, "\nThe ledger, in records")?;
        let door =
            |outcome: &str| self.sum("forebay_receiver_records_total", &format!("outcome=\"{outcome}\""));
        let received = self.sum("forebay_receiver_received_records_total", "");
        let (admitted, rejected, refused) = (door("admitted"), door("rejected"), door("refused"));
        writeln!(
            f,
            "  door   received {received} = admitted {admitted} + rejected {rejected} + refused {refused}"
        )?;
        let debt = |outcome: &str| self.sum("forebay_sink_records_total", &format!("outcome=\"{outcome}\""));
        let owed = self.sum("forebay_sink_owed_records_total", "");
        let in_flight = self.sum("forebay_sink_in_flight_records", "");
        write!(f, "  debt   owed {owed} =")?;
        for outcome in forebay_pipeline::ledger::Outcome::ALL {
            write!(f, " {} {} +", outcome.name(), debt(outcome.name()))?;
        }
        writeln!(f, " in flight {in_flight}")?;
        match &self.example {
            Some(line) => writeln!(f, "\nOne of them:\n  {line}"),
            None => Ok(()),
        }
    }
}

fn count_lines(folder: &Path) -> anyhow::Result<(BTreeMap<String, u64>, Option<String>)> {
    let mut files = BTreeMap::new();
    let mut example = None;
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let mut lines = 0;
        for line in BufReader::new(std::fs::File::open(entry.path())?).lines() {
            let line = line?;
            lines += 1;
            example = example.or(Some(line));
        }
        // A rotated file belongs to the same index.
        let name = entry.file_name().to_string_lossy().into_owned();
        let index = name.split_once(".ndjson").map_or(name.as_str(), |(index, _)| index).to_owned();
        *files.entry(index).or_default() += lines;
    }
    Ok((files, example))
}

/// The series of `/metrics`, name and labels as they stand.
fn ledger_metrics(admin: SocketAddr) -> anyhow::Result<Vec<(String, f64)>> {
    let mut stream = TcpStream::connect(admin)?;
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4 << 20).read_to_string(&mut answer)?;
    let series = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    Ok(answer.lines().filter(|line| line.starts_with("forebay_")).filter_map(series).collect())
}
