//! The metrics page, by Prometheus' own tool.

use crate::cluster::{GATEWAY, with_input};
use crate::render::{told, tool};
use forebay_tests::Gateway;
use forebay_tests::tools::Tool;

fn check(page: &str) -> (bool, String) {
    let mut promtool = tool(Tool::Promtool);
    let output = with_input(promtool.args(["check", "metrics"]), page).unwrap().output().unwrap();
    (output.status.success(), told(&output))
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let journal = "acknowledge: durable\njournal: {path: \"{dir}/journal\"}\n";
    let gateway = Gateway::start(&format!("{GATEWAY}{journal}")).unwrap();
    let page = ureq::get(gateway.admin_url("/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let (is_good, said) = check(&page);
    assert!(is_good, "{said}");
    // It would have found a gauge that is called a counter.
    let total = "forebay_process_cpu_seconds_total";
    let wrong = page.replace(&format!("# TYPE {total} counter"), &format!("# TYPE {total} gauge"));
    let (is_good, said) = check(&wrong);
    assert!(!is_good && said.contains(total), "{said}");
}
