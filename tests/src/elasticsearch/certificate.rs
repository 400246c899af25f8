//! The certificate of a node that speaks HTTPS. The JDK, which the node needs anyway, has a tool that makes one.

use super::PASSWORD;
use crate::process;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Key and certificate for the node, in its configuration folder, the only one that it may read them from.
pub(super) const STORE: &str = "http.p12";
/// The certificate alone, for clients.
pub(super) const PEM: &str = "http.pem";

/// Makes a certificate for 127.0.0.1, signed by itself, as [`STORE`] (locked with [`PASSWORD`]) and [`PEM`].
pub(super) fn make(java_home: &Path, config: &Path) -> Result<()> {
    let keytool = |args: &[&str]| {
        let mut command = Command::new(java_home.join("bin/keytool"));
        command.args(args).args(["-alias", "node", "-keystore", STORE, "-storepass", PASSWORD]);
        process::run(command.current_dir(config)).map(drop)
    };
    let subject = ["-dname", "CN=forebay-harness", "-ext", "san=ip:127.0.0.1", "-validity", "2"];
    keytool(&[&["-genkeypair", "-keyalg", "EC", "-storetype", "PKCS12"], &subject[..]].concat())?;
    keytool(&["-exportcert", "-rfc", "-file", PEM])
}
