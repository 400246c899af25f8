//! One connection: its requests one after the other, each with its fate.

use super::fault::Fault;
use super::{Shared, bulk};
use crate::http::{Answer, Request, read_request};
use crate::seeded::Random;
use anyhow::{Result, ensure};
use std::io::{BufReader, ErrorKind};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// Longest hang, for clients that never lose patience.
const LONGEST_HANG: Duration = Duration::from_secs(120);
/// Between two looks whether a client that is kept waiting has gone.
const LOOK: Duration = Duration::from_millis(100);
/// Milliseconds that an answer may be late.
pub(super) const LATENCY_MS: std::ops::Range<u64> = 20..800;

/// Whether the connection is used for a further request.
#[derive(PartialEq)]
enum Next {
    Request,
    Close,
}

pub(super) fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while !shared.stopped.load(Relaxed) {
        let Some(request) = read_request(&mut reader)? else { break };
        let path = request.target.split('?').next().unwrap_or_default();
        if !path.ends_with("/_bulk") {
            shared.forward(&request, &request.body)?.write(&mut out)?;
            continue;
        }
        let documents = bulk::documents(&request.body)?;
        let (fault, mut random) = shared.judge.next(documents.len());
        let Some(fault) = fault else {
            let answer = shared.forward(&request, &request.body)?;
            // Before anybody can know of it.
            shared.judge.passed.fetch_add(1, Relaxed);
            answer.write(&mut out)?;
            continue;
        };
        let next = shared.harm(fault, &mut random, &request, &documents, &mut out)?;
        if next == Next::Close {
            break;
        }
    }
    Ok(())
}

impl Shared {
    /// Sends a request on with this body.
    fn forward(&self, request: &Request, body: &[u8]) -> Result<Answer> {
        let mut builder = ureq::http::Request::builder()
            .method(&*request.method)
            .uri(format!("{}{}", self.upstream, request.target));
        for (name, value) in &request.headers {
            if !matches!(&**name, "host" | "connection" | "accept-encoding") {
                builder = builder.header(name, value);
            }
        }
        let mut response = if body.is_empty() {
            self.agent.run(builder.body(())?)?
        } else {
            self.agent.run(builder.body(body)?)?
        };
        let status = response.status().as_u16();
        let mut headers = Vec::new();
        for name in ["content-type", "x-elastic-product", "retry-after"] {
            if let Some(value) = response.headers().get(name) {
                headers.push((name.to_owned(), value.to_str()?.to_owned()));
            }
        }
        let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec()?;
        Ok(Answer { status, headers, body })
    }

    fn harm(
        &self,
        fault: Fault,
        random: &mut Random,
        request: &Request,
        documents: &[&[u8]],
        out: &mut TcpStream,
    ) -> Result<Next> {
        match fault {
            Fault::Latency => {
                thread::sleep(Duration::from_millis(random.within(LATENCY_MS)));
                let answer = self.forward(request, &request.body)?;
                self.judge.fired(fault);
                answer.write(out)?;
                return Ok(Next::Request);
            }
            Fault::RequestTooMany | Fault::RequestUnavailable | Fault::TooLarge => {
                self.judge.fired(fault);
                refusal(fault, random).write(out)?;
                return Ok(Next::Request);
            }
            Fault::ItemsTooMany | Fault::ItemsUnavailable => {
                let (kept, of_part) = self.forward_part(random, request, documents)?;
                let status = if fault == Fault::ItemsTooMany { 429 } else { 503 };
                let answer = merged(&of_part, &kept, status)?;
                self.judge.fired(fault);
                answer.write(out)?;
                return Ok(Next::Request);
            }
            Fault::Hang => {
                if random.one_in(2) {
                    self.forward(request, &request.body)?;
                }
                self.judge.fired(fault);
                self.hang(out)?;
            }
            Fault::ResetBefore => {
                self.judge.fired(fault);
                reset_on_close(out)?;
            }
            Fault::Lost => {
                self.forward_perhaps_in_part(random, request, documents)?;
                self.judge.fired(fault);
            }
            Fault::ResetMiddle | Fault::Truncated | Fault::ShortAnswer | Fault::ExtraItems => {
                let (answer, of_part) = self.forward_perhaps_in_part(random, request, documents)?;
                if fault == Fault::ShortAnswer
                    && let Some(of_part) = of_part
                {
                    self.judge.fired(fault);
                    of_part.write(out)?;
                    return Ok(Next::Request);
                }
                return self.damage(fault, random, answer, out);
            }
        }
        Ok(Next::Close)
    }

    /// A broken answer says nothing about what was stored: half of the time it was not everything, so that whoever takes
    /// such an answer for a success has lost records. Then the second answer speaks of the forwarded documents only.
    fn forward_perhaps_in_part(
        &self,
        random: &mut Random,
        request: &Request,
        documents: &[&[u8]],
    ) -> Result<(Answer, Option<Answer>)> {
        if random.one_in(2) {
            return Ok((self.forward(request, &request.body)?, None));
        }
        let (kept, of_part) = self.forward_part(random, request, documents)?;
        Ok((merged(&of_part, &kept, 503)?, Some(of_part)))
    }

    /// Forwards a random part of the documents, at least one of them not. Returns which, and what is said of them.
    fn forward_part(
        &self,
        random: &mut Random,
        request: &Request,
        documents: &[&[u8]],
    ) -> Result<(Vec<bool>, Answer)> {
        let per_cent = random.within(5..100);
        let mut kept: Vec<bool> = documents.iter().map(|_| random.below(100) >= per_cent).collect();
        let at_least = random.below(kept.len() as u64) as usize;
        kept[at_least] = false;
        let mut body = Vec::with_capacity(request.body.len());
        for (document, is_kept) in documents.iter().zip(&kept) {
            if *is_kept {
                body.extend_from_slice(document);
            }
        }
        if body.is_empty() {
            return Ok((kept, Answer::json(200, br#"{"errors":false,"items":[]}"#.to_vec())));
        }
        Ok((kept, self.forward(request, &body)?))
    }

    /// Hands back less, or more, than the whole answer.
    fn damage(
        &self,
        fault: Fault,
        random: &mut Random,
        mut answer: Answer,
        out: &mut TcpStream,
    ) -> Result<Next> {
        ensure!(answer.body.len() > 1, "an answer too short to be cut");
        let whole = answer.body.len();
        let cut = random.within(1..whole as u64) as usize;
        let some = random.within(1..4) as usize;
        match fault {
            Fault::ShortAnswer => answer.body = bulk::shorten(&answer.body, cut % 50, some)?,
            Fault::ExtraItems => answer.body = bulk::lengthen(&answer.body, some)?,
            Fault::Truncated if random.one_in(2) => answer.body.truncate(cut),
            _ => {
                self.judge.fired(fault);
                if fault == Fault::ResetMiddle {
                    reset_on_close(out)?;
                }
                answer.write_cut(out, whole, cut)?;
                return Ok(Next::Close);
            }
        }
        self.judge.fired(fault);
        answer.write(out)?;
        Ok(Next::Request)
    }

    /// Waits until the client has gone.
    fn hang(&self, out: &TcpStream) -> Result<()> {
        out.set_read_timeout(Some(LOOK))?;
        let began = Instant::now();
        while began.elapsed() < LONGEST_HANG && !self.stopped.load(Relaxed) {
            match out.peek(&mut [0]) {
                Ok(0) => break,
                Ok(_) => thread::sleep(LOOK),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// The answer to the whole request, of which a part was answered.
fn merged(of_part: &Answer, kept: &[bool], status: u16) -> Result<Answer> {
    let mut answer = of_part.clone();
    if answer.status == 200 {
        answer.body = bulk::merge(&answer.body, kept, &bulk::refused(status))?;
    }
    Ok(answer)
}

fn refusal(fault: Fault, random: &mut Random) -> Answer {
    let (status, body): (_, &[u8]) = match fault {
        Fault::TooLarge => (413, b""),
        Fault::RequestTooMany => {
            (429, br#"{"error":{"type":"circuit_breaking_exception","reason":"too much"},"status":429}"#)
        }
        _ => (503, br#"{"error":{"type":"cluster_block_exception","reason":"not recovered"},"status":503}"#),
    };
    let mut answer = Answer::json(status, body.to_owned());
    if fault != Fault::TooLarge && random.one_in(4) {
        answer.headers.push(("retry-after".to_owned(), "1".to_owned()));
    }
    answer
}

/// The client sees a reset, not an orderly end.
fn reset_on_close(stream: &TcpStream) -> Result<()> {
    Ok(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?)
}
