//! Several gateways behind a proxy that hands out connections in turn: what a Deployment behind a Service is to its clients.

use forebay_tests::{Gateway, RoundRobin, gateway, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// How old the gateways let a connection become.
pub const CONNECTION_AGE: Duration = Duration::from_secs(4);
/// Between the signal and the moment at which new connections go elsewhere: the way over the control plane to every node.
const ENDPOINT_REMOVED_AFTER: Duration = Duration::from_millis(700);
/// As the configuration below has them.
const DOOR_OPEN: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(20);
/// Until what was acknowledged has left the books.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Gateways of one configuration, and the proxy in front of them.
#[derive(Debug)]
pub struct Cluster {
    pub gateways: Vec<Gateway>,
    pub proxy: RoundRobin,
    /// The address of Elasticsearch and the index there.
    endpoint: String,
    index: &'static str,
    is_durable: bool,
}

impl Cluster {
    pub fn start(count: usize, endpoint: &str, index: &'static str, is_durable: bool) -> Self {
        let proxy = RoundRobin::start().unwrap();
        let mut cluster =
            Self { gateways: Vec::new(), proxy, endpoint: endpoint.to_owned(), index, is_durable };
        for _ in 0..count {
            cluster.add();
        }
        cluster
    }

    /// One more process, which gets connections when it is ready. It is of the other build.
    pub fn add(&mut self) {
        let mut gateway = Gateway::prepare().unwrap();
        gateway.configure(&self.configuration("old")).unwrap();
        gateway.start_again_as(gateway::other_binary().unwrap()).unwrap();
        self.proxy.put_in(gateway.ports.otlp_grpc);
        self.gateways.push(gateway);
    }

    /// Ends one process as a cluster does and starts its successor, which is of the build under test and has another configuration, in its
    /// place: on the same address, with the same volume. Returns how long the old one took to end.
    pub fn upgrade(&mut self, number: usize) -> Duration {
        let next = self.configuration("new");
        let gateway = &mut self.gateways[number];
        let began = Instant::now();
        gateway.sigterm().unwrap();
        wait_until("readiness to fail", DOOR_OPEN, || Ok((!is_ready(gateway)).then_some(()))).unwrap();
        thread::sleep(ENDPOINT_REMOVED_AFTER.saturating_sub(began.elapsed()));
        self.proxy.take_out(gateway.ports.otlp_grpc);
        gateway.wait_for_good_end().unwrap();
        let took = began.elapsed();
        assert!(took >= DOOR_OPEN && took < DOOR_OPEN + DEADLINE, "it took {took:?}");
        gateway.configure(&next).unwrap();
        gateway.start_again().unwrap();
        self.proxy.put_in(gateway.ports.otlp_grpc);
        took
    }

    /// Requests that each process has answered with success.
    pub fn answered(&self) -> Vec<f64> {
        let labels = [("receiver", "otlp_grpc"), ("answer", "ok")];
        let of =
            |gateway: &Gateway| gateway.metrics().unwrap().sum("forebay_receiver_answers_total", &labels);
        self.gateways.iter().map(of).collect()
    }

    /// How many processes there are of each version.
    pub fn versions(&self) -> BTreeMap<String, usize> {
        let mut versions = BTreeMap::new();
        for gateway in &self.gateways {
            let metrics = gateway.metrics().unwrap();
            let build =
                metrics.0.keys().find_map(|key| key.strip_prefix("forebay_build_info{version=\"")).unwrap();
            *versions.entry(build.trim_end_matches("\"}").to_owned()).or_default() += 1;
        }
        versions
    }

    /// Waits until the process has taken records under this configuration's route.
    pub fn wait_for_route(&self, number: usize, route: &str) {
        wait_until(&format!("records on the route {route}"), SETTLED_WITHIN, || {
            let metrics = self.gateways[number].metrics()?;
            Ok((metrics.sum("forebay_sink_owed_records_total", &[("route", route)]) > 0.0).then_some(()))
        })
        .unwrap();
    }

    /// Ends every process in order; returns the last lines of their logs.
    pub fn end(mut self) -> Vec<Value> {
        for gateway in &self.gateways {
            gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
            gateway.sigterm().unwrap();
        }
        self.gateways.iter_mut().map(|gateway| gateway.wait_for_good_end().unwrap()).collect()
    }

    /// The route's name is what an upgrade changes.
    fn configuration(&self, route: &str) -> String {
        let Self { endpoint, index, .. } = self;
        let journal = if self.is_durable {
            "acknowledge: durable\njournal: {path: \"{dir}/journal\", max_bytes: 64MiB, segment_bytes: 4MiB}\n"
        } else {
            ""
        };
        let (age, door, deadline) = (CONNECTION_AGE.as_secs(), DOOR_OPEN.as_secs(), DEADLINE.as_secs());
        format!(
            r#"
receivers:
  otlp:
    grpc: {{listen: "127.0.0.1:{{otlp_grpc}}", connections: {{max_age: {age}s, grace: 10s}}}}
sinks:
  es: {{type: elasticsearch, endpoints: ["{endpoint}"]}}
routes:
- {{name: {route}, to: [es], index: {index}}}
dead_letters: {{path: "{{dir}}/letters"}}
admin: {{listen: "127.0.0.1:{{admin}}"}}
drain: {{door_open: {door}s, deadline: {deadline}s}}
{journal}"#
        )
    }
}

/// What the kubelet would find. A probe that nobody answers has failed as well.
fn is_ready(gateway: &Gateway) -> bool {
    ureq::get(gateway.admin_url("/readyz")).call().is_ok()
}
