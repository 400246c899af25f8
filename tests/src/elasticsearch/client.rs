//! What tests ask a node: plain requests, bulk, counts, and the values that a search finds.

use super::{Elasticsearch, PASSWORD, USER};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Longer than any request of a test takes on a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Documents per page of a search; the node allows 10,000.
const PAGE: usize = 5_000;

/// A document that a search found.
#[derive(Clone, Debug)]
pub struct Hit {
    pub index: String,
    pub id: String,
    /// Its `_source`, or what was asked for of it.
    pub source: Value,
}

/// A client that trusts this certificate and no other, if one is given.
pub(super) fn agent(trusted: Option<Certificate<'static>>) -> ureq::Agent {
    let mut config =
        ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).http_status_as_error(false);
    if let Some(certificate) = trusted {
        let roots = RootCerts::new_with_certs(&[certificate]);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    config.build().into()
}

impl Elasticsearch {
    /// `GET path` (with a slash in front), answered in JSON.
    ///
    /// # Errors
    /// No answer, a status other than 2xx, or no JSON. So for every method of this file.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, "application/json", "")
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("POST", path, "application/json", &body.to_string())
    }

    /// `PUT path` with a JSON body.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("PUT", path, "application/json", &body.to_string())
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.request("DELETE", path, "application/json", "")
    }

    /// Creates these documents in one bulk request, without refresh.
    ///
    /// # Errors
    /// As of [`get`](Self::get), and if the node refuses any of them.
    pub fn bulk(&self, index: &str, documents: &[Value]) -> Result<()> {
        let action = json!({"create": {"_index": index}});
        let mut body = String::new();
        for document in documents {
            body.push_str(&format!("{action}\n{document}\n"));
        }
        let answer = self.request("POST", "/_bulk", "application/x-ndjson", &body)?;
        ensure!(answer["errors"] == Value::Bool(false), "bulk items were refused: {answer}");
        Ok(())
    }

    /// Makes every document stored so far visible to searches.
    pub fn refresh(&self) -> Result<()> {
        self.request("POST", "/_refresh", "application/json", "").map(drop)
    }

    /// How many documents of `index` (a pattern; none is 0) match a Lucene query string.
    pub fn count(&self, index: &str, query: &str) -> Result<u64> {
        let body = json!({"query": {"query_string": {"query": query}}});
        let answer = self.post(&format!("/{index}/_count?ignore_unavailable=true"), &body)?;
        answer["count"].as_u64().with_context(|| format!("no count in {answer}"))
    }

    /// The string or number in top-level field `field` of every document of `index` that matches a Lucene query
    /// string, sorted, one entry per document: a record that was stored twice is there twice.
    ///
    /// # Errors
    /// As of [`get`](Self::get); if a document lacks the field; if more than `max` documents match.
    pub fn field_values(&self, index: &str, query: &str, field: &str, max: usize) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for hit in self.scroll(index, query, &json!([field]), max)? {
            values.push(match &hit.source[field] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => bail!("{field} is {other} in {hit:?}"),
            });
        }
        values.sort_unstable();
        Ok(values)
    }

    /// Every document of `index` (a pattern) that matches a Lucene query string, whole, in no order.
    ///
    /// # Errors
    /// As of [`get`](Self::get); if more than `max` documents match.
    pub fn documents(&self, index: &str, query: &str, max: usize) -> Result<Vec<Hit>> {
        self.scroll(index, query, &Value::Bool(true), max)
    }

    fn scroll(&self, index: &str, query: &str, source: &Value, max: usize) -> Result<Vec<Hit>> {
        let mut found = Vec::new();
        self.each_hit(index, query, source, |hit| {
            found.push(hit);
            ensure!(found.len() <= max, "more than {max} documents of {index} match {query}");
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands every document of `index` (a pattern) that matches a Lucene query string to `take`, in no order and a page
    /// at a time in memory. `source` says what of each is read, as `_source` of a search does.
    ///
    /// # Errors
    /// As of [`get`](Self::get); the first error of `take`, which ends the search.
    pub fn each_hit(
        &self,
        index: &str,
        query: &str,
        source: &Value,
        mut take: impl FnMut(Hit) -> Result<()>,
    ) -> Result<()> {
        let body = json!({
            "query": {"query_string": {"query": query}},
            "_source": source,
            "sort": ["_doc"],
            "size": PAGE,
        });
        let mut page = self.post(&format!("/{index}/_search?scroll=1m&ignore_unavailable=true"), &body)?;
        loop {
            let hits = page["hits"]["hits"].as_array_mut().context("no hits in the answer to a search")?;
            if hits.is_empty() {
                break;
            }
            for hit in hits {
                let text = |member: &str| hit[member].as_str().unwrap_or_default().to_owned();
                let (index, id) = (text("_index"), text("_id"));
                take(Hit { index, id, source: hit["_source"].take() })?;
            }
            page = self.post("/_search/scroll", &json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}))?;
        }
        let cursor = json!({"scroll_id": page["_scroll_id"]});
        self.request("DELETE", "/_search/scroll", "application/json", &cursor.to_string())?;
        Ok(())
    }

    /// As [`field_values`](Self::field_values), as a set. Whoever checks for duplicates wants the former.
    pub fn search_ids(&self, index: &str, query: &str, field: &str, max: usize) -> Result<BTreeSet<String>> {
        Ok(self.field_values(index, query, field, max)?.into_iter().collect())
    }

    /// Makes an API key with these role descriptors (`{}`: the superuser's own rights) and returns it in the form that
    /// the header `Authorization: ApiKey ...` carries. Needs a node with security.
    pub fn create_api_key(&self, name: &str, roles: &Value) -> Result<String> {
        let answer = self.post("/_security/api_key", &json!({"name": name, "role_descriptors": roles}))?;
        Ok(answer["encoded"].as_str().with_context(|| format!("no key in {answer}"))?.to_owned())
    }

    pub(super) fn healthy(&self) -> bool {
        self.get("/_cluster/health?wait_for_status=yellow&timeout=1s").is_ok()
    }

    fn request(&self, method: &str, path: &str, content_type: &str, body: &str) -> Result<Value> {
        let address = format!("{}{path}", self.url());
        let mut request = ureq::http::Request::builder().method(method).uri(&address);
        if self.options.security {
            let credentials = base64::prelude::BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
            request = request.header("Authorization", format!("Basic {credentials}"));
        }
        let mut response = if body.is_empty() {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.header("Content-Type", content_type).body(body)?)
        }
        .with_context(|| format!("{method} {address}"))?;
        let status = response.status();
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        ensure!(status.is_success(), "{method} {address}: {status}\n{text}");
        serde_json::from_str(&text).with_context(|| format!("{method} {address}: not JSON: {text}"))
    }
}
