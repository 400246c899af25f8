//! What answers requests on a listener of HTTP, behind the gate that asks who sends.

use super::answer::Fault;
use super::auth::{Gate, Refused};
use super::caller::Caller;
use super::endpoint::Endpoint;
use super::read::Chunks;
use super::reply::Reply;
use super::tenants::{Sender, on_behalf_of};
use http::header::{EXPECT, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use parking_lot::RwLock;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The door that its requests come in by.
    fn endpoint(&self) -> &Endpoint;

    /// Answers one request of `caller`'s. Dropped when the client goes away.
    fn handle(
        &self,
        request: Request<Incoming>,
        caller: Caller,
    ) -> impl Future<Output = Response<Reply>> + Send;

    /// The answer to a request with this head that nobody makes who may. It is counted already.
    fn refuse(&self, head: &Request<()>, fault: &Fault) -> Response<Reply>;

    /// Whether everybody may make this request.
    fn is_public(&self, _: &Request<Incoming>) -> bool {
        false
    }
}

/// A handler behind its gate, that can be replaced while its listener goes on.
#[derive(Debug)]
pub struct Swap<H> {
    handler: RwLock<Arc<H>>,
    pub gate: Arc<Gate>,
}

impl<H: Handler> Swap<H> {
    /// With `handler` in it.
    pub fn new(handler: H, gate: Gate) -> Arc<Self> {
        Arc::new(Self { handler: RwLock::new(Arc::new(handler)), gate: Arc::new(gate) })
    }

    /// Has requests from now on answered by `handler`.
    pub fn put(&self, handler: H) {
        *self.handler.write() = Arc::new(handler);
    }

    /// Has the handler of now answer a request from `address`, if the gate lets it in.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        address: IpAddr,
    ) -> Response<Reply> {
        let handler = Arc::clone(&self.handler.read());
        if handler.is_public(&request) {
            return handler.handle(request, caller).await;
        }
        let refused = match self.gate.admit(request.headers(), caller) {
            Ok(caller) => {
                let (headers, identity, address) =
                    (Some(request.headers()), caller.as_deref(), Some(address));
                let tenant = handler.endpoint().tenants.of(&Sender { headers, identity, address });
                return on_behalf_of(tenant, handler.handle(request, caller)).await;
            }
            Err(refused) => refused,
        };
        let Refused { fault, challenges } = *refused;
        let endpoint = handler.endpoint();
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let mut chunks = Chunks::new(body, endpoint.bounds.body_timeout);
        // A client that asks before it sends has not sent what could be forgotten. One that comes again and again with the wrong secret is
        // to keep its connection: another handshake costs more than a short body.
        if !head.headers().contains_key(EXPECT) {
            chunks.forget().await;
        }
        let fault = fault.ending(head.version() < Version::HTTP_2 && !chunks.is_ended());
        endpoint.visit(None).refuse(&fault);
        let mut response = handler.refuse(&head, &fault);
        if response.status() == StatusCode::UNAUTHORIZED {
            for challenge in challenges {
                response.headers_mut().append(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }
}
