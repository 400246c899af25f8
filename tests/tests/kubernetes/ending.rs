//! How long a pod may take to end.

use crate::cluster::{Namespace, text};
use forebay_tests::yaml;

/// Every gateway is given longer to end than its own configuration lets it drain; else it would be killed while it delivers.
pub fn waits_for_the_drain(namespace: &Namespace) {
    let pods = namespace.all("pods").unwrap();
    assert!(!pods.is_empty());
    for pod in pods.values() {
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let config = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
        let config = namespace.get(&["configmap", &text(&config["configMap"]["name"])]).unwrap();
        let config = yaml::documents(&text(&config["data"]["forebay.yaml"])).unwrap().remove(0);
        let seconds = |setting: &str| -> u64 {
            text(&config["drain"][setting]).strip_suffix('s').unwrap().parse().unwrap()
        };
        let given = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let needed = seconds("door_open") + seconds("deadline");
        assert!(given > needed && needed > 0, "{given} s for a drain of {needed} s");
    }
}
