//! The plan of a gateway, or of a node's own Envoys, in Envoy's words (xDS, version 3 of its interface), and the service that gives
//! it to them. The same plan always gives the same bytes.
//!
//! | resource | made of |
//! |---|---|
//! | Listener | a port of the gateway; or one for what a pod sends and one for what comes to it. Routes come by RDS under its own name |
//! | RouteConfiguration | all routes that the port has, in the table's order, by virtual host |
//! | Cluster | a virtual node at a port, under App Mesh's name for it |
//! | ClusterLoadAssignment | the endpoints of a cluster that does not ask DNS |
//! | Secret | files with certificates, by their paths |

mod any;
mod bootstrap;
mod cluster;
mod fleet;
mod hub;
mod listener;
mod path;
mod route;
mod server;
mod session;
mod sidecar;
mod snapshot;
mod tls;

pub use bootstrap::{Bootstrap, Identity};
pub use fleet::{Fleet, NoFleet, Role};
pub use hub::{Connected, Hub};
pub use server::Discovery;
pub use session::{Answer, Ask, Published, Session, Standing};
pub use snapshot::{Kind, Resources, Snapshot};
pub use tls::SECRETS;
