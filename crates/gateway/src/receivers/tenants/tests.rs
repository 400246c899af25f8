#![allow(clippy::unwrap_used)]

use super::super::caller::Proof;
use super::*;
use http::HeaderValue;

fn config(text: &str) -> TenantsConfig {
    let config: TenantsConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.faults(), []);
    config
}

fn tenants(text: &str) -> Tenants {
    let tenants = Tenants::default();
    tenants.adopt(Some(&config(text)));
    tenants
}

/// The name of the tenant of somebody with this secret, header and address; `-` for none.
fn name(tenants: &Tenants, secret: &str, header: &str, address: &str) -> String {
    let identity = (secret != "-").then(|| Identity { proof: Proof::Token, name: secret.to_owned() });
    let mut headers = HeaderMap::new();
    if header != "-" {
        headers.insert("x-scope-orgid", HeaderValue::from_str(header).unwrap());
    }
    let sender =
        Sender { headers: Some(&headers), identity: identity.as_ref(), address: address.parse().ok() };
    tenants.of(&sender).unwrap().name.to_string()
}

#[test]
fn the_first_source_that_says_something_decides() {
    let text = r#"{"named":[{"name":"office","addresses":["10.0.0.0/8"]}]}"#;
    let tenants = tenants(text);
    let cases = [
        ("agents", "acme", "10.0.0.1", "agents"),
        ("-", "acme", "10.0.0.1", "acme"),
        ("-", "-", "10.0.0.1", "office"),
        ("-", " ", "10.0.0.1", "office"),
        ("-", "-", "11.0.0.1", "default"),
        ("-", "-", "-", "default"),
        ("-", "two words", "10.0.0.1", "overflow"),
    ];
    for (secret, header, address, expected) in cases {
        assert_eq!(name(&tenants, secret, header, address), expected, "{secret} {header} {address}");
    }
}

#[test]
fn a_header_is_believed_only_of_those_who_may_send_for_others() {
    for from in [r#"["token","header"]"#, r#"["header","token"]"#] {
        let tenants = tenants(&format!(r#"{{"from":{from},"trust":["proxy"]}}"#));
        assert_eq!(name(&tenants, "agents", "acme", "-"), "agents", "{from}");
        assert_eq!(name(&tenants, "proxy", "acme", "-"), "acme", "{from}");
        assert_eq!(name(&tenants, "proxy", "-", "-"), "proxy", "{from}");
        assert_eq!(name(&tenants, "-", "acme", "-"), "acme", "{from}");
    }
    let by_header = tenants(r#"{"from":["header"]}"#);
    assert_eq!(name(&by_header, "agents", "acme", "-"), "acme", "secrets were not asked for");
}

#[test]
fn names_beyond_the_bound_share_one_tenant_and_named_ones_never_do() {
    let tenants = tenants(r#"{"max_tenants":2,"named":[{"name":"acme"}]}"#);
    for number in 0..1_000 {
        let own = format!("t{number}");
        let expected = if number < 2 { own.as_str() } else { "overflow" };
        assert_eq!(name(&tenants, "-", &own, "-"), expected);
    }
    assert_eq!(name(&tenants, "-", "acme", "-"), "acme");
    assert_eq!(name(&tenants, "-", "t1", "-"), "t1");
    let all: Vec<String> = tenants.all().iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(all, ["acme", "default", "overflow", "t0", "t1"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_quotas_and_keeps_debts() {
    let tenants = tenants(r#"{"quota":{"events_per_second":10,"burst":"1s"}}"#);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-scope-orgid"), "acme".parse().unwrap())]);
    let sender = Sender { headers: Some(&headers), ..Sender::default() };
    let acme = tenants.of(&sender).unwrap();
    acme.charge_records(110);
    let wait = || tenants.of(&sender).unwrap().wait().map(|wait| wait.as_secs());
    assert_eq!(wait(), Some(10));
    tenants.adopt(Some(&config(r#"{"named":[{"name":"acme","quota":{"events_per_second":20}}]}"#)));
    assert_eq!(wait(), Some(5));
    tenants.adopt(Some(&config(r#"{"named":[{"name":"acme","quota":{"events_per_second":100}}]}"#)));
    assert_eq!(wait(), Some(1));
    tenants.adopt(None);
    assert!(tenants.of(&sender).is_none());
    assert_eq!(acme.wait(), None, "what serves its connection still has it");
}
