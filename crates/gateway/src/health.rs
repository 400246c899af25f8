//! `forebay health`: asks a running gateway whether it is ready. For probes in an image that has neither a shell nor curl.

use crate::terminal::say;
use anyhow::{Context as _, ensure};
use clap::Args;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

/// For each of connecting, asking and reading: a probe that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than the answer has, in bytes.
const MOST_ANSWER_BYTES: u64 = 16 << 10;

/// What `forebay health` can be told.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The admin port.
    #[arg(long, default_value = "http://127.0.0.1:9600")]
    url: String,
}

/// Asks once. The exit code is 0 if the gateway is ready to take records.
///
/// # Errors
/// It is not, or it cannot be asked; the error says which.
pub fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let answer = ask(&args.url).with_context(|| format!("cannot ask {}", args.url))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    ensure!(status.starts_with("HTTP/1.1 ") && code == "200", "not ready: {status}: {}", body.trim());
    say("ready");
    Ok(ExitCode::SUCCESS)
}

/// The whole answer to a request for `/readyz`.
fn ask(url: &str) -> anyhow::Result<String> {
    let host = url.strip_prefix("http://").context("the address must begin with http://")?;
    let host = host.trim_end_matches('/');
    let addresses = host.to_socket_addrs().context("expected http://host:port")?;
    let mut refused = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return read_answer(stream, host),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.map_or_else(|| anyhow::anyhow!("{host} has no address"), Into::into))
}

fn read_answer(mut stream: TcpStream, host: &str) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
