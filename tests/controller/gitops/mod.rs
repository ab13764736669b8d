//! The tools that bring Git's manifests into a cluster, for real: what each does to weights of ours, and what it makes of
//! a Rollout's health. What `docs/gitops.md` says of them is read from there and run.

mod argo_cd;
mod asking;
mod doc;
mod examples;
mod flux;
mod health;
mod helm;
mod kubectl;
mod release;
mod routes;
mod tool;
mod weights;
