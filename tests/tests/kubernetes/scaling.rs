//! The autoscaler and the disruption budget, as a real control plane reads them.

use crate::cluster::{
    Namespace, RELEASE, RESERVED_LABEL, RESERVED_NODE, SETTLE_TIMEOUT, refusal, shared, with_input,
};
use anyhow::{Context, Result, ensure};
use forebay_tests::{process, wait_until};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// The autoscaler may double within this.
const DOUBLING: Duration = Duration::from_secs(30);
/// The autoscaler may let one pod go within this, in the place of a minute.
const FORGETTING: Duration = Duration::from_secs(20);
/// How much later than something happened we may have noticed it.
const NOTICED: Duration = Duration::from_secs(4);

/// Tells what every pod is using, as metrics-server would.
fn set_use(namespace: &Namespace, cpu: &str) -> Result<()> {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string();
    let pods = namespace.all("pods")?.into_iter();
    let metrics: Vec<Value> = pods
        .map(|(name, pod)| {
            json!({
                "apiVersion": "metrics.k8s.io/v1beta1",
                "kind": "PodMetrics",
                "metadata": {"name": name, "labels": pod["metadata"]["labels"]},
                "timestamp": now,
                "window": "1s",
                "containers": [{"name": "forebay", "usage": {"cpu": cpu, "memory": "100Mi"}}],
            })
        })
        .collect();
    namespace.apply(&json!({"apiVersion": "v1", "kind": "List", "items": metrics}).to_string())
}

/// How many pods the autoscaler has asked for, and the reason of one of its conditions.
fn wanted(namespace: &Namespace, condition: &str) -> Result<(u64, String)> {
    let deployment = namespace.get(&["deployment", RELEASE])?;
    let autoscaler = namespace.get(&["horizontalpodautoscaler", RELEASE])?;
    let conditions = autoscaler["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|it| it["type"] == condition));
    let reason = found.and_then(|it| it["reason"].as_str()).unwrap_or_default().to_owned();
    Ok((deployment["spec"]["replicas"].as_u64().context("no replicas")?, reason))
}

/// Reports a use of so much CPU until the autoscaler has gone from `from` pods to `to`, and nowhere else, with this reason.
fn use_until(namespace: &Namespace, cpu: &str, (from, to): (u64, u64), (condition, expected): (&str, &str)) {
    wait_until(&format!("{to} pods, {expected}"), SETTLE_TIMEOUT, || {
        set_use(namespace, cpu)?;
        let (replicas, reason) = wanted(namespace, condition)?;
        ensure!(replicas == from || replicas == to, "{replicas} pods instead of {to}: {reason}");
        Ok((replicas == to && reason == expected).then_some(()))
    })
    .unwrap();
}

#[test]
fn the_autoscaler_doubles_quickly_and_goes_back_slowly() {
    let namespace = Namespace::new(shared(), "scaling").unwrap();
    // Begins with the one pod of a new Deployment: what an autoscaler adds to reach its least number counts as growth, too.
    let least = "autoscaling.minReplicas=1";
    process::run(&mut namespace.upgrade(&[], &[least])).unwrap();
    namespace.wait_for_pods(1).unwrap();
    let autoscaler = namespace.get(&["horizontalpodautoscaler", RELEASE]).unwrap();
    let asked = json!({
        "scaleUp": {
            "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 30}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 300, "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    });
    assert_eq!(autoscaler["spec"]["behavior"], asked);

    // Three times the CPU that is aimed at asks for three pods, and more than one new one for each old one is not allowed.
    use_until(&namespace, "2100m", (1, 2), ("ScalingLimited", "ScaleUpLimit"));
    let doubled = Instant::now();
    namespace.wait_for_pods(2).unwrap();
    use_until(&namespace, "2100m", (2, 4), ("ScalingLimited", "ScaleUpLimit"));
    assert!(doubled.elapsed() + NOTICED > DOUBLING, "doubled twice within {:?}", doubled.elapsed());
    let grown = Instant::now();

    // Idle pods stay for five minutes.
    namespace.wait_for_pods(4).unwrap();
    use_until(&namespace, "50m", (4, 4), ("AbleToScale", "ScaleDownStabilized"));
    // Without that wait they go one by one. The upgrade leaves their number to the autoscaler, and the pods are busy until it forgets
    // that it has just made them, which would let as many go at once.
    set_use(&namespace, "700m").unwrap();
    let down = "autoscaling.behavior.scaleDown";
    let (window, kind) =
        (format!("{down}.stabilizationWindowSeconds=0"), format!("{down}.policies[0].type=Pods"));
    let count = format!("{down}.policies[0].value=1");
    let period = format!("{down}.policies[0].periodSeconds={}", FORGETTING.as_secs());
    process::run(&mut namespace.upgrade(&[], &[least, &window, &kind, &count, &period])).unwrap();
    std::thread::sleep((FORGETTING + NOTICED).saturating_sub(grown.elapsed()));
    assert_eq!(wanted(&namespace, "ScalingLimited").unwrap().0, 4);
    use_until(&namespace, "50m", (4, 3), ("ScalingLimited", "ScaleDownLimit"));
    namespace.wait_for_pods(3).unwrap();
    assert_eq!(wanted(&namespace, "ScalingLimited").unwrap().0, 3);
}

fn evict(namespace: &Namespace, pod: &str) -> Command {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace.name},
    });
    let address = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", namespace.name);
    let mut command = namespace.kubectl(&["create", "--raw", &address, "-f", "-"]);
    with_input(&mut command, &eviction.to_string()).unwrap();
    command
}

#[test]
fn the_disruption_budget_lets_one_pod_go_at_a_time() {
    let namespace = Namespace::new(shared(), "disruption").unwrap();
    let place = format!("nodeSelector.{RESERVED_LABEL}=yes");
    process::run(&mut namespace.upgrade(&[], &[&place])).unwrap();
    let pods = namespace.wait_for_pods(2).unwrap();
    let [first, second] = &pods.keys().collect::<Vec<_>>()[..] else { panic!("{pods:?}") };
    wait_until("a budget of one pod", SETTLE_TIMEOUT, || {
        let budget = namespace.get(&["poddisruptionbudget", RELEASE])?;
        Ok((budget["status"]["disruptionsAllowed"] == 1).then_some(()))
    })
    .unwrap();

    // As in the drain of a node: nothing new is placed on it.
    process::run(shared().kubectl().args(["cordon", RESERVED_NODE])).unwrap();
    process::run(&mut evict(&namespace, first)).unwrap();
    let said = refusal(&mut evict(&namespace, second));
    assert!(said.contains("TooManyRequests") && said.contains("disruption budget"), "{said}");
    process::run(shared().kubectl().args(["uncordon", RESERVED_NODE])).unwrap();
    namespace.wait_for_pods(2).unwrap();
    // The budget follows the pods by a moment.
    wait_until("the second eviction", SETTLE_TIMEOUT, || {
        Ok(evict(&namespace, second).output()?.status.success().then_some(()))
    })
    .unwrap();
}
