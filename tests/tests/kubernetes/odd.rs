//! Values that are odd and legal: what they make has the fields of its types, the gateway takes the configuration, and the API server takes
//! the objects.

use crate::admission::DRY;
use crate::cluster::{Namespace, is_true, run_with_input, shared};
use crate::manifests::{check, configurations, kubeconform};
use crate::render::{Rendered, chart, release, told};
use forebay_tests::process;
use serde_json::{Value, json};
use std::fs;

struct Odd {
    release: &'static str,
    values: &'static str,
    /// What must be in the manifests, and what must not.
    has: &'static [&'static str],
    lacks: &'static [&'static str],
}

const fn odd(
    release: &'static str,
    values: &'static str,
    has: &'static [&'static str],
    lacks: &'static [&'static str],
) -> Odd {
    Odd { release, values, has, lacks }
}

/// As long as Helm lets a name be. A StatefulSet adds to it, and so do labels.
const LONGEST: &str = "a-name-as-long-as-helm-lets-the-name-of-a-release-be1";

const ALL: [Odd; 20] = [
    odd(LONGEST, "mode: durable", &["name: a-name-as-long"], &[]),
    odd("1st.release", "{}", &["  name: forebay-1st-release-forebay\n"], &["name: 1st"]),
    odd("forebay", "{nameOverride: gate, mode: durable}", &["app.kubernetes.io/name: \"gate\"\n"], &[]),
    // Names that look like something else.
    odd("4711", "networkPolicy: {enabled: true}", &["instance: \"4711\"\n"], &["instance: 4711"]),
    odd("forebay", "nameOverride: 'on'", &["name: \"on\"\n"], &["io/name: on"]),
    // Users that OpenShift hands out. As a number with a point they would be refused.
    odd(
        "forebay",
        "{runAsUser: 1000650000, runAsGroup: 1000650000, fsGroup: 1000650000}",
        &["runAsUser: 1000650000", "fsGroup: 1000650000"],
        &["65532"],
    ),
    odd("forebay", "{runAsUser: null, runAsGroup: null, fsGroup: null}", &[], &["runAsUser", "fsGroup:"]),
    odd(
        "forebay",
        "{listenAddress: '::', service: {ipFamilyPolicy: PreferDualStack}}",
        &["'[::]:4317'", "'[::]:9600'", "ipFamilyPolicy: PreferDualStack"],
        &["0.0.0.0"],
    ),
    odd(
        "forebay",
        "{commonLabels: {team: a, cost: '4711'}, podLabels: {team: b}, podAnnotations: {checksum/config: x}, \
         serviceMonitor: {enabled: true, labels: {team: c}}, dashboard: {enabled: true, labels: {team: d}}}",
        &["team: a\n", "team: b\n", "team: c\n", "team: d\n", "cost: \"4711\""],
        &["checksum/config: x"],
    ),
    odd(
        "forebay",
        "ingress: {enabled: true, className: '', grpc: {annotations: null}}",
        &["kind: Ingress"],
        &["ingressClassName"],
    ),
    odd("forebay", "resources: {limits: {cpu: null}}", &["memory: 1Gi"], &["cpu: \"2\""]),
    odd(
        "forebay",
        "{mode: durable, replicas: 1, autoscaling: {enabled: false}, durable: {volume: {storageClass: '-'}}}",
        &["storageClassName: \"\"", "replicas: 1\n"],
        &[],
    ),
    odd("forebay", "{replicas: 0, autoscaling: {enabled: false}}", &["replicas: 0\n"], &[]),
    odd(
        "forebay",
        "{podDisruptionBudget: {maxUnavailable: 50%}, strategy: {maxSurge: 0, maxUnavailable: 25%}}",
        &["maxUnavailable: 50%", "maxSurge: 0\n"],
        &[],
    ),
    // Nobody may do anything.
    odd(
        "forebay",
        "{tests: {enabled: false}, \
         networkPolicy: {enabled: true, clients: [], agents: [], monitoring: [], dns: [], sinks: []}}",
        &["policyTypes: [Ingress, Egress]"],
        &["- to:", "- from:"],
    ),
    // What empties a list or a map of the defaults.
    odd(
        "forebay",
        "{podAnnotations: null, config: null, elasticsearch: {settings: null}, networkPolicy: {enabled: true, clients: null, agents: null}}",
        &["policyTypes: [Ingress, Egress]"],
        &["{port: 4317, protocol: TCP}"],
    ),
    // Without credentials, from a registry with a port, on nodes of its own.
    odd(
        "forebay",
        "{elasticsearch: {credentials: {secret: ''}}, image: {registry: 'registry.example:5000/a', pullSecrets: [one, two]}, \
         nodeSelector: {pool: telemetry}, tolerations: [{operator: Exists}], service: {type: NodePort}}",
        &["image: \"registry.example:5000/a/forebay:", "- name: two"],
        &["ES_USERNAME"],
    ),
    odd(
        "forebay",
        "{elasticsearch: {credentials: {secret: mine, type: api_key}}, extraEnv: [{name: REGION, value: 'true'}]}",
        &["name: mine, key: api_key", "value: \"true\""],
        &["ES_PASSWORD"],
    ),
    // As `helm upgrade --reuse-values` leaves them, of a chart that did not have them.
    odd(
        "forebay",
        "{listenAddress: null, service: {ipFamilyPolicy: null}, networkPolicy: {enabled: true, dnsPorts: null}}",
        &["0.0.0.0:4317", "{port: 53, protocol: UDP}"],
        &["ipFamilyPolicy"],
    ),
    odd(
        "forebay",
        "{antiAffinity: none, topologySpread: [], priorityClassName: system-cluster-critical, serviceAccount: {create: false}}",
        &["serviceAccountName: default"],
        &["topologySpreadConstraints", "kind: ServiceAccount"],
    ),
];

fn render(odd: &Odd) -> Rendered {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    fs::write(&file, odd.values).unwrap();
    Rendered { of: format!("{}, {}", odd.release, odd.values), ..release(odd.release, &file, &[]) }
}

#[test]
fn odd_values_make_what_is_asked_for() {
    for odd in &ALL {
        let rendered = render(odd);
        for text in odd.has {
            assert!(rendered.text.contains(text), "{}: no {text:?} in {}", rendered.of, rendered.text);
        }
        for text in odd.lacks {
            assert!(!rendered.text.contains(text), "{}: {text:?} in {}", rendered.of, rendered.text);
        }
        let (output, _) = kubeconform(&rendered.text);
        assert!(output.status.success(), "{}: {}", rendered.of, told(&output));
        configurations(&rendered).for_each(|text| check(&rendered.of, text));
    }
}

#[test]
fn odd_values_are_let_in() {
    let cluster = shared();
    let namespace = Namespace::new(cluster, "odd").unwrap();
    cluster.define_monitors().unwrap();
    for odd in &ALL {
        let rendered = render(odd);
        run_with_input(&mut namespace.kubectl(&DRY), &rendered.text)
            .unwrap_or_else(|error| panic!("{}: {error:#}", rendered.of));
    }
}

/// What controllers make of a long name, its pods and their claims, is let in as well.
#[test]
fn a_release_of_the_longest_name_is_installed() {
    let namespace = Namespace::new(shared(), "odd-name").unwrap();
    namespace.make_volumes(2, "", "20Gi").unwrap();
    let mut helm = namespace.helm(&["upgrade", "--install", LONGEST]);
    process::run(helm.arg(chart()).args([
        "--set",
        "mode=durable,autoscaling.enabled=false",
        "--wait",
        "--timeout",
        "90s",
    ]))
    .unwrap();
    let ready = |pod: &Value| is_true(&pod["status"], "Ready");
    let pods = namespace.get(&["pods"]).unwrap();
    let pods = pods["items"].as_array().unwrap();
    assert!(pods.len() == 2 && pods.iter().all(ready), "{pods:?}");
}

/// Where names may be resolved, by the gateways and by the pod of `helm test`.
#[test]
fn names_are_resolved_where_the_cluster_does_it() {
    let of = |values: &'static str| {
        let rendered = render(&odd("forebay", values, &[], &[]));
        let mut policies = rendered.objects.into_iter().filter(|object| object["kind"] == "NetworkPolicy");
        let [gateway, test] = [policies.next().unwrap(), policies.next().unwrap()];
        assert_eq!(gateway["spec"]["egress"][0], test["spec"]["egress"][0]);
        gateway["spec"]["egress"][0].clone()
    };
    let both = |port: u16| json!([{"port": port, "protocol": "UDP"}, {"port": port, "protocol": "TCP"}]);
    let system =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}});
    let usual = of("networkPolicy: {enabled: true}");
    assert_eq!(usual, json!({"to": [system], "ports": both(53)}));

    let local = json!({"ipBlock": {"cidr": "169.254.20.10/32"}});
    let node_local = of("networkPolicy: {enabled: true, dns: [\
         {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}, {ipBlock: {cidr: 169.254.20.10/32}}]}");
    assert_eq!(node_local, json!({"to": [system, local], "ports": both(53)}));

    let openshift = of("networkPolicy: {enabled: true, dnsPorts: [5353], \
         dns: [{namespaceSelector: {}, podSelector: {matchLabels: {dns.operator.openshift.io/daemonset-dns: default}}}]}");
    assert_eq!(openshift["ports"], both(5353));
    assert_eq!(openshift["to"][0]["namespaceSelector"], Value::from(serde_json::Map::new()));
}
