//! The configuration file: YAML in, a checked value out, or every fault at once.
//!
//! Four steps, each in a file of its own: [`document`] reads YAML into a tree with places and resolves
//! substitutions; [`compile`] turns the JSON schema of the settings into [`shape`]s; [`diagnose`] checks the tree
//! against them; and serde builds the value. Checks that need the value (does this route name a sink?) come
//! afterwards and point into the file through the [`Locator`]; they also see what [`salvage`] saves of a faulty file.

mod compile;
mod describe;
mod diagnose;
mod document;
mod fault;
mod locate;
mod reference;
mod salvage;
mod scalar;
mod shape;
mod substitute;
#[cfg(test)]
mod tests;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use document::{Node, Value};
use fault::Position;
use scalar::Scalar;
use shape::Shapes;

pub use fault::{Fault, nearest, sort};
pub use locate::Locator;
pub use reference::{reference_markdown, schema_json};
pub use salvage::StandIn;
pub use substitute::{Environment, ProcessEnvironment};

/// The largest configuration file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A configuration that has passed its schema, and the way back from a setting to its line.
#[derive(Debug)]
pub struct Loaded<T> {
    pub value: T,
    pub locator: Locator,
}

/// The JSON schema of a configuration: what `load` checks against and what the reference is made of.
pub fn schema_of<T: JsonSchema>() -> Schema {
    schemars::schema_for!(T)
}

/// Constructs of the schema that `load` cannot check; empty for a configuration that may be shipped.
#[cfg(test)]
pub fn unsupported(schema: &Schema) -> Vec<String> {
    Shapes::compile(schema).err().unwrap_or_default()
}

/// Reads a configuration and has `examine` check it as a whole. An empty text is the default one.
///
/// # Errors
/// Every fault that could be found, in the order of the file. Only invalid YAML hides the others. Of a faulty file, `examine` sees what
/// is left without the faulty settings, with `stand_in` in their places.
pub fn load<T: DeserializeOwned + JsonSchema, B>(
    text: &str,
    environment: &dyn Environment,
    stand_in: StandIn,
    examine: impl FnOnce(Loaded<T>) -> Result<B, Vec<Fault>>,
) -> Result<B, Vec<Fault>> {
    let (root, mut faults) = read(text, environment)?;
    let mut found = check::<T>(&root);
    found.retain(|fault| !salvage::follows(&fault.path, &faults));
    faults.extend(found);
    let loaded = salvage::salvage(root, &mut faults, stand_in);
    match loaded.map(examine) {
        Some(Ok(whole)) if faults.is_empty() => return Ok(whole),
        Some(Err(mut found)) => {
            found.retain(|fault| !salvage::follows(&fault.path, &faults));
            faults.extend(found);
        }
        Some(Ok(_)) | None => {}
    }
    sort(&mut faults);
    Err(faults)
}

/// The tree, and faults of single settings in it.
fn read(text: &str, environment: &dyn Environment) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    if text.len() > MAX_FILE_BYTES {
        return Err(vec![Fault::new("", Position::START, "the file is larger than 1 MiB")]);
    }
    let (mut root, faults) = document::parse(text, environment).map_err(|mut faults| {
        sort(&mut faults);
        faults
    })?;
    if matches!(root.value, Value::Scalar(Scalar::Null)) {
        root.value = Value::Mapping(Vec::new());
    }
    Ok((root, faults))
}

fn check<T: JsonSchema>(root: &Node) -> Vec<Fault> {
    match Shapes::compile(&schema_of::<T>()) {
        Ok(shapes) => diagnose::diagnose(&shapes, root),
        Err(constructs) => {
            let internal = |construct| format!("the schema of the settings cannot be checked: {construct}");
            constructs.into_iter().map(|it| Fault::new("", Position::START, internal(it))).collect()
        }
    }
}
