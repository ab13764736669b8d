//! `tidegate gateway`: the control plane of the data plane, and the bootstraps of its Envoys.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    config::{LeaderElection, LogConfig},
    controller,
    gateway::{self, Files, Settings},
    telemetry::{self, TelemetryError},
    xds::{Bootstrap, Fleet, Identity},
};

/// Serves Envoys until SIGTERM or ctrl-c.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the bootstrap of the Envoys of a gateway, or of those beside a node's pods, for `envoy --config-path`
    Bootstrap(BootstrapArgs),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Where Envoys connect
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:18000")]
    listen: SocketAddr,
    /// Where the list of Envoys (/envoys) is served, by the replica that has them
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:18001")]
    registry: SocketAddr,
    /// Where health (/livez, /readyz) is served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    health: SocketAddr,
    /// The certificate that is shown to Envoys, and those that lead to an authority (PEM). Read anew when it changes
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_authority"], required_unless_present = "plaintext")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The authorities that the certificates of Envoys have to be of (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_authority: Option<PathBuf>,
    /// Let everybody in who reaches the port, in the clear
    #[arg(long, conflicts_with = "tls_certificate")]
    plaintext: bool,
    /// A namespace that is served; given several times, several. Without one, all are
    #[arg(long = "namespace", short, value_name = "NAME")]
    namespaces: Vec<String>,
    /// The Lease by which one of several replicas leads. Without one, there is one replica
    #[arg(long, value_name = "NAME")]
    lease: Option<String>,
    /// The namespace of the Lease; default: the one that this runs in
    #[arg(long, value_name = "NAME", requires = "lease")]
    lease_namespace: Option<String>,
    /// The kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What is logged, like info or info,kube=debug
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,
}

#[derive(Debug, clap::Args)]
struct BootstrapArgs {
    /// The name of the VirtualGateway, or of the VirtualNode
    name: String,
    /// It is a VirtualNode: the Envoy stands beside one of its pods
    #[arg(long)]
    virtual_node: bool,
    /// Its namespace
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// The name of its mesh
    #[arg(long, value_name = "NAME", default_value = "mesh")]
    mesh: String,
    /// The host of the control plane
    #[arg(long, value_name = "HOST", default_value = "tidegate-gateway.tidegate")]
    host: String,
    /// Its port
    #[arg(long, value_name = "PORT", default_value_t = 18000)]
    port: u16,
    /// The directory, where Envoy runs, of tls.crt, tls.key and ca.crt, as Kubernetes mounts a Secret of certificates
    #[arg(long, value_name = "DIRECTORY", required_unless_present = "plaintext")]
    tls: Option<String>,
    /// Connect in the clear
    #[arg(long, conflicts_with = "tls")]
    plaintext: bool,
    /// The port of Envoy's own pages, on its loopback address
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    admin_port: u16,
    /// The port of its statistics, for everybody who reaches it
    #[arg(long, value_name = "PORT", default_value_t = 9902)]
    stats_port: u16,
    /// The socket, where Envoy runs, of a server of secrets (SDS), for objects that name secrets of one
    #[arg(long, value_name = "PATH")]
    secrets: Option<String>,
}

/// Why the control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The log.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The signals that end it can't be listened for.
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] std::io::Error),
    /// The API server.
    #[error(transparent)]
    Client(#[from] controller::Error),
    /// The control plane.
    #[error(transparent)]
    Gateway(#[from] gateway::Error),
    /// The bootstrap cannot be printed.
    #[error("cannot write the bootstrap")]
    Json(#[from] serde_json::Error),
}

/// Serves Envoys, or prints a bootstrap.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub async fn run(args: Args) -> Result<(), GatewayError> {
    match args.command {
        Some(Command::Bootstrap(args)) => {
            println!("{}", serde_json::to_string_pretty(&args.bootstrap().config())?);
            Ok(())
        }
        None => serve(args.serve).await,
    }
}

async fn serve(args: Serve) -> Result<(), GatewayError> {
    telemetry::start(&LogConfig::default(), args.log.as_deref())?;
    let stop = super::signals::stop().map_err(GatewayError::Signal)?;
    let client = controller::client(args.kubeconfig.as_deref()).await?;
    let files = args.tls_certificate.zip(args.tls_key).zip(args.tls_authority);
    let settings = Settings {
        listen: args.listen,
        registry: args.registry,
        health: args.health,
        identity: files.map(|((certificate, key), authority)| Files { certificate, key, authority }),
        namespaces: args.namespaces,
        lease: args.lease.map(|lease| LeaderElection { lease, namespace: args.lease_namespace }),
    };
    Box::pin(gateway::run(settings, client, stop)).await?;
    Ok(())
}

impl BootstrapArgs {
    fn bootstrap(self) -> Bootstrap {
        let identity = |directory: String| {
            let file = |name: &str| format!("{}/{name}", directory.trim_end_matches('/'));
            Identity { certificate: file("tls.crt"), key: file("tls.key"), authority: file("ca.crt") }
        };
        Bootstrap {
            fleet: if self.virtual_node {
                Fleet::sidecars(self.namespace, self.name)
            } else {
                Fleet::gateway(self.namespace, self.name)
            },
            mesh: self.mesh,
            host: self.host,
            port: self.port,
            tls: self.tls.map(identity),
            admin: ("127.0.0.1".to_owned(), self.admin_port),
            stats: Some(self.stats_port),
            secrets: self.secrets,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BootstrapArgs,
    }

    #[test]
    fn a_bootstrap_is_of_a_gateway_or_of_a_node() {
        for (more, id, tag) in [
            (&[][..], "mesh/color/virtualGateway/front_shop", "appmesh.virtual_gateway"),
            (&["--virtual-node"], "mesh/color/virtualNode/front_shop", "appmesh.virtual_node"),
        ] {
            let line = ["bootstrap", "front", "-n", "shop", "--mesh", "color", "--plaintext"];
            let line = Line::try_parse_from(line.iter().chain(more)).unwrap();
            let config = line.args.bootstrap().config();
            assert_eq!(config["node"]["id"], id);
            assert_eq!(config["stats_config"]["stats_tags"][1]["tag_name"], tag);
            assert_eq!(config["stats_config"]["stats_tags"][1]["fixed_value"], "front_shop");
        }
    }
}
