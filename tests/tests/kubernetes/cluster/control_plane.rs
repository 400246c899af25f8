//! The processes of the control plane, and what they are told.

use super::server::Server;
use super::{Cluster, NODES, Ports, RESERVED_LABEL, RESERVED_NODE, RESERVED_ZONE};
use anyhow::{Context, Result};
use forebay_tests::process;
use forebay_tests::tools::{self, Tool};
use std::fs;
use std::process::Command;

/// The administrator's.
const TOKEN: &str = "drill";

impl Cluster {
    pub(super) fn write_files(&self) -> Result<()> {
        let Ports { api, .. } = self.ports;
        let folder = self.folder.path();
        // Signs the tokens of service accounts, and checks them.
        let mut key = Command::new("openssl");
        key.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]);
        process::run(key.arg(folder.join("accounts.key")))?;
        fs::write(folder.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        let certificate = folder.join("certificates/apiserver.crt").display().to_string();
        let access = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "drill",
            "clusters": [{"name": "drill", "cluster": {
                "server": format!("https://127.0.0.1:{api}"), "certificate-authority": certificate,
            }}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "drill", "context": {"cluster": "drill", "user": "admin"}}],
        });
        fs::write(self.access_file(), access.to_string())?;
        let forwards = serde_json::json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterPortForward",
            "metadata": {"name": "admin"},
            "spec": {"forwards": [{
                "ports": [9600], "target": {"address": "127.0.0.1", "port": self.gateway.ports.admin},
            }]},
        });
        fs::write(folder.join("pod-delete.yaml"), include_str!("pod-delete.yaml"))?;
        Ok(fs::write(folder.join("forwards.yaml"), forwards.to_string())?)
    }

    pub(super) fn start_store(&mut self) -> Result<()> {
        let Ports { store, store_peer, .. } = self.ports;
        let (clients, peers) =
            (format!("http://127.0.0.1:{store}"), format!("http://127.0.0.1:{store_peer}"));
        let mut etcd = Command::new(tools::etcd().context("no etcd")?);
        etcd.args(["--data-dir=store", "--unsafe-no-fsync", "--name=drill"]);
        etcd.arg(format!("--listen-client-urls={clients}"));
        etcd.arg(format!("--advertise-client-urls={clients}"));
        etcd.arg(format!("--listen-peer-urls={peers}"));
        etcd.arg(format!("--initial-advertise-peer-urls={peers}"));
        etcd.arg(format!("--initial-cluster=drill={peers}"));
        self.server("store", etcd)
    }

    pub(super) fn start_api(&mut self) -> Result<()> {
        let Ports { store, api, .. } = self.ports;
        let mut server = Tool::KubeApiserver.command()?;
        server.arg(format!("--etcd-servers=http://127.0.0.1:{store}")).arg(format!("--secure-port={api}"));
        server.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
        // No endpoints for the Service `kubernetes`: they may not be on a loopback address.
        server.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16"]);
        server.args(["--cert-dir=certificates", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC"]);
        server.arg("--service-account-issuer=https://kubernetes.default.svc");
        server.args([
            "--service-account-key-file=accounts.key",
            "--service-account-signing-key-file=accounts.key",
        ]);
        // Else it refuses privileged pods by itself, and Pod Security is never asked.
        server.arg("--allow-privileged=true");
        // Debian's etcd cannot do what it needs; kwok's watches would fail, and begin again later and later.
        server.arg("--feature-gates=WatchList=false");
        // The others have names that nobody resolves.
        server.arg("--kubelet-preferred-address-types=InternalIP");
        self.server("api", server)
    }

    pub(super) fn start_controllers(&mut self) -> Result<()> {
        let Ports { controllers, scheduler, .. } = self.ports;
        let mut manager = Tool::KubeControllerManager.command()?;
        manager.arg("--kubeconfig").arg(self.access_file()).arg(format!("--secure-port={controllers}"));
        manager.args(["--bind-address=127.0.0.1", "--leader-elect=false"]);
        manager.args([
            "--service-account-private-key-file=accounts.key",
            "--root-ca-file=certificates/apiserver.crt",
        ]);
        // A simulated node is never lost, only late.
        manager.args(["--horizontal-pod-autoscaler-sync-period=1s", "--node-monitor-grace-period=300s"]);
        self.server("controllers", manager)?;
        let mut server = Tool::KubeScheduler.command()?;
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            server.arg(flag).arg(self.access_file());
        }
        server.args(["--bind-address=127.0.0.1", "--leader-elect=false"]);
        self.server("scheduler", {
            server.arg(format!("--secure-port={scheduler}"));
            server
        })
    }

    pub(super) fn start_nodes(&mut self) -> Result<()> {
        let Ports { nodes, .. } = self.ports;
        let mut kwok = Tool::Kwok.command()?;
        kwok.arg("--kubeconfig").arg(self.access_file()).arg("--manage-all-nodes=true");
        // Nobody else plays nodes here, so that none has to be leased; while leases are fought for, pods stay as they are.
        kwok.args(["--node-ip=127.0.0.1", "--node-lease-duration-seconds=0"]);
        kwok.arg(format!("--node-port={nodes}")).arg(format!("--server-address=127.0.0.1:{nodes}"));
        // The API server talks to nodes by TLS, and asks for no certain certificate.
        kwok.arg("--tls-cert-file=certificates/apiserver.crt");
        kwok.arg("--tls-private-key-file=certificates/apiserver.key");
        for file in Tool::Kwok.files()? {
            if !file.ends_with("pod-delete.yaml") {
                kwok.arg("--config").arg(file);
            }
        }
        self.server("kwok", {
            kwok.args(["--config", "pod-delete.yaml", "--config", "forwards.yaml"]);
            kwok
        })?;
        for (name, zone) in NODES {
            self.apply(&node(name, zone, None))?;
        }
        self.apply(&node(RESERVED_NODE, RESERVED_ZONE, Some(RESERVED_LABEL)))
    }

    fn server(&mut self, name: &'static str, mut program: Command) -> Result<()> {
        self.servers.push(Server::start(name, &mut program, self.folder.path())?);
        Ok(())
    }
}

fn node(name: &str, zone: &str, reserved: Option<&str>) -> String {
    let mut node = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone,
        }},
        "status": {
            "allocatable": {"cpu": "500", "memory": "1Ti", "pods": "500"},
            "capacity": {"cpu": "500", "memory": "1Ti", "pods": "500"},
        },
    });
    if let Some(label) = reserved {
        node["metadata"]["labels"][label] = "yes".into();
    }
    node.to_string()
}
