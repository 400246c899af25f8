//! A task that works on a payload, and what it comes back with.

use super::attempt::{Encoded, Sent};
use crate::task;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What a task has done.
#[derive(Debug)]
pub(super) enum Step {
    /// The sink has, or has not, what it needs before the first send.
    Prepared(Result<(), String>),
    Encoded(Encoded),
    Sent(Box<Sent>),
    Buried,
}

/// What a task carries, as seen from outside.
#[derive(Clone, Debug)]
pub(super) struct Cargo {
    pub destination: Arc<str>,
    /// When the oldest of its shares arrived, nanoseconds since 1970.
    pub oldest: i64,
    /// When it left its lane.
    pub left: Instant,
}

/// A task under way. Resolves to its step, or to none if it panicked or was called off; called off when dropped.
#[derive(Debug)]
pub(super) struct Flight {
    cargo: Option<Cargo>,
    task: JoinHandle<Step>,
}

impl Flight {
    /// Starts `work`, which carries `cargo` (none for what is not about a payload).
    pub(super) fn start(
        name: &'static str,
        cargo: Option<Cargo>,
        work: impl Future<Output = Step> + Send + 'static,
    ) -> Self {
        Self { cargo, task: task::spawn(name, work) }
    }

    pub(super) fn cargo(&self) -> Option<&Cargo> {
        self.cargo.as_ref()
    }

    /// Ends the task where it waits next; what it holds is dropped.
    pub(super) fn call_off(&self) {
        self.task.abort();
    }
}

impl Future for Flight {
    type Output = (Option<Cargo>, Option<Step>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let step = std::task::ready!(Pin::new(&mut self.task).poll(context));
        Poll::Ready((self.cargo.take(), step.ok()))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.call_off();
    }
}
