//! What operators do with the gateway, without a cluster and without a container engine: add a process, upgrade each of several under load,
//! run the image's root file system, limit it as a container is limited, set Elasticsearch up with `deploy/elasticsearch/setup.sh`.

#![allow(clippy::unwrap_used)]
// The figures belong in the tests' output.
#![allow(clippy::print_stdout)]

mod clients;
mod cluster;
mod image;
mod kibana;
mod limits;
mod rollout;
mod setup;
mod takeover;
