//! A namespace of a test's own, and a release of Forebay in it.

use super::{Cluster, is_true, json, run_with_input};
use crate::render::chart;
use anyhow::{Context, Result};
use forebay_tests::wait_until;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The release's name in every namespace.
pub const RELEASE: &str = "forebay";

/// Labels that all gateways have, and nothing else.
pub const GATEWAYS: &str = "app.kubernetes.io/instance=forebay,app.kubernetes.io/component=gateway";

/// Until the cluster has done what it was told. Nothing has to start, so this takes seconds.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub struct Namespace {
    pub cluster: &'static Cluster,
    pub name: &'static str,
}

impl Namespace {
    /// A new one, which enforces Pod Security `restricted`.
    pub fn new(cluster: &'static Cluster, name: &'static str) -> Result<Self> {
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        });
        cluster.apply(&manifest.to_string())?;
        let namespace = Self { cluster, name };
        // Pods that name no account get this one, and are refused until a controller has made it.
        wait_until("the default account", SETTLE_TIMEOUT, || {
            let account = namespace.kubectl(&["get", "serviceaccount", "default"]).output()?;
            Ok(account.status.success().then_some(()))
        })?;
        Ok(namespace)
    }

    /// `kubectl` in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Command {
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(["--namespace", self.name]).args(args);
        kubectl
    }

    /// `helm` in this namespace.
    pub fn helm(&self, args: &[&str]) -> Command {
        let mut helm = self.cluster.helm();
        helm.args(["--namespace", self.name]).args(args);
        helm
    }

    /// `helm upgrade --install` of the chart with some of its own sets of values; it waits until all is there.
    pub fn upgrade(&self, values: &[&str], settings: &[&str]) -> Command {
        let mut helm = self.helm(&["upgrade", "--install", RELEASE]);
        helm.arg(chart()).args(["--wait", "--timeout", "90s"]);
        for name in values {
            helm.arg("--values").arg(value_set(name));
        }
        for setting in settings {
            helm.args(["--set", setting]);
        }
        helm
    }

    /// Applies a manifest without a namespace of its own.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        run_with_input(&mut self.kubectl(&["apply", "-f", "-"]), manifest).map(drop)
    }

    /// `kubectl get <args> -o json`.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        json(self.kubectl(&["get"]).args(args).args(["-o", "json"]))
    }

    /// Everything of one kind that belongs to the gateways, by name.
    pub fn all(&self, kind: &str) -> Result<BTreeMap<String, Value>> {
        let list = self.get(&[kind, "--selector", GATEWAYS])?;
        let items = list["items"].as_array().with_context(|| format!("no list of {kind}"))?;
        Ok(items.iter().map(|item| (text(&item["metadata"]["name"]), item.clone())).collect())
    }

    /// Names of the pods that are ready and not about to go, with their identities.
    pub fn ready_pods(&self) -> Result<BTreeMap<String, String>> {
        let stays = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
        let ready = |pod: &Value| is_true(&pod["status"], "Ready") && stays(pod);
        let pods = self.all("pods")?.into_iter().filter(|(_, pod)| ready(pod));
        Ok(pods.map(|(name, pod)| (name, text(&pod["metadata"]["uid"]))).collect())
    }

    /// Waits until exactly this many pods are there, all ready.
    pub fn wait_for_pods(&self, count: usize) -> Result<BTreeMap<String, String>> {
        wait_until(&format!("{count} ready pods in {}", self.name), SETTLE_TIMEOUT, || {
            let ready = self.ready_pods()?;
            let steady = ready.len() == count && self.all("pods")?.len() == count;
            Ok(steady.then_some(ready))
        })
    }

    /// Images of the gateways' pods.
    pub fn images(&self) -> Result<Vec<String>> {
        let pods = self.all("pods")?.into_values();
        Ok(pods.map(|pod| text(&pod["spec"]["containers"][0]["image"])).collect())
    }

    /// Volumes for the claims of StatefulSets, since nothing in this cluster makes any. Nothing is ever written to them.
    pub fn make_volumes(&self, count: usize, class: &str, size: &str) -> Result<()> {
        let volumes: Vec<Value> = (0..count)
            .map(|number| {
                json!({
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": format!("{}-{number}", self.name)},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "capacity": {"storage": size},
                        "storageClassName": class,
                        "hostPath": {"path": "/nonexistent"},
                    },
                })
            })
            .collect();
        self.cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": volumes}).to_string())
    }
}

/// A set of values that the chart brings along: `prod` for `ci/prod-values.yaml`.
pub fn value_set(name: &str) -> PathBuf {
    chart().join(format!("ci/{name}-values.yaml"))
}

/// A text of an object; it is there, or the test fails.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
