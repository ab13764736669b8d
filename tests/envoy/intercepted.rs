//! A pod whose connections are redirected to the Envoy beside it, as App Mesh's init container does: a network of its own, and its rules.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::json;
use tidegate::{sandbox::backends::Backend, xds::Fleet};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    certificates::{authority, write},
    program::{Program, envoy, is_there},
    served::Served,
    sidecars::{encrypted, found, planned, port},
    skip::skip,
    waiting::eventually,
};

/// The group whose connections are not redirected: Envoy's.
const ENVOYS_GROUP: &str = "1337";
/// Ports of the pod. The last one the node does not name.
const HTTP: u16 = 8080;
const SPEAKS_FIRST: u16 = 9000;
const UNNAMED: u16 = 9090;

/// A network with one machine beside this one; it is gone once this is dropped.
struct Network {
    name: String,
    /// This machine, and the other one.
    here: Ipv4Addr,
    there: Ipv4Addr,
}

impl Network {
    /// None where this process may not make any.
    fn make() -> Option<Self> {
        let id = std::process::id();
        let [high, low] = u16::try_from(id % 16_000).unwrap_or_default().to_be_bytes();
        let at = |last: u8| Ipv4Addr::new(10, 192 + high, low, last);
        let network = Self { name: format!("tidegate-{id}"), here: at(1), there: at(2) };
        network.lay().then_some(network)
    }

    /// Lays the cable, and the rules.
    fn lay(&self) -> bool {
        let Self { name, here, there } = self;
        let (ours, theirs) = (format!("tg{}", std::process::id()), "eth0");
        let link = format!("link add {ours} type veth peer name {theirs} netns {name}");
        let on_this = [
            format!("netns add {name}"),
            link,
            format!("addr add {here}/24 dev {ours}"),
            format!("link set {ours} up"),
        ];
        let on_other = [
            format!("addr add {there}/24 dev {theirs}"),
            format!("link set {theirs} up"),
            "link set lo up".to_owned(),
            format!("route add default via {here}"),
        ];
        let redirects = [
            format!("OUTPUT -p tcp -m owner --gid-owner {ENVOYS_GROUP} -j RETURN"),
            "OUTPUT -p tcp -d 127.0.0.1/32 -j RETURN".to_owned(),
            "OUTPUT -p tcp -j REDIRECT --to-ports 15001".to_owned(),
        ];
        let to_it = |port: u16| format!("PREROUTING -p tcp --dport {port} -j REDIRECT --to-ports 15000");
        let redirects = redirects.into_iter().chain([HTTP, SPEAKS_FIRST, UNNAMED].map(to_it));
        on_this.iter().all(|told| succeeds(Command::new("ip").args(told.split(' '))))
            && on_other.iter().all(|told| succeeds(self.on_it("ip").args(told.split(' '))))
            && redirects
                .into_iter()
                .all(|rule| succeeds(self.on_it("iptables").args(["-t", "nat", "-A"]).args(rule.split(' '))))
    }

    /// A program of the machine, to be run on the other one.
    fn on_it(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// What a request from there, by a version of HTTP, is answered; `None` where it is not.
    async fn request(&self, version: &str, to: &str, host: &str) -> Option<String> {
        let mut curl = self.on_it("curl");
        curl.args(["--silent", "--max-time", "20", version, "--header", &format!("host: {host}"), to]);
        said(curl).await
    }

    /// What comes from a port before anything was sent to it.
    async fn banner(&self, address: SocketAddr) -> Option<String> {
        let script = format!(
            "import socket; print(socket.create_connection(({:?}, {}), 20).recv(100).decode(), end='')",
            address.ip().to_string(),
            address.port()
        );
        let mut python = self.on_it("python3");
        python.args(["-c", &script]);
        said(python).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        succeeds(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

async fn said(mut command: Command) -> Option<String> {
    let run = move || command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Output { status, stdout, .. } = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    status.success().then(|| String::from_utf8(stdout).unwrap())
}

/// A network, where the machine has what it takes.
fn network() -> Option<Network> {
    if !is_there(&envoy()) {
        skip("there is no envoy: TIDEGATE_ENVOY may name one");
        return None;
    }
    let tools = ["iptables", "setpriv", "curl", "python3"];
    let made = tools.iter().all(|tool| is_there(Path::new(tool))).then(Network::make).flatten();
    if made.is_none() {
        skip("a network of its own needs root, Linux, ip, iptables, setpriv, curl and python3");
    }
    made
}

/// What a version answers.
fn answer_of(version: &str) -> String {
    json!({"color": version, "version": version}).to_string()
}

/// A port here that says who it is, and hears nothing.
async fn speaks_first(at: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((at, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"220 ready").await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_a_pod_sends_and_gets_goes_by_the_envoy_beside_it() {
    let Some(network) = network() else { return };
    let control = {
        let free = std::net::TcpListener::bind((network.here, 0)).unwrap();
        free.local_addr().unwrap()
    };
    let mut command = network.on_it("setpriv");
    command.args(["--regid", ENVOYS_GROUP, "--clear-groups"]).arg(envoy());
    let mut served = Served::start_by(Fleet::sidecars("shop", "front"), control, command);

    // The pod's programs: what they answer is their port, or that they are ready.
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut python = network.on_it("python3");
        python.args(arguments);
        Program::start(python, folder.path().join("program.log"))
    };
    let answers = |port: u16, host: &str| {
        let root = folder.path().join(port.to_string());
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("index.html"), port.to_string()).unwrap();
        let directory = root.to_str().unwrap();
        run(&["-m", "http.server", "--bind", host, &port.to_string(), "--directory", directory])
    };
    let banner = format!(
        "import socket\nserver = socket.create_server(('127.0.0.1', {SPEAKS_FIRST}))\n\
         while True: server.accept()[0].sendall(b'220 ready')"
    );
    let programs = (answers(HTTP, "127.0.0.1"), run(&["-c", &banner]), answers(UNNAMED, "0.0.0.0"));
    let authority = authority();
    write(folder.path(), &authority, "front.shop");
    let listeners =
        json!([encrypted(port(HTTP, "http"), "PERMISSIVE", folder.path()), port(SPEAKS_FIRST, "tcp"),]);

    let start = async |version: &str| {
        Backend::start_on(TcpListener::bind((network.here, 0)).await.unwrap(), version, version, 1).unwrap()
    };
    let versions = [start("v1").await, start("v2").await];
    let found = found(&versions);
    for (weights, version) in [([1, 0], "v1"), ([0, 1], "v2")] {
        served.publish(&planned(listeners.clone(), weights), &found);
        served.settled().await;
        // There is no such machine: only the host says where it goes.
        let nowhere = format!("http://{}/color", Ipv4Addr::new(10, 0, 0, 1));
        for spoken in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
            let answer = network.request(spoken, &nowhere, "color.shop").await;
            assert_eq!(answer, Some(answer_of(version)), "{spoken}");
        }
    }

    // Others are reached where they are, whether they speak HTTP or not.
    let elsewhere = start("elsewhere").await;
    let to = format!("http://{}/color", elsewhere.address());
    assert_eq!(network.request("--http1.1", &to, "elsewhere.example").await, Some(answer_of("elsewhere")));
    let banner = network.banner(speaks_first(network.here).await).await;
    assert_eq!(banner.as_deref(), Some("220 ready"));

    // What comes to it: to the ports of the node by Envoy, who does not keep those waiting that wait for the pod; to others as it is.
    let http = crate::gateway::client();
    for (port, by_envoy) in [(HTTP, true), (UNNAMED, false)] {
        let to = format!("http://{}:{port}/", network.there);
        let get = || async { Some(http.get(&to).send().await.ok()?.text().await.unwrap()) };
        eventually("the pod answers", get, |got| got.as_deref() == Some(port.to_string().as_str())).await;
        let answer = http.get(&to).send().await.unwrap();
        assert_eq!(answer.headers()["server"] == "envoy", by_envoy, "{port}");
    }
    let mut stream = TcpStream::connect((network.there, SPEAKS_FIRST)).await.unwrap();
    let mut said = [0; 9];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"220 ready");
    // What is sent to Envoy itself would come back to it for ever: it ends there.
    let own = TcpStream::connect((network.there, 15000)).await.unwrap();
    assert_eq!(own.take(1).read(&mut said).await.unwrap_or_default(), 0);
    for (host, status) in [("color.shop", "200"), ("elsewhere.example", "503")] {
        let mut curl = network.on_it("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header"]);
        curl.args([&format!("host: {host}"), "http://127.0.0.1:15001/color"]);
        assert_eq!(crate::intercepted::said(curl).await.as_deref(), Some(status), "{host}");
    }
    let banner = network.banner(SocketAddr::from((Ipv4Addr::LOCALHOST, 15001))).await;
    assert_eq!(banner.as_deref(), Some(""), "nobody is there");
    drop(programs);
}
