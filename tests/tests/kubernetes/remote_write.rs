//! A real Prometheus remote-writes what it scrapes, in both versions, through the gateway into a real Elasticsearch.

use crate::prometheus::Prometheus;
use forebay_tests::elasticsearch::Options;
use forebay_tests::http::{Answer, read_request};
use forebay_tests::{Elasticsearch, Gateway, config, wait_until};
use serde_json::{Value, json};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const ARRIVED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const INDEX: &str = "project-ai-metrics-*";
const MOST: usize = 100_000;
const FEATURES: &str = "--enable-feature=exemplar-storage,native-histograms";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What an application tells of itself, in the text format of OpenMetrics 1.0. One series of it can go.
struct Application {
    address: String,
    is_gone: Arc<AtomicBool>,
}

impl Application {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_gone = Arc::new(AtomicBool::new(false));
        let goes = Arc::clone(&is_gone);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let goes = Arc::clone(&goes);
                std::thread::spawn(move || serve(stream.unwrap(), &goes));
            }
        });
        Self { address, is_gone }
    }
}

/// Answers scrapes until their client goes.
fn serve(mut stream: TcpStream, is_gone: &AtomicBool) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    let mut scrapes = 0;
    while let Ok(Some(_)) = read_request(&mut requests) {
        scrapes += 1;
        let gone = if is_gone.load(Relaxed) { "" } else { "app_leaves{path=\"/x\"} 3\n" };
        let text = format!(
            "# TYPE app_requests counter\n# HELP app_requests Requests so far.\n\
             app_requests_total{{path=\"/a\\\"b\"}} {scrapes} # {{trace_id=\"{TRACE}\",user=\"é\"}} 0.25\n\
             # TYPE app_temperature gauge\napp_temperature{{value=\"taken\"}} {}\n\
             # TYPE app_nothing gauge\napp_nothing NaN\napp_much +Inf\n{gone}# EOF\n",
            f64::from(scrapes) / 3.0
        );
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8".to_owned();
        let headers = vec![("content-type".to_owned(), media_type)];
        if (Answer { status: 200, headers, body: text.into_bytes() }).write(&mut stream).is_err() {
            return;
        }
    }
}

struct House {
    node: Elasticsearch,
    gateway: Gateway,
    application: Application,
    prometheus: Prometheus,
}

impl House {
    fn start(message: &str) -> Self {
        let node = Elasticsearch::start(Options::default()).unwrap();
        let gateway = Gateway::start(&config::into_elasticsearch(&node, "")).unwrap();
        let application = Application::start();
        let settings = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs:\n\
             - job_name: app\n  \
               static_configs: [{{targets: [\"{}\"]}}]\n\
             - job_name: prometheus\n  \
               scrape_native_histograms: true\n  \
               static_configs: [{{targets: [\"{{prometheus}}\"]}}]\n\
             remote_write:\n\
             - url: http://127.0.0.1:{}/api/v1/write\n  \
               protobuf_message: {message}\n  \
               send_exemplars: true\n  \
               send_native_histograms: true\n  \
               metadata_config: {{send: true, send_interval: 2s}}\n  \
               queue_config: {{batch_send_deadline: 1s}}\n",
            application.address, gateway.ports.remote_write
        );
        let prometheus = Prometheus::run(&settings, &[FEATURES]);
        Self { node, gateway, application, prometheus }
    }

    /// Waits until so many documents match.
    fn await_documents(&self, query: &str, at_least: u64) {
        let arrived = wait_until(query, ARRIVED_WITHIN, || {
            self.node.refresh()?;
            Ok((self.node.count(INDEX, query).unwrap_or(0) >= at_least).then_some(()))
        });
        arrived.unwrap_or_else(|error| panic!("{error:#}: {:?}", self.gateway.ledger()));
    }

    fn documents(&self, query: &str) -> Vec<Value> {
        self.node.documents(INDEX, query, MOST).unwrap().into_iter().map(|hit| hit.source).collect()
    }

    /// Each sample that Prometheus holds of this metric but for the youngest few, which may be on their way, is a document of the same time and value.
    fn assert_samples(&self, metric: &str) {
        let series = self.prometheus.query(&format!("{metric}[10m] offset 5s")).unwrap();
        assert_eq!(series.len(), 1, "{metric}");
        let samples = series[0]["values"].as_array().unwrap();
        assert!(samples.len() >= 3, "{metric}: {samples:?}");
        self.node.refresh().unwrap();
        // Exemplars come as records of their own.
        let told = "(_exists_:value OR _exists_:metric.non_finite)";
        let documents = self.documents(&format!("metric.name:{metric} AND {told}"));
        for sample in samples {
            let millis = (sample[0].as_f64().unwrap() * 1_000.0).round() as i64;
            let time = jiff::Timestamp::from_millisecond(millis).unwrap();
            let time = format!("{}.{:03}000000Z", time.strftime("%Y-%m-%dT%H:%M:%S"), millis % 1_000);
            let found: Vec<&Value> =
                documents.iter().filter(|document| document["@timestamp"] == time.as_str()).collect();
            assert_eq!(found.len(), 1, "{metric} at {time}: {found:?}");
            let value: f64 = sample[1].as_str().unwrap().parse().unwrap();
            match found[0]["metric.non_finite"].as_str() {
                Some(word) => assert_eq!(word.parse::<f64>().unwrap().to_string(), value.to_string()),
                None => assert_eq!(found[0]["value"].as_f64().unwrap(), value, "{metric} at {time}"),
            }
        }
    }

    /// What Prometheus counts under this name, all queues together.
    fn counted(&self, name: &str) -> f64 {
        let sum = self.prometheus.query(&format!("sum({name})")).unwrap();
        sum.first().map_or(0.0, |sum| sum["value"][1].as_str().unwrap().parse().unwrap())
    }

    fn run(&self) {
        self.await_documents("metric.name:app_temperature AND _exists_:value", 12);
        self.await_documents("metric.name:app_leaves", 1);
        self.application.is_gone.store(true, Relaxed);
        self.await_documents("metric.name:app_leaves AND metric.stale:true", 1);
        for metric in ["app_temperature", "app_requests_total", "app_nothing", "app_much"] {
            self.assert_samples(metric);
        }
        let stale = self.documents("metric.stale:true AND metric.name:app_leaves");
        assert_eq!(
            (stale.len(), &stale[0]["value"], &stale[0]["path"]),
            (1, &Value::Null, &json!("/x")),
            "{stale:?}"
        );
        let taken = self.documents("metric.name:app_temperature AND attributes.value:taken");
        assert!(taken.len() >= 8 && taken.iter().all(|document| document["job"] == "app"), "{taken:?}");
        self.await_documents("metric.name:app_requests_total AND _exists_:exemplars.trace_id", 1);
        let exemplars = self.documents(&format!("exemplars.trace_id:{TRACE}"));
        let exemplar = &exemplars[0]["exemplars"][0];
        assert_eq!((&exemplar["value"], &exemplar["attributes"]["user"]), (&json!(0.25), &json!("é")));
        self.await_documents("metric.name:prometheus_http_request_duration_seconds AND _exists_:scale", 1);
        let query = "metric.name:prometheus_http_request_duration_seconds AND positive.bucket_counts:>0";
        for histogram in self.documents(query) {
            let counts = histogram["positive.bucket_counts"].as_array().unwrap();
            let zeros = histogram["zero_count"].as_u64().unwrap();
            let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(sum + zeros, histogram["count"].as_u64().unwrap(), "{histogram}");
        }
        for kind in ["samples", "histograms", "exemplars", "metadata"] {
            let failed = self.counted(&format!("prometheus_remote_storage_{kind}_failed_total"));
            let dropped = self.counted(&format!("prometheus_remote_storage_{kind}_dropped_total"));
            assert_eq!((failed, dropped), (0.0, 0.0), "{kind}");
        }
        assert!(self.counted("prometheus_remote_storage_samples_total") > 100.0);
    }
}

fn end(house: House) {
    let House { prometheus, gateway, .. } = house;
    drop(prometheus);
    let ledger = gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!((ledger.rejected, ledger.dead_lettered), (0.0, 0.0), "{ledger:?}");
}

#[test]
fn prometheus_writes_version_one() {
    let house = House::start("prometheus.WriteRequest");
    house.run();
    house.await_documents("metric.name:app_requests AND metric.type:counter AND NOT _exists_:value", 1);
    end(house);
}

/// In this version Prometheus compares the counts of the answer's headers with what it has sent, and would say that they do not agree.
#[test]
fn prometheus_writes_version_two() {
    let house = House::start("io.prometheus.write.v2.Request");
    house.run();
    end(house);
}
