//! The settings of tenants, and what is wrong with them.

use super::network::Network;
use super::{LONGEST_NAME_BYTES, is_name};
use forebay_pipeline::tenant::Quota;
use forebay_pipeline::units::{ByteSize, Period};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose records they are, and how fast each tenant may send. A tenant is recognised by all receivers alike and has one quota for all of them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantsConfig {
    /// What tells the tenant's name. The first of these that says something decides.
    pub from: Vec<Source>,
    /// The header that `header` looks at, in HTTP and gRPC.
    pub header: String,
    /// Names of certificates and secrets that send for others, such as those of a proxy: their header is believed. Of all others who have
    /// shown who they are the header is not looked at, as long as `from` has `token`.
    pub trust: Vec<String>,
    /// The tenant of those about whom nothing in `from` says anything.
    pub default: String,
    /// The tenant that all names share for which there is no room, or that are no names.
    pub overflow: String,
    /// For each tenant that has no quota of its own. Default: none, and tenants are counted only.
    pub quota: QuotaConfig,
    /// Tenants that have addresses or a quota of their own. A name that is not here may still be told by a secret or a header.
    pub named: Vec<NamedTenant>,
    /// How many tenants there may be beside those that are named here. A name that comes later goes to `overflow`. With 0 only
    /// the names of this section count. Keep it low where clients choose the header freely: each new name is a new quota.
    #[schemars(range(max = 10_000))]
    pub max_tenants: u32,
}

/// What tells a tenant's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The name of the certificate or of the secret that the client shows.
    Token,
    /// The header.
    Header,
    /// The address that the connection comes from, by `addresses`. Behind a proxy that is the proxy's.
    Address,
}

/// How fast a tenant may send. Who sends faster is told to come back later, in the protocol's way; nothing is dropped.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaConfig {
    /// Records per second. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<u64>,
    /// Bytes of request bodies per second, not compressed. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// For so long at these rates a tenant may send at once that has been silent. A request is taken whole even if it is larger; the next
    /// one then waits until the time has paid for it.
    pub burst: Period,
}

/// One tenant.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedTenant {
    /// Its name, as a secret, a header or a metric says it.
    pub name: String,
    /// Where it sends from: addresses and networks, such as `10.1.0.0/16` or `2001:db8::/32`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Its own quota. Default: that of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaConfig>,
}

impl Default for TenantsConfig {
    fn default() -> Self {
        Self {
            from: vec![Source::Token, Source::Header, Source::Address],
            header: "X-Scope-OrgID".to_owned(),
            trust: Vec::new(),
            default: "default".to_owned(),
            overflow: "overflow".to_owned(),
            quota: QuotaConfig::default(),
            named: Vec::new(),
            max_tenants: 100,
        }
    }
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self { events_per_second: None, bytes_per_second: None, burst: Period::secs(2) }
    }
}

impl QuotaConfig {
    pub fn quota(&self) -> Quota {
        Quota {
            events_per_second: self.events_per_second,
            bytes_per_second: self.bytes_per_second.map(|size| size.0),
            burst: self.burst.0,
        }
    }

    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let zero =
            "with 0 nothing could ever be sent: leave it out for any number, or refuse the tenant by `auth`";
        let mut faults = Vec::new();
        if self.events_per_second == Some(0) {
            faults.push(("events_per_second", zero));
        }
        if self.bytes_per_second == Some(ByteSize(0)) {
            faults.push(("bytes_per_second", zero));
        }
        if self.burst.0.is_zero() {
            faults.push(("burst", "with no time to save for, every request would be one too many"));
        }
        faults
    }
}

impl TenantsConfig {
    /// What a schema cannot say: each fault with the path of its setting, seen from here.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: String, why: &str| faults.push((path, why.to_owned()));
        for (i, source) in self.from.iter().enumerate() {
            if self.from[..i].contains(source) {
                fault(format!("from[{i}]"), "is there twice");
            }
        }
        match HeaderName::try_from(&self.header) {
            Ok(AUTHORIZATION | COOKIE) => {
                fault("header".to_owned(), "holds secrets, and metrics would show them");
            }
            Ok(_) => {}
            Err(_) => fault("header".to_owned(), "is no name of a header"),
        }
        let has = |source| self.from.contains(&source);
        let can_trust = has(Source::Token) && has(Source::Header);
        if !can_trust && !self.trust.is_empty() {
            fault("trust".to_owned(), "means nothing unless `from` has `token` and `header`");
        }
        for (path, name) in [("default", &self.default), ("overflow", &self.overflow)] {
            if !is_name(name) {
                fault(path.to_owned(), &no_name());
            }
        }
        if self.default == self.overflow {
            fault("overflow".to_owned(), "is the name of `default` as well");
        }
        self.quota.faults().into_iter().for_each(|(field, why)| fault(format!("quota.{field}"), why));
        for (i, tenant) in self.named.iter().enumerate() {
            if !is_name(&tenant.name) {
                fault(format!("named[{i}].name"), &no_name());
            }
            if self.named[..i].iter().any(|earlier| earlier.name == tenant.name) {
                fault(format!("named[{i}].name"), "another tenant has this name already");
            }
            let own = tenant.quota.iter().flat_map(QuotaConfig::faults);
            own.for_each(|(field, why)| fault(format!("named[{i}].quota.{field}"), why));
        }
        faults.extend(self.address_faults());
        faults
    }

    fn address_faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut earlier: Vec<(Network, &str)> = Vec::new();
        for (i, tenant) in self.named.iter().enumerate() {
            for (j, text) in tenant.addresses.iter().enumerate() {
                let path = format!("named[{i}].addresses[{j}]");
                match Network::parse(text) {
                    Err(why) => faults.push((path, format!("`{text}` {why}"))),
                    Ok(network) => {
                        if let Some((_, other)) = earlier.iter().find(|(other, _)| other.overlaps(&network)) {
                            faults.push((path, format!("`{text}` overlaps with `{other}`")));
                        }
                        earlier.push((network, text));
                    }
                }
            }
            if !tenant.addresses.is_empty() && !self.from.contains(&Source::Address) {
                let why = "means nothing unless `from` has `address`".to_owned();
                faults.push((format!("named[{i}].addresses"), why));
            }
        }
        faults
    }
}

fn no_name() -> String {
    format!(
        "a tenant's name is of 1 to {LONGEST_NAME_BYTES} letters, digits and signs of ASCII, without spaces and quotation marks"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let config: TenantsConfig = serde_json::from_str(text).unwrap();
        config.faults().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn nothing_is_wrong_with_the_default_and_with_what_makes_sense() {
        assert!(faults("{}").is_empty());
        let text = r#"{"from":["address"],"quota":{"events_per_second":1,"bytes_per_second":"1KiB"},"named":[
            {"name":"a","addresses":["10.0.0.0/9","::1"]},{"name":"default","quota":{"burst":"1ms"}},
            {"name":"b","addresses":["10.128.0.0/9"]}]}"#;
        assert_eq!(faults(text), [""; 0]);
    }

    #[test]
    fn all_nonsense_is_named_at_once_in_its_place() {
        let text = r#"{"from":["token","token"],"header":"a b","trust":["proxy"],"default":"","overflow":"x y",
            "quota":{"events_per_second":0,"bytes_per_second":0,"burst":"0s"},
            "named":[{"name":"a","addresses":["10.0.0.0/8","10.1.0.0/16","10.0.0.1/8"],"quota":{"events_per_second":0}},
                     {"name":"a","addresses":[]},{"name":"\"","addresses":["10.9.9.9"]}]}"#;
        let expected = [
            "from[1]",
            "header",
            "trust",
            "default",
            "overflow",
            "quota.events_per_second",
            "quota.bytes_per_second",
            "quota.burst",
            "named[0].quota.events_per_second",
            "named[1].name",
            "named[2].name",
            "named[0].addresses[1]",
            "named[0].addresses[2]",
            "named[0].addresses",
            "named[2].addresses[0]",
            "named[2].addresses",
        ];
        assert_eq!(faults(text), expected);
        assert_eq!(faults(r#"{"default":"x","overflow":"x"}"#), ["overflow"]);
        assert_eq!(faults(r#"{"header":"Authorization"}"#), ["header"]);
    }
}
