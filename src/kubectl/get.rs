//! `get` and `list`: Rollouts in a table, as objects, or one of them whole.

use kube::{Api, Resource, api::ListParams};
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
    };
    match (args.output, &args.name) {
        (None, Some(name)) if args.watch => live::follow(&cluster, name, out).await,
        (None, Some(name)) => live::once(&cluster, name, out).await,
        (None | Some(Output::Wide), _) => table::show(&cluster, &tabled, args.watch, out).await,
        (Some(output @ (Output::Json | Output::Yaml | Output::Name)), Some(name)) => {
            let rollout = cluster.rollout(name).await?;
            match output {
                Output::Name => out.line(&named(&rollout))?,
                Output::Json => out.json(&rollout)?,
                Output::Yaml | Output::Wide => out.yaml(&rollout)?,
            }
            Ok(Exit::Reached)
        }
        (Some(output @ (Output::Json | Output::Yaml | Output::Name)), None) => {
            objects(&cluster, args, output, out).await
        }
    }
}

/// The objects that are there, page by page.
async fn objects(cluster: &Cluster, args: &Args, output: Output, out: &mut Out<'_>) -> Result<Exit, Error> {
    let api: Api<Rollout> =
        if args.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.rollouts() };
    let mut params =
        ListParams { label_selector: args.selector.clone(), ..ListParams::default() }.limit(PAGE);
    let mut items: Vec<Value> = Vec::new();
    loop {
        let failed = |error| cluster.about("list Rollouts", error);
        let next = if output == Output::Name {
            let page = api.list_metadata(&params).await.map_err(failed)?;
            for item in &page.items {
                out.line(&format!(
                    "rollout.{}/{}",
                    crate::api::GROUP,
                    item.metadata.name.as_deref().unwrap_or_default()
                ))?;
            }
            page.metadata.continue_
        } else {
            let page = api.list(&params).await.map_err(failed)?;
            for item in &page.items {
                items.push(serde_json::to_value(item)?);
            }
            page.metadata.continue_
        };
        match next.filter(|next| !next.is_empty()) {
            Some(next) if !out.has_left() => params = params.continue_token(&next),
            Some(_) | None => break,
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    match output {
        Output::Json => out.json(&list)?,
        Output::Yaml => out.yaml(&list)?,
        Output::Name | Output::Wide => {}
    }
    Ok(Exit::Reached)
}

fn named(rollout: &Rollout) -> String {
    format!("rollout.{}/{}", Rollout::group(&()), rollout.metadata.name.as_deref().unwrap_or_default())
}
