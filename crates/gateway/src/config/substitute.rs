//! `${NAME}`, `${NAME:-default}` and `${file:/path}` inside the scalars of a configuration.

use std::io::{self, Read};

/// The largest file a `${file:...}` may name, in bytes: room for any key or certificate bundle.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the values of substitutions come from.
pub trait Environment {
    /// The value of an environment variable; `None` where it is unset or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file of at most [`MAX_FILE_BYTES`].
    fn file(&self, path: &str) -> io::Result<String>;
}

/// The environment and the files of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        let read = std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(text)
    }
}

/// A scalar after substitution.
#[derive(Debug, PartialEq, Eq)]
pub struct Substituted {
    pub text: String,
    /// Whether any part of it came from outside the file, so that it must not be shown.
    pub foreign: bool,
}

/// Replaces every `${...}` in `text`; `$${` stands for a literal `${`.
///
/// # Errors
/// What is wrong, in words that name the variable or file but never a value.
pub fn substitute(text: &str, environment: &dyn Environment) -> Result<Substituted, String> {
    let mut out = String::with_capacity(text.len());
    let mut foreign = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let Some(end) = from.find('}') else {
            return Err("`${` without its `}`; write `$${` for a literal `${`".to_owned());
        };
        out.push_str(&resolve(&from[2..end], environment)?);
        foreign = true;
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(Substituted { text: out, foreign })
}

/// The value of what stands between the braces.
fn resolve(reference: &str, environment: &dyn Environment) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        return read_file(path, environment);
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_variable_name(name) {
        let forms = "`${NAME}`, `${NAME:-default}` or `${file:/path}`";
        return Err(format!(
            "not a substitution: `${{{reference}}}`; write {forms}, and `$${{` for a literal `${{`"
        ));
    }
    match (environment.variable(name), default) {
        // As in a shell, `:-` also replaces a variable that is set but empty.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the environment variable `{name}` is not set (or not UTF-8) and has no default"))
        }
    }
}

fn read_file(path: &str, environment: &dyn Environment) -> Result<String, String> {
    let mut content =
        environment.file(path).map_err(|error| format!("the file `{path}` cannot be read: {error}"))?;
    // Editors and `kubectl create secret` end a file with a line break that is no part of the secret.
    if content.ends_with('\n') {
        content.pop();
        if content.ends_with('\r') {
            content.pop();
        }
    }
    Ok(content)
}

fn is_variable_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::io::Write;

    use super::*;

    /// Variables by name, and files by path, of a test.
    #[derive(Debug, Default)]
    pub struct Fixed(pub BTreeMap<&'static str, &'static str>);

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|value| (*value).to_owned())
        }

        fn file(&self, path: &str) -> io::Result<String> {
            self.variable(path).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
        }
    }

    fn run(text: &str) -> Result<String, String> {
        let known = Fixed(BTreeMap::from([("HOST", "es1"), ("EMPTY", ""), ("/run/key", "hunter2\n\n")]));
        substitute(text, &known).map(|substituted| substituted.text)
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(run("http://${HOST}:9200").unwrap(), "http://es1:9200");
        assert_eq!(run("${HOST}${HOST}").unwrap(), "es1es1");
        assert_eq!(run("${NONE:-a:-b}").unwrap(), "a:-b");
        assert_eq!(run("${HOST:-other}").unwrap(), "es1");
        assert_eq!(run("${EMPTY:-other}").unwrap(), "other");
        assert_eq!(run("${EMPTY}").unwrap(), "");
        assert_eq!(run("${NONE:-}").unwrap(), "");
        assert_eq!(run("${file:/run/key}").unwrap(), "hunter2\n");
    }

    #[test]
    fn other_dollars_stay() {
        assert_eq!(run("$${HOST} and $HOST, 5$, $$").unwrap(), "${HOST} and $HOST, 5$, $$");
        assert_eq!(run("$$${HOST}").unwrap(), "$${HOST}");
    }

    #[test]
    fn only_replaced_text_is_foreign() {
        let known = Fixed(BTreeMap::from([("HOST", "es1")]));
        assert!(substitute("a${HOST}", &known).unwrap().foreign);
        assert!(!substitute("a$${HOST}", &known).unwrap().foreign);
        assert!(!substitute("plain", &known).unwrap().foreign);
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        assert!(run("${NONE}").unwrap_err().contains("`NONE` is not set"));
        assert!(run("${file:/none}").unwrap_err().contains("`/none` cannot be read: no such file"));
        assert!(run("a ${HOST").unwrap_err().contains("without its `}`"));
        assert!(run("${HO ST}").unwrap_err().contains("not a substitution: `${HO ST}`"));
        assert!(run("${}").unwrap_err().contains("not a substitution"));
        assert!(run("${1A}").unwrap_err().contains("not a substitution"));
    }

    #[test]
    fn files_are_read_up_to_a_size() {
        let mut small = tempfile::NamedTempFile::new().unwrap();
        small.write_all(b"secret\r\n").unwrap();
        let reference = format!("${{file:{}}}", small.path().display());
        assert_eq!(substitute(&reference, &ProcessEnvironment).unwrap().text, "secret");

        let endless = substitute("${file:/dev/zero}", &ProcessEnvironment).unwrap_err();
        assert!(endless.contains("larger than 1 MiB"), "{endless}");
    }
}
