//! A real Envoy as App Mesh ran one for a virtual gateway. Its routes are a file, which it reads again when a new one
//! is moved into the folder.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    ask,
    program::{self, Program},
};
use crate::waiting::eventually;

pub const MESH: &str = "mesh";
pub const GATEWAY: &str = "gw";
pub const PORT: u16 = 8080;

/// Weights by version.
pub type Weights = BTreeMap<String, i64>;

pub struct Envoy {
    _program: Program,
    /// Where it takes requests.
    pub ingress: SocketAddr,
    pub routes: Routes,
}

/// A request with this header is tried again where it fails.
pub const RETRIED: &str = "x-retried";

/// The file with an Envoy's routes.
#[derive(Clone)]
pub struct Routes {
    file: PathBuf,
    namespace: String,
    pub admin: SocketAddr,
}

impl Envoy {
    /// An Envoy in front of these versions, with these weights to begin with.
    pub async fn start(
        folder: &Path,
        namespace: &str,
        versions: &BTreeMap<&str, SocketAddr>,
        weights: &Weights,
    ) -> Self {
        let folder = folder.join("envoy");
        let (watched, admin) = (folder.join("routes"), folder.join("admin"));
        std::fs::create_dir_all(&watched).unwrap();
        let file = watched.join("routes.json");
        std::fs::write(&file, configuration(namespace, 0, weights).to_string()).unwrap();
        let bootstrap = folder.join("envoy.json");
        std::fs::write(&bootstrap, self::bootstrap(namespace, versions, &file).to_string()).unwrap();
        let mut command = Command::new(program::envoy());
        command.arg("-c").arg(bootstrap).arg("--admin-address-path").arg(&admin);
        // A hot restart would share memory with the other Envoys of this machine.
        command.args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        let program = Program::start(command, folder.join("envoy.log"));
        let told = || async { std::fs::read_to_string(&admin).ok().and_then(|told| told.parse().ok()) };
        let admin: SocketAddr = eventually("Envoy starts", told, Option::is_some).await.unwrap();
        let routes = Routes { file, namespace: namespace.to_owned(), admin };
        eventually("Envoy has its routes", || routes.version(), |version| *version == Some(0)).await;
        let ingress = eventually("Envoy listens", || ingress(admin), Option::is_some).await.unwrap();
        Self { _program: program, ingress, routes }
    }

    /// Its own statistics.
    pub fn stats(&self) -> String {
        format!("http://{}/stats/prometheus", self.routes.admin)
    }
}

impl Routes {
    /// Gives Envoy new weights, and waits until it goes by them.
    pub async fn write(&self, version: u64, weights: &Weights) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, configuration(&self.namespace, version, weights).to_string()).unwrap();
        // It looks only when something is moved in.
        std::fs::rename(next, &self.file).unwrap();
        eventually("Envoy takes the weights", || self.version(), |seen| *seen == Some(version)).await;
    }

    /// The version that Envoy goes by.
    async fn version(&self) -> Option<u64> {
        let stats = ask(&format!("http://{}/stats?filter=rds.*version_text&format=json", self.admin)).await?;
        stats.pointer("/stats/0/value")?.as_str()?.parse().ok()
    }
}

async fn ingress(admin: SocketAddr) -> Option<SocketAddr> {
    let listeners = ask(&format!("http://{admin}/listeners?format=json")).await?;
    let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    format!("{}:{}", address["address"].as_str()?, address["port_value"]).parse().ok()
}

/// What App Mesh's controller called the cluster of a version.
fn cluster(version: &str, namespace: &str) -> String {
    format!("cds_egress_{MESH}_{version}_{namespace}_http_{PORT}")
}

fn bootstrap(namespace: &str, versions: &BTreeMap<&str, SocketAddr>, routes: &Path) -> Value {
    let gateway = format!("{GATEWAY}_{namespace}");
    let file = json!({
        "path_config_source": { "path": routes, "watched_directory": { "path": routes.parent() } },
        "resource_api_version": "V3",
    });
    let extension = "type.googleapis.com/envoy.extensions.filters";
    let manager = json!({
        "@type": format!("{extension}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "ingress",
        "rds": { "route_config_name": "routes", "config_source": file },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": format!("{extension}.http.router.v3.Router") },
        }],
    });
    let filter = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
    let any_port = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let clusters = versions.iter().map(|(version, address)| {
        let name = cluster(version, namespace);
        let address = json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } });
        let endpoints = json!([{ "lb_endpoints": [{ "endpoint": { "address": address } }] }]);
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": { "cluster_name": name, "endpoints": endpoints },
        })
    });
    let clusters: Value = clusters.collect();
    json!({
        "node": { "id": format!("mesh/{MESH}/virtualGateway/{gateway}/0"), "cluster": gateway },
        "admin": { "address": any_port },
        "stats_flush_interval": "1s",
        // As under ENABLE_ENVOY_STATS_TAGS: what Prometheus shows as appmesh_mesh and appmesh_virtual_gateway.
        "stats_config": { "stats_tags": [
            { "tag_name": "appmesh.mesh", "fixed_value": MESH },
            { "tag_name": "appmesh.virtual_gateway", "fixed_value": gateway },
        ] },
        "static_resources": {
            "listeners": [{
                "name": "ingress", "address": any_port, "filter_chains": [{ "filters": [filter] }],
            }],
            "clusters": clusters,
        },
    })
}

fn configuration(namespace: &str, version: u64, weights: &Weights) -> Value {
    let clusters: Value = weights
        .iter()
        .map(|(version, weight)| json!({ "name": cluster(version, namespace), "weight": weight }))
        .collect();
    let weighted = json!({ "clusters": clusters });
    let plain = json!({ "match": { "prefix": "/" }, "route": { "weighted_clusters": weighted } });
    // As App Mesh's default has it, for those who ask for it.
    let policy = json!({ "retry_on": "5xx,connect-failure,reset", "num_retries": 2 });
    let retried = json!({
        "match": { "prefix": "/", "headers": [{ "name": RETRIED, "present_match": true }] },
        "route": { "weighted_clusters": weighted, "retry_policy": policy },
    });
    json!({ "version_info": version.to_string(), "resources": [{
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "routes",
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [retried, plain] }],
    }] })
}
