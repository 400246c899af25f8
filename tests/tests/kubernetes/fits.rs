//! The objects of one rendering fit each other: what one names, another is. No schema can see that.

use crate::render::{Rendered, everything, name};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A rendering, and what was looked at in it.
struct Look<'r> {
    of: &'r str,
    objects: &'r [Value],
    workload: &'r Value,
    seen: BTreeSet<&'static str>,
}

impl<'r> Look<'r> {
    fn at(rendered: &'r Rendered) -> Self {
        let is_workload = |object: &&Value| object["spec"]["template"].is_object();
        let workload = rendered.objects.iter().find(is_workload).unwrap();
        Self { of: &rendered.of, objects: &rendered.objects, workload, seen: BTreeSet::new() }
    }

    fn kind(&self, kind: &'static str) -> impl Iterator<Item = &'r Value> + use<'r> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    fn holds(&mut self, what: &'static str, is_so: bool, object: &Value) {
        assert!(is_so, "{}: {what}: {}", self.of, name(object));
        self.seen.insert(what);
    }

    fn is_made(&self, kind: &'static str, wanted: &Value) -> bool {
        self.kind(kind).any(|object| object["metadata"]["name"] == *wanted)
    }

    fn pod(&self) -> &'r Value {
        &self.workload["spec"]["template"]
    }

    fn container(&self) -> &'r Value {
        &self.pod()["spec"]["containers"][0]
    }

    /// Whether a Service of this name has a port of this name.
    fn has_port(&self, service: &Value, port: &Value) -> bool {
        let mut named = self.kind("Service").filter(|it| it["metadata"]["name"] == *service);
        named.any(|it| it["spec"]["ports"].as_array().unwrap().iter().any(|own| own["name"] == *port))
    }

    fn workload(&mut self) {
        let (workload, pod) = (self.workload, self.pod());
        self.holds("it selects its pods", selects(&workload["spec"]["selector"], pod), workload);
        if workload["kind"] == "StatefulSet" {
            let service = self.is_made("Service", &workload["spec"]["serviceName"]);
            self.holds("its Service is there", service, workload);
        }
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            // The authority is the user's.
            if volume["name"] == "config" {
                let map = self.is_made("ConfigMap", &volume["configMap"]["name"]);
                self.holds("its configuration is there", map, workload);
            }
        }
        let mut mounts = self.container()["volumeMounts"].as_array().unwrap().iter();
        let is_volume = |name: &Value| {
            let all = [&pod["spec"]["volumes"], &workload["spec"]["volumeClaimTemplates"]];
            let mut all = all.into_iter().filter_map(Value::as_array).flatten();
            all.any(|volume| volume["name"] == *name || volume["metadata"]["name"] == *name)
        };
        let all = mounts.all(|mount| is_volume(&mount["name"]));
        self.holds("what it mounts is a volume", all, workload);
    }

    fn services(&mut self) {
        let ports = self.container()["ports"].as_array().unwrap();
        for service in self.kind("Service") {
            let selector = service["spec"]["selector"].as_object();
            self.holds("it has the pods", matches(selector, self.pod()), service);
            for port in service["spec"]["ports"].as_array().unwrap() {
                let target = ports.iter().find(|own| own["name"] == port["targetPort"]);
                let is_so = target.is_some_and(|own| own["containerPort"] == port["port"]);
                self.holds("its port is the container's", is_so, service);
            }
        }
        for ingress in self.kind("Ingress") {
            for path in ingress["spec"]["rules"][0]["http"]["paths"].as_array().unwrap() {
                let backend = &path["backend"]["service"];
                let is_so = self.has_port(&backend["name"], &backend["port"]["name"]);
                self.holds("it leads to a port", is_so, ingress);
            }
        }
        for monitor in self.kind("ServiceMonitor") {
            let port = &monitor["spec"]["endpoints"][0]["port"];
            let services = self.kind("Service").filter(|it| selects(&monitor["spec"]["selector"], it));
            let scraped = services.filter(|it| self.has_port(&it["metadata"]["name"], port)).count();
            self.holds("it scrapes every pod once", scraped == 1, monitor);
        }
    }

    fn guards(&mut self) {
        for scaler in self.kind("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            let is_so = target["kind"] == self.workload["kind"]
                && target["name"] == self.workload["metadata"]["name"]
                && target["apiVersion"] == self.workload["apiVersion"];
            self.holds("it scales the pods", is_so, scaler);
            let nobody_else = self.workload["spec"].get("replicas").is_none();
            self.holds("nobody else sets the replicas", nobody_else, scaler);
        }
        for budget in self.kind("PodDisruptionBudget") {
            self.holds("it guards the pods", selects(&budget["spec"]["selector"], self.pod()), budget);
        }
        let own = &self.workload["metadata"]["name"];
        for policy in self.kind("NetworkPolicy").filter(|it| it["metadata"]["name"] == *own) {
            self.holds("it is about the pods", selects(&policy["spec"]["podSelector"], self.pod()), policy);
        }
        for test in self.kind("Pod") {
            let services = self.kind("Service").map(|it| it["spec"]["selector"].as_object());
            let behind = services.filter(|selector| matches(*selector, test)).count();
            self.holds("the test is behind no Service", behind == 0, test);
        }
    }
}

/// Whether a selector (`matchLabels`) takes an object, or the pods of a template.
fn selects(selector: &Value, object: &Value) -> bool {
    matches(selector["matchLabels"].as_object(), object)
}

fn matches(wanted: Option<&Map<String, Value>>, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    wanted.is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(label, value)| labels[label] == *value)
    })
}

#[test]
fn what_one_object_names_another_is() {
    let mut seen = BTreeSet::new();
    for rendered in everything() {
        let mut look = Look::at(&rendered);
        look.workload();
        look.services();
        look.guards();
        seen.extend(look.seen);
    }
    assert_eq!(seen.len(), 13, "what was looked at: {seen:#?}");
}
