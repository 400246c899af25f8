//! Configurations that several tests start from.

use crate::Elasticsearch;

/// Every receiver, and the shipped routes to this node. `settings` are further settings of the sink, separated by
/// commas: `compression: gzip, timeout: 5s`.
pub fn into_elasticsearch(node: &Elasticsearch, settings: &str) -> String {
    let url = node.url();
    let comma = if settings.is_empty() { "" } else { ", " };
    format!(
        "receivers:\n  \
           otlp:\n    \
             grpc: {{listen: \"127.0.0.1:{{otlp_grpc}}\"}}\n    \
             http: {{listen: \"127.0.0.1:{{otlp_http}}\"}}\n  \
           json: {{listen: \"127.0.0.1:{{json}}\"}}\n  \
           beats: {{listen: \"127.0.0.1:{{beats}}\"}}\n  \
           elasticsearch: {{listen: \"127.0.0.1:{{elasticsearch}}\"}}\n  \
           remote_write: {{listen: \"127.0.0.1:{{remote_write}}\"}}\n  \
           forward: {{listen: \"127.0.0.1:{{forward}}\"}}\n\
         sinks:\n  \
           es: {{type: elasticsearch, endpoints: [\"{url}\"]{comma}{settings}}}\n\
         dead_letters: {{path: \"{{dir}}/dead-letters\"}}\n\
         drain: {{door_open: 0s}}\n\
         admin: {{listen: \"127.0.0.1:{{admin}}\"}}\n"
    )
}
