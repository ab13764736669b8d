//! Makes version 1 too old for both servers, so that what they say of it can be compared.
//!
//! A real API server forgets only what is older than five minutes, which none that was started for the tests is. Its
//! etcd forgets what it is told to; the API server's own flags say where that is and how it is spoken to.

use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tidegate::sandbox::apiserver::ApiServer;

use crate::side::Side;
use crate::step::get;

/// Makes both servers forget what was before anything was stored.
pub async fn forget(sandbox: &ApiServer, real: &mut Side) {
    sandbox.compact();
    let flags = real.run(&get("/flagz").accept("text/plain"), None).await;
    let client = etcd(flags.body.as_str().unwrap_or_default()).await;
    let body = json!({"revision": "2"}).to_string().into_bytes();
    let request = Request::post("/v3/kv/compaction").body(Body::from(body)).unwrap();
    let answer = client.send(request).await.unwrap();
    let is_success = answer.status().is_success();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8_lossy(&told);
    // Where the control plane stays, an earlier run has done it.
    assert!(is_success || told.contains("has been compacted"), "etcd does not forget: {told}");
}

/// A client for the etcd that an API server with these flags stores in.
async fn etcd<'f>(flags: &'f str) -> kube::Client {
    let flag = |name: &str| {
        // Which of these stands between a flag and its value, upstream draws by lot, so that nobody relies on it.
        let value = |line: &'f str| line.trim().strip_prefix(name)?.strip_prefix([':', '=', ' ']);
        let lines = flags.lines().filter_map(value);
        let value = lines.map(|value| value.trim().trim_matches(['[', ']'])).next();
        value.unwrap_or_else(|| panic!("the API server does not tell its flag {name}: {flags}")).to_owned()
    };
    let file: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "etcd", "cluster": {
            "server": flag("etcd-servers"), "certificate-authority": flag("etcd-cafile")}}],
        "users": [{"name": "etcd", "user": {
            "client-certificate": flag("etcd-certfile"), "client-key": flag("etcd-keyfile")}}],
        "contexts": [{"name": "etcd", "context": {"cluster": "etcd", "user": "etcd"}}],
        "current-context": "etcd",
    }))
    .unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}
