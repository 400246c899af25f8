//! Routes: which records go where, declared as predicates over the fields of the document that a record becomes.

mod config;
mod fields;
mod matcher;
mod plan;
mod predicate;
mod quantity;
mod template;

pub use config::{Mode, RouteConfig, Scalar, When};
pub use matcher::Matcher;
pub use plan::{Plan, Route, RouteFault};
pub(crate) use template::Template;

/// The routes that a record takes, as a set of route numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteSet(pub u64);

impl RouteSet {
    /// The most routes that one configuration may have.
    pub const MAX_ROUTES: usize = 64;

    /// Adds route number `route`.
    pub fn insert(&mut self, route: usize) {
        self.0 |= 1 << route;
    }

    /// Whether route number `route` is in it.
    #[inline]
    pub fn contains(self, route: usize) -> bool {
        self.0 >> route & 1 == 1
    }

    /// Whether no route is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The route numbers in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX_ROUTES).filter(move |route| self.0 & (1 << route) != 0)
    }
}
