//! Folders and addresses that two parts of one process cannot share.

use super::Settings;
use forebay_sinks::SinkConfig;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

impl Settings {
    /// Folders that are used twice, or cannot be: path, and what is wrong.
    pub(super) fn folder_faults(&self) -> Vec<(String, String)> {
        let journal = self.journal.iter();
        let journal =
            journal.map(|it| ("journal.path".to_owned(), it.path.as_path(), "the journal is kept there"));
        let mut folders = vec![(
            "dead_letters.path".to_owned(),
            self.dead_letters.path.as_path(),
            "the dead letters are kept there",
        )];
        folders.extend(journal);
        for (name, sink) in &self.sinks {
            if let SinkConfig::File(file) = sink {
                folders.push((
                    format!("sinks.{name}.path"),
                    &file.path,
                    "another file sink writes there already",
                ));
            }
        }
        let mut faults = Vec::new();
        let mut taken: Vec<(PathBuf, &str)> = Vec::new();
        for (setting, path, why) in folders {
            let folder = normal(path);
            if path.as_os_str().as_encoded_bytes().contains(&0) {
                faults.push((setting, "a path cannot hold a NUL character".to_owned()));
            } else if let Some((_, why)) = taken.iter().find(|(other, _)| *other == folder) {
                faults.push((setting, (*why).to_owned()));
            }
            taken.push((folder, why));
        }
        faults
    }

    /// Addresses that two listeners want, and the lack of any.
    pub(super) fn address_faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let receivers = self.receivers.ports();
        if receivers.is_empty() {
            let why = "nothing is listened to: name a receiver, such as `json: {}` for one with its defaults";
            faults.push(("receivers".to_owned(), why.to_owned()));
        }
        let receivers =
            receivers.into_iter().map(|port| (format!("receivers.{}.listen", port.path), port.listen));
        let listeners: Vec<_> = receivers.chain([("admin.listen".to_owned(), self.admin.listen)]).collect();
        for (i, (path, address)) in listeners.iter().enumerate() {
            if let Some((other, taken)) =
                listeners[..i].iter().find(|(_, earlier)| overlap(*earlier, *address))
            {
                faults.push((path.clone(), format!("`{other}` listens on {taken} already")));
            }
        }
        faults
    }

    /// Templates that two sinks would install in turn, each over the other's.
    pub(super) fn template_faults(&self) -> Vec<(String, String)> {
        let clusters = self.sinks.iter().filter_map(|(name, sink)| match sink {
            SinkConfig::Elasticsearch(config) => Some((name, config)),
            _ => None,
        });
        let clusters: Vec<_> = clusters.collect();
        let mut faults = Vec::new();
        for (i, (name, config)) in clusters.iter().enumerate() {
            if let Some((other, _)) =
                clusters[..i].iter().find(|(_, earlier)| earlier.overwrites_template(config))
            {
                let why = format!("`{other}` installs another template of this name on the same cluster");
                faults.push((format!("sinks.{name}.template.name"), why));
            }
        }
        faults
    }
}

/// Whether both cannot be listened on: an unspecified address stands for each of its family, and that of IPv6 for IPv4 as well. Port 0 is
/// another one every time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers =
        |all: SocketAddr, it: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || it.is_ipv4());
    let same_port = one.port() == other.port() && one.port() != 0;
    same_port && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// The one way to write a folder that may not be there yet: absolute, links followed as far as it is.
fn normal(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in whole.ancestors() {
        let (Ok(real), Ok(rest)) = (there.canonicalize(), whole.strip_prefix(there)) else { continue };
        return rest.components().fold(real, |mut folder, component| {
            match component {
                Component::ParentDir => drop(folder.pop()),
                other => folder.push(other),
            }
            folder
        });
    }
    whole
}
