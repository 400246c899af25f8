//! YAML as the tools of Kubernetes write it, as JSON values. No anchors and no tags: those tools write none.

use anyhow::{Context, Result, bail};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// Every document of a stream, but for those that hold nothing.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let mut reader = Reader(Parser::new_from_str(text));
    let mut found = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(found),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => match reader.value(event)? {
                Value::Null => {}
                value => found.push(value),
            },
        }
    }
}

struct Reader<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>> {
        Ok(self.0.next_event().context("the text ends too early")??.0)
    }

    fn value(&mut self, event: Event<'t>) -> Result<Value> {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, 0, None) => Ok(plain(&text)),
            Event::Scalar(text, _, 0, None) => Ok(text.into_owned().into()),
            Event::SequenceStart(0, None) => self.sequence(),
            Event::MappingStart(0, None) => self.mapping(),
            other => bail!("no plain YAML: {other:?}"),
        }
    }

    fn sequence(&mut self) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(items.into()),
                event => items.push(self.value(event)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value> {
        let mut members = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(members.into()),
                Event::Scalar(key, ..) => key.into_owned(),
                other => bail!("no key: {other:?}"),
            };
            let event = self.next()?;
            let value = self.value(event)?;
            if members.insert(key.clone(), value).is_some() {
                bail!("{key} is there twice");
            }
        }
    }
}

/// Types a scalar without quotes. What JSON would take for a number is one.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => match serde_json::from_str(text) {
            Ok(Value::Number(number)) => number.into(),
            _ => text.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_json() {
        let text =
            "# a comment\n---\na: {b: [1, 2.5, x, \"3\"], c: }\n---\n---\nd: |\n  two\n  lines\ne: true\n";
        let expected =
            [json!({"a": {"b": [1, 2.5, "x", "3"], "c": null}}), json!({"d": "two\nlines\n", "e": true})];
        assert_eq!(documents(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_plain_yaml_is_an_error() {
        for text in ["a: 1\na: 2", "a: &x 1", "a: [1", "a: !!str 1"] {
            assert!(documents(text).is_err(), "{text}");
        }
    }
}
