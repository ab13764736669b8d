//! `get` and `list`: Rollouts in a table, as objects, or one of them whole.

use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use super::{Error, Exit, Out, args::Global, cluster::Cluster, live, names, table};
use crate::api::Rollout;

/// Objects a page of a list.
const PAGE: u32 = 500;

/// Show Rollouts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One Rollout, whole: its routes, workloads, steps, and what the metrics say
    #[arg(add = names::rollouts(), conflicts_with_all = ["all_namespaces", "selector"])]
    name: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only those with these labels, like app=shop
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Show changes as they come
    #[arg(short, long)]
    watch: bool,
    /// How
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A table with more columns
    Wide,
    /// Objects as JSON
    Json,
    /// Objects as YAML
    Yaml,
    /// Names only
    Name,
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    if args.watch && matches!(args.output, Some(Output::Json | Output::Yaml | Output::Name)) {
        return Err(Error::Usage(
            "--watch shows a table, or one Rollout whole: leave -o out, or say -o wide".to_owned(),
        ));
    }
    let cluster = Cluster::connect(global).await?;
    let tabled = table::Wanted {
        namespace: (!args.all_namespaces).then(|| cluster.namespace.clone()),
        labels: args.selector.clone(),
        name: args.name.clone(),
        wide: args.output == Some(Output::Wide),
        names: args.output == Some(Output::Name),
    };
    match (args.output, &args.name) {
        (None, Some(name)) if args.watch => live::follow(&cluster, name, out).await,
        (None, Some(name)) => live::once(&cluster, name, out).await,
        (None | Some(Output::Wide), _) => table::show(&cluster, &tabled, args.watch, out).await,
        (Some(Output::Name), _) => table::names(&cluster, &tabled, out).await,
        (Some(Output::Json), Some(name)) => {
            out.json(&cluster.rollout(name).await?)?;
            Ok(Exit::Reached)
        }
        (Some(Output::Yaml), Some(name)) => {
            out.yaml(&cluster.rollout(name).await?)?;
            Ok(Exit::Reached)
        }
        (Some(Output::Json), None) => {
            out.json(&objects(&cluster, args, out).await?)?;
            Ok(Exit::Reached)
        }
        (Some(Output::Yaml), None) => {
            out.yaml(&objects(&cluster, args, out).await?)?;
            Ok(Exit::Reached)
        }
    }
}

/// The objects that are there, page by page.
async fn objects(cluster: &Cluster, args: &Args, out: &Out<'_>) -> Result<Value, Error> {
    let api: Api<Rollout> =
        if args.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.rollouts() };
    let labels = args.selector.clone();
    let mut params = ListParams { label_selector: labels, ..ListParams::default() }.limit(PAGE);
    let mut items: Vec<Value> = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|error| cluster.about("list Rollouts", error))?;
        for item in &page.items {
            items.push(serde_json::to_value(item)?);
        }
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) if !out.has_left() => params = params.continue_token(&next),
            Some(_) | None => break,
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}
