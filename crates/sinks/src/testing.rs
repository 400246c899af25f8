//! What tests of several sinks need: shares of real bodies, and a server that says what it was asked.
#![allow(clippy::unwrap_used)]

use forebay_pipeline::body::{Body, OnRefused, Share};
use forebay_pipeline::budget::Budget;
use forebay_pipeline::ids::Ids;
use forebay_pipeline::ledger::Ledger;
use forebay_pipeline::receipt::Receipt;
use forebay_pipeline::route::{Matcher, Mode, Plan, RouteConfig};
use forebay_pipeline::time::EventWindow;
use forebay_pipeline::wire::json::{self, JsonOptions};
use forebay_pipeline::wire::{CheckContext, Index, Limits, WireId};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A share of all records of a body of JSON lines.
pub(crate) fn share(lines: &str, ids: Ids) -> Share {
    let route = RouteConfig {
        name: "all".to_owned(),
        signals: vec![forebay_pipeline::Signal::Logs],
        when: None,
        to: vec!["sink".to_owned()],
        index: "logs".to_owned(),
        best_effort: Vec::new(),
        on_refused: OnRefused::default(),
    };
    let plan = Plan::build(&[route], Mode::default(), &[], &["sink"]).unwrap();
    let window = EventWindow::new(Duration::from_secs(1), Duration::from_secs(1));
    let limits = Limits::default();
    let context = CheckContext { limits: &limits, arrived: 0, window: &window };
    let mut index = Index::default();
    json::check(lines.as_bytes(), &context, &JsonOptions::default(), &mut Matcher::new(&plan), &mut index)
        .unwrap();
    let records = index.records.len() as u32;
    let body = Arc::new(Body {
        bytes: lines.to_owned().into(),
        wire: WireId::Json,
        index,
        ids,
        arrived: 0,
        receiver: "test".into(),
        lease: Budget::new(0).lease(0).unwrap(),
    });
    let account = Ledger::default().account("sink", "all");
    let claim = Receipt::open().claim(&account, records);
    Share {
        body,
        ranges: std::iter::once(0..records).collect(),
        claim,
        destination: "logs".into(),
        on_refused: OnRefused::default(),
    }
}

/// Answers requests on one connection, in this order, and returns them as text (head and body).
pub(crate) async fn serve(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut requests = Vec::new();
    for answer in answers {
        let mut request = Vec::new();
        while !is_whole(&request) {
            assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "closed within a request");
        }
        requests.push(String::from_utf8_lossy(&request).into_owned());
        connection.write_all(answer.as_bytes()).await.unwrap();
    }
    requests
}

/// An HTTP answer with a JSON body.
pub(crate) fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(request, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}
