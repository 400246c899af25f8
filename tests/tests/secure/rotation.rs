//! Certificates and secrets that are replaced on disk, under the real process.

use crate::world::{EITHER, TOKEN, World, link};
use forebay_tests::wait_until;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
const RELOADS: &str = "forebay_receiver_file_reloads_total";

fn reloads(world: &World, setting: &str, result: &str) -> f64 {
    world.count(RELOADS, &[("receiver", "json"), ("setting", setting), ("result", result)])
}

/// A client keeps sending on one connection while the certificate is replaced three times, as Kubernetes replaces a Secret. It sees
/// no error, and its connection lives through all of it.
#[test]
fn a_renewed_certificate_is_taken_on_and_nobody_is_disturbed() {
    let world = World::start(EITHER);
    let folder = world.gateway.folder();
    let agent = agent(&world);
    let address = format!("https://127.0.0.1:{}/", world.gateway.ports.json);
    let send = |token: &str| {
        let header = format!("Bearer {token}");
        // Only a connection whose answer was read in full is used again.
        agent.post(&address).header("authorization", header).send("{}")?.body_mut().read_to_string().map(drop)
    };
    send(TOKEN).unwrap();
    let is_over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut sent = 1;
            while !is_over.load(Relaxed) {
                send(TOKEN).unwrap();
                sent += 1;
            }
            sent
        });
        let replaced = (2..5).try_for_each(|version| {
            let name = format!("..{version}");
            fs::create_dir(folder.join(&name)).unwrap();
            world.authority.server(&folder.join(&name), version);
            link(folder, &name);
            wait_until("the new certificate", SOON, || {
                Ok((reloads(&world, "tls", "done") == version as f64 - 1.0).then_some(()))
            })
        });
        // Before anything is judged, or the client would go on for ever.
        is_over.store(true, Relaxed);
        replaced.unwrap();
        client.join().unwrap()
    });
    let done = world.count("forebay_receiver_tls_handshakes_total", &[("receiver", "json")]);
    assert_eq!((done, world.count("forebay_receiver_tls_handshake_failures_total", &[])), (1.0, 0.0));
    let ledger = world.gateway.balanced_ledger(SOON).unwrap();
    assert_eq!(ledger.delivered, f64::from(sent), "{ledger:?}");

    // A half-finished one changes nothing but the log and the count.
    fs::create_dir(folder.join("..5")).unwrap();
    world.authority.server(&folder.join("..5"), 5);
    fs::copy(folder.join("..4/tls.key"), folder.join("..5/tls.key")).unwrap();
    link(folder, "..5");
    wait_until("it to be refused", SOON, || Ok((reloads(&world, "tls", "refused") == 1.0).then_some(())))
        .unwrap();
    assert!(world.log().contains("is not the key of the certificate"), "{}", world.log());
    send(TOKEN).unwrap();
}

#[test]
fn a_token_is_replaced_at_once_on_sighup() {
    let world = World::start(&EITHER.replace("200ms", "1h"));
    let agent = agent(&world);
    let address = format!("https://127.0.0.1:{}/", world.gateway.ports.json);
    let send = |token: &str| match agent
        .post(&address)
        .header("authorization", format!("Bearer {token}"))
        .send("{}")
    {
        Ok(_) => 200,
        Err(ureq::Error::StatusCode(status)) => status,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((send(TOKEN), send("the-next")), (200, 401));
    fs::write(world.gateway.folder().join("tokens"), "the-next\n").unwrap();
    world.gateway.sighup().unwrap();
    wait_until("the new token", SOON, || Ok((send("the-next") == 200).then_some(()))).unwrap();
    assert_eq!(send(TOKEN), 401);
}

/// A client that trusts the authority and keeps its connection.
fn agent(world: &World) -> ureq::Agent {
    let root = ureq::tls::Certificate::from_pem(world.authority.pem.as_bytes()).unwrap();
    let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
    ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(SOON)).build().into()
}
