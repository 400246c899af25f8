//! What `deploy/` has for Kubernetes, before the programs that it is made for: Helm, Kustomize, kubeconform, Gatekeeper and
//! Prometheus themselves. `cargo xtask setup --all` builds them.

#![allow(clippy::unwrap_used)]

mod chart;
mod dashboard;
mod equal;
mod fits;
mod manifests;
mod policies;
mod programs;
mod prometheus;
mod render;
mod rules;
