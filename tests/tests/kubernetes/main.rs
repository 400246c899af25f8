//! What `deploy/` has for Kubernetes, before the programs that it is made for: Helm, Kustomize, kubeconform, Gatekeeper and
//! Prometheus themselves, and before a real control plane whose pods are simulated (`cluster`). `cargo xtask setup --all` builds them.

#![allow(clippy::unwrap_used)]

mod admission;
mod chart;
mod cluster;
mod dashboard;
mod deploying;
mod documented;
mod ending;
mod equal;
mod exposition;
mod fits;
mod manifests;
mod odd;
mod overlays;
mod policies;
mod programs;
mod prometheus;
mod releases;
mod remote_write;
mod render;
mod rules;
mod scaling;
mod scripts;
