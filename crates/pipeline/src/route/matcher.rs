//! Collects the routing fields of one record after the other and decides where each goes.

use super::RouteSet;
use super::fields::{Fixed, Places, Watched};
use super::plan::Plan;
use crate::Signal;
use crate::document::severity_name;
use crate::record::{Key, LogHead, NestedVisitor, Text, Value};

/// The fields seen so far. One matcher serves one body; nothing is allocated per record.
#[derive(Debug)]
pub struct Matcher<'p, 'b> {
    plan: &'p Plan,
    fields: &'p Places,
    signal: Signal,
    /// What resource and scope give to every record of the group.
    resource: Vec<Slot<'b>>,
    group: Vec<Slot<'b>>,
    record: Vec<Slot<'b>>,
    /// The record has fields of its own, so the group's decision is not its.
    touched: bool,
    /// The decision for a record without routing fields of its own.
    of_group: Option<RouteSet>,
}

/// A slot's value and the rank of the key it came by; rank 0 is empty.
#[derive(Clone, Copy, Debug)]
struct Slot<'b> {
    value: Value<'b>,
    rank: u32,
}

const EMPTY: Slot<'static> = Slot { value: Value::Null, rank: 0 };

impl<'p, 'b> Matcher<'p, 'b> {
    /// A matcher for one body of logs.
    pub fn new(plan: &'p Plan) -> Self {
        Self::of(Signal::Logs, plan)
    }

    /// A matcher for one body of this signal.
    pub fn of(signal: Signal, plan: &'p Plan) -> Self {
        let slots = || vec![EMPTY; plan.fields.len()];
        let fields = plan.fields.of(signal);
        Self {
            plan,
            fields,
            signal,
            resource: slots(),
            group: slots(),
            record: slots(),
            touched: false,
            of_group: None,
        }
    }

    /// What the records are.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// A JSON record begins.
    pub fn begin_json(&mut self) {
        self.clear_record();
        self.group.fill(EMPTY);
    }

    /// Whether a top-level member with this raw key is worth handing over. Not for escaped keys: one may be any key.
    #[inline]
    pub fn wants_json(&self, key: &[u8]) -> bool {
        self.fields.json.may_hold(key.len())
    }

    /// Whether a route looks at `@metadata`, or at something in it.
    pub fn wants_metadata(&self) -> bool {
        self.fields.json.matches(b"@metadata").next().is_some()
    }

    /// One top-level member of a JSON record.
    pub fn json_member(&mut self, key: Key<'b>, value: Value<'b>) {
        // Null counts as absent, so that it does not hide the same field written another way.
        if matches!(value, Value::Null) {
            return;
        }
        let key = match key {
            Key::Plain(key) => std::borrow::Cow::Borrowed(key.as_str()),
            Key::Escaped(inside) => crate::wire::json::unescape(inside),
        };
        let places = self.fields;
        for watched in places.json.matches(key.as_bytes()) {
            self.touched |= fill(&mut self.record, watched, value);
        }
    }

    /// An OTLP resource begins.
    pub fn begin_resource(&mut self) {
        self.resource.fill(EMPTY);
        self.begin_scope();
    }

    /// An OTLP scope begins, under the resource as far as it is known.
    pub fn begin_scope(&mut self) {
        self.group.copy_from_slice(&self.resource);
        self.of_group = None;
    }

    /// An attribute of the resource.
    pub fn resource_attribute(&mut self, key: Text<'b>, value: Value<'b>) {
        let places = self.fields;
        if places.resource.may_hold(key.as_bytes().len()) {
            for watched in places.resource.matches(key.as_bytes()) {
                fill(&mut self.resource, watched, value);
            }
        }
    }

    /// An attribute of the scope.
    pub fn scope_attribute(&mut self, key: Text<'b>, value: Value<'b>) {
        let places = self.fields;
        if places.scope.may_hold(key.as_bytes().len()) {
            for watched in places.scope.matches(key.as_bytes()) {
                fill(&mut self.group, watched, value);
            }
        }
    }

    /// Whether a route looks at a schema URL, which serialisers write after the records.
    pub fn wants_schema_urls(&self) -> bool {
        let urls = [Fixed::ResourceSchemaUrl, Fixed::ScopeSchemaUrl];
        self.fields.fixed.iter().any(|(field, ..)| urls.contains(field))
    }

    pub fn resource_schema_url(&mut self, url: Text<'b>) {
        self.set_fixed(Fixed::ResourceSchemaUrl, text(url));
    }

    pub fn resource_dropped_attributes(&mut self, count: u32) {
        self.set_fixed(Fixed::ResourceDroppedAttributes, number(count));
    }

    pub fn scope_name(&mut self, name: Text<'b>) {
        self.set_fixed(Fixed::Logger, text(name));
        self.set_fixed(Fixed::ScopeName, text(name));
    }

    pub fn scope_version(&mut self, version: Text<'b>) {
        self.set_fixed(Fixed::ScopeVersion, text(version));
    }

    pub fn scope_schema_url(&mut self, url: Text<'b>) {
        self.set_fixed(Fixed::ScopeSchemaUrl, text(url));
    }

    pub fn scope_dropped_attributes(&mut self, count: u32) {
        self.set_fixed(Fixed::ScopeDroppedAttributes, number(count));
    }

    /// An OTLP record begins.
    #[inline]
    pub fn begin_record(&mut self) {
        if self.touched {
            self.clear_record();
        }
    }

    /// An attribute of the record.
    #[inline(always)]
    pub fn record_attribute(&mut self, key: Text<'b>, value: Value<'b>) {
        if self.fields.record.may_hold(key.as_bytes().len()) {
            self.fill_record(key, value);
        }
    }

    #[inline(never)]
    fn fill_record(&mut self, key: Text<'b>, value: Value<'b>) {
        for watched in self.fields.record.matches(key.as_bytes()) {
            self.touched |= fill(&mut self.record, watched, value);
        }
    }

    /// The fixed fields of the record.
    #[inline]
    pub fn record_head(&mut self, head: &LogHead<'b>) {
        let places = self.fields;
        for (field, slot, rest) in &places.fixed {
            let value = match field {
                Fixed::Level if head.severity_text.is_empty() => {
                    severity_name(head.severity_number).map(|name| Value::Str(name.into()))
                }
                Fixed::Level => text(head.severity_text),
                Fixed::SeverityNumber => Some(head.severity_number)
                    .filter(|number| *number != 0)
                    .map(|number| Value::Int(i64::from(number))),
                Fixed::Message => head.body.filter(|body| matches!(body, Value::Str(_))),
                Fixed::Body => head.body.filter(|body| !matches!(body, Value::Str(_))),
                Fixed::TraceId => bytes(head.trace_id),
                Fixed::SpanId => bytes(head.span_id),
                Fixed::TraceFlags => number(head.flags),
                Fixed::EventName => text(head.event_name),
                Fixed::DroppedAttributes => number(head.dropped_attributes),
                _ => continue,
            };
            let Some(value) = value.and_then(|value| descend(value, rest)) else { continue };
            self.record[*slot] = Slot { value, rank: u32::MAX };
            self.touched = true;
        }
    }

    /// Whether a route looks at fixed fields of spans or data points.
    pub fn wants_head(&self) -> bool {
        !self.fields.head.is_empty()
    }

    /// A fixed field of a span or a data point, by its name in the document.
    pub fn head_field(&mut self, name: &str, value: Value<'b>) {
        for watched in self.fields.head.matches(name.as_bytes()) {
            self.touched |= fill(&mut self.record, watched, value);
        }
    }

    /// Where the record goes.
    pub fn decide(&mut self) -> RouteSet {
        if self.touched {
            let (record, group) = (&self.record, &self.group);
            return self.plan.decide(self.signal, &|slot| {
                let Slot { value, rank } = if record[slot].rank > 0 { record[slot] } else { group[slot] };
                (rank > 0).then_some(value)
            });
        }
        if let Some(routes) = self.of_group {
            return routes;
        }
        let group = &self.group;
        let routes =
            self.plan.decide(self.signal, &|slot| (group[slot].rank > 0).then_some(group[slot].value));
        self.of_group = Some(routes);
        routes
    }

    fn clear_record(&mut self) {
        self.record.fill(EMPTY);
        self.touched = false;
    }

    fn set_fixed(&mut self, wanted: Fixed, value: Option<Value<'b>>) {
        let of_resource = matches!(wanted, Fixed::ResourceSchemaUrl | Fixed::ResourceDroppedAttributes);
        let slots = if of_resource { &mut self.resource } else { &mut self.group };
        let places = self.fields;
        for (_, slot, _) in places.fixed.iter().filter(|(field, ..)| *field == wanted) {
            // Of a scalar field that occurs twice the last one counts, also when it is empty.
            slots[*slot] = value.map_or(EMPTY, |value| Slot { value, rank: u32::MAX });
        }
    }
}

fn text(text: Text<'_>) -> Option<Value<'_>> {
    (!text.is_empty()).then_some(Value::Str(text))
}

fn bytes(bytes: &[u8]) -> Option<Value<'_>> {
    (!bytes.is_empty()).then_some(Value::Bytes(bytes))
}

fn number<'b>(count: u32) -> Option<Value<'b>> {
    (count != 0).then_some(Value::Int(i64::from(count)))
}

/// Puts the value (or what lies under the rest of the path inside it) into its slot, unless a better one is there.
fn fill<'b>(slots: &mut [Slot<'b>], watched: &Watched, value: Value<'b>) -> bool {
    let Some(value) = descend(value, &watched.rest).and_then(|value| watched.takes.of(value)) else {
        return false;
    };
    let slot = &mut slots[watched.slot];
    if watched.rank < slot.rank {
        return false;
    }
    *slot = Slot { value, rank: watched.rank };
    true
}

fn descend<'b>(value: Value<'b>, rest: &[Box<str>]) -> Option<Value<'b>> {
    match (rest.first(), value) {
        (None, value) => Some(value),
        (Some(path), Value::Map(map)) => find(path, |search| map.walk(true, search)),
        (Some(path), Value::Part(part)) if part.is_map() => find(path, |search| part.walk(search)),
        (Some(_), _) => None,
    }
}

/// The value at a dotted path inside of a map: the longest key that fits wins, and of equal keys the last one.
fn find<'b>(path: &str, walk: impl FnOnce(&mut dyn NestedVisitor<'b>)) -> Option<Value<'b>> {
    let mut search = Search { path, found: None, length: 0 };
    walk(&mut search);
    search.found
}

struct Search<'s, 'b> {
    path: &'s str,
    found: Option<Value<'b>>,
    length: usize,
}

impl<'b> NestedVisitor<'b> for Search<'_, 'b> {
    fn member(&mut self, key: Option<Key<'b>>, value: Value<'b>) {
        let key = match key {
            Some(Key::Plain(key)) => std::borrow::Cow::Borrowed(key.as_str()),
            Some(Key::Escaped(inside)) => crate::wire::json::unescape(inside),
            None => return,
        };
        let Some(rest) = self.path.strip_prefix(&*key) else { return };
        let found = match (rest.strip_prefix('.'), value) {
            _ if rest.is_empty() => Some(value),
            (Some(rest), Value::Map(inner)) => find(rest, |search| inner.walk(true, search)),
            _ => None,
        };
        if let Some(value) = found
            && key.len() >= self.length
        {
            self.length = key.len();
            self.found = Some(value);
        }
    }
}
