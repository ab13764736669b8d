//! The pages of `docs/`, as a book and on GitHub: the summary lists each of them once, every relative link leads to a file and
//! to a heading that are there, and every Rollout and AnalysisTemplate that is shown is one.
//!
//! What pages show as configuration, and the snippets of `docs/gitops.md`, are read where they are run:
//! `src/config/docs_tests.rs`, `tests/controller/gitops`. A page may link to files outside of `docs/`: that leads there on
//! GitHub, and nowhere in the book.

#![allow(clippy::unwrap_used)]

#[path = "support/files.rs"]
mod files;
#[path = "docs/heading.rs"]
mod heading;
#[path = "docs/page.rs"]
mod page;

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use files::files;
use kube::CustomResourceExt;
use page::{Fence, Page};
use serde_json::Value;
use tidegate::{
    api::{AnalysisTemplate, Rollout},
    schema::Schema,
};

/// How our manifests begin.
const OURS: &str = "apiVersion: tidegate.dev/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The Markdown files below a folder, from the root of the repository.
fn markdown(folder: &str) -> Vec<String> {
    let files = files(&root().join(folder), "md");
    files.iter().map(|file| file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect()
}

/// All pages whose links have to lead somewhere.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    pages.extend(markdown("docs"));
    for folder in ["examples", "charts", "tests"] {
        pages.extend(markdown(folder).into_iter().filter(|path| path.ends_with("/README.md")));
    }
    pages
}

/// Where a relative path in a page leads, from the root of the repository; none where it leads out of it.
fn resolve(page: &str, target: &str) -> Option<PathBuf> {
    let folder = Path::new(page).parent()?;
    let mut path = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// What is wrong with a link of a page, if anything.
fn wrong(path: &str, page: &Page, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, fragment) = match target.split_once('#') {
        Some((file, fragment)) => (file, Some(fragment)),
        None => (target, None),
    };
    let mut anchors = None;
    if file.is_empty() {
        anchors = Some(page.anchors());
    } else {
        let Some(file) = resolve(path, file) else {
            return Some("it leads out of the repository".to_owned());
        };
        if !root().join(&file).exists() {
            return Some(format!("there is no {}", file.display()));
        }
        if fragment.is_some() && file.extension().is_some_and(|extension| extension == "md") {
            anchors = Some(Page::read(&text_of(&file)).anchors());
        }
    }
    let fragment = fragment?;
    match anchors {
        None => Some("only a page has headings".to_owned()),
        Some(anchors) if anchors.contains(fragment) => None,
        Some(_) => Some(format!("there is no heading #{fragment}")),
    }
}

/// The links of a page that lead nowhere.
fn broken(path: &str, text: &str) -> Vec<String> {
    let page = Page::read(text);
    let told = |(line, target): (usize, String)| {
        wrong(path, &page, &target).map(|why| format!("{path}:{line}: {target}: {why}"))
    };
    page.links().into_iter().filter_map(told).collect()
}

/// What is wrong with a summary of these pages.
fn misses(summary: &str, pages: &[&str]) -> Vec<String> {
    let listed: Vec<String> = Page::read(summary).links().into_iter().map(|(_, target)| target).collect();
    let times = |page: &str| listed.iter().filter(|listed| *listed == page).count();
    let not_once = pages.iter().map(|&page| (page, times(page))).filter(|(_, times)| *times != 1);
    let not_once = not_once.map(|(page, times)| format!("{page} is listed {times} times"));
    let not_there = listed.iter().filter(|listed| !pages.contains(&listed.as_str()));
    not_once.chain(not_there.map(|listed| format!("there is no {listed}"))).collect()
}

fn is_of_our_group(document: &Value) -> bool {
    document["apiVersion"].as_str().is_some_and(|version| version.starts_with("tidegate.dev/"))
}

/// Our manifests in a page, each with the line of its fence; or why a fence that has one can't be read.
fn manifests(text: &str) -> Vec<(usize, Result<Value, String>)> {
    let is_yaml = |fence: &Fence| fence.language.split(' ').next() == Some("yaml");
    let is_ours = |fence: &Fence| fence.text.lines().any(|line| line.starts_with(OURS));
    let mut found = vec![];
    for Fence { line, text, .. } in
        Page::read(text).fences.into_iter().filter(|fence| is_yaml(fence) && is_ours(fence))
    {
        match serde_saphyr::from_multiple::<Value>(&text) {
            Err(error) => found.push((line, Err(error.to_string()))),
            Ok(documents) => {
                let ours = documents.into_iter().filter(is_of_our_group);
                found.extend(ours.map(|document| (line, Ok(document))));
            }
        }
    }
    found
}

/// The schemas of our kinds.
fn schemas() -> BTreeMap<&'static str, Schema> {
    let schema = |crd: Value| {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        Schema::compile(schema).unwrap().0
    };
    let rollout = schema(serde_json::to_value(Rollout::crd()).unwrap());
    let template = schema(serde_json::to_value(AnalysisTemplate::crd()).unwrap());
    [("Rollout", rollout), ("AnalysisTemplate", template)].into()
}

/// What an API server would say against a manifest of ours, and what the program would.
fn refusals(schemas: &BTreeMap<&'static str, Schema>, mut object: Value) -> Vec<String> {
    if object["apiVersion"] != "tidegate.dev/v1alpha1" {
        return vec![format!("there is no version {}", object["apiVersion"])];
    }
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let Some(schema) = schemas.get(kind.as_str()) else {
        return vec![format!("there is no kind {kind}")];
    };
    let mut said: Vec<String> =
        schema.prune(&mut object).iter().map(|field| format!("{field} is unknown")).collect();
    schema.apply_defaults(&mut object);
    let errors = schema.validate(&object, None);
    said.extend(errors.iter().map(|error| format!("{}: {}", error.path, error.message)));
    let unread = match kind.as_str() {
        "Rollout" => serde_json::from_value::<Rollout>(object).err(),
        _ => serde_json::from_value::<AnalysisTemplate>(object).err(),
    };
    said.extend(unread.map(|error| error.to_string()));
    said
}

/// The manifests of ours in a page that are none.
fn unfit(schemas: &BTreeMap<&'static str, Schema>, path: &str, text: &str) -> Vec<String> {
    let mut found = vec![];
    for (line, manifest) in manifests(text) {
        let said = match manifest {
            Ok(object) => refusals(schemas, object),
            Err(error) => vec![error],
        };
        found.extend(said.into_iter().map(|said| format!("{path}:{line}: {said}")));
    }
    found
}

#[test]
fn the_summary_lists_every_page_once() {
    let pages = markdown("docs");
    let pages: Vec<&str> = pages.iter().filter_map(|page| page.strip_prefix("docs/")).collect();
    let pages: Vec<&str> = pages.into_iter().filter(|page| *page != "SUMMARY.md").collect();
    assert!(pages.len() > 15, "only {} pages found", pages.len());
    let found = misses(&text_of(Path::new("docs/SUMMARY.md")), &pages);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let links = |page: &String| Page::read(&text_of(Path::new(page))).links().len();
    let count: usize = pages.iter().map(links).sum();
    assert!(count > 100, "only {count} links found in {} pages", pages.len());
    let found: Vec<String> = pages.iter().flat_map(|page| broken(page, &text_of(Path::new(page)))).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_manifest_of_ours_is_one() {
    let (schemas, pages) = (schemas(), pages());
    let count: usize = pages.iter().map(|page| manifests(&text_of(Path::new(page))).len()).sum();
    assert!(count >= 4, "only {count} manifests found in {} pages", pages.len());
    let found: Vec<String> =
        pages.iter().flat_map(|page| unfit(&schemas, page, &text_of(Path::new(page)))).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    #[rustfmt::skip]
    let cases = [
        ("no such file", "[a](nowhere.md)", "1 there is no docs/nowhere.md"),
        ("its line", "a\n\nb [a\nb](nowhere.md) c", "4 there is no docs/nowhere.md"),
        ("the second of a line", "[a](gates.md) [b](../nowhere)", "1 there is no nowhere"),
        ("no such heading", "[a](gates.md#nothing)", "1 there is no heading #nothing"),
        ("nor here", "# Here\n\n[a](#there)", "3 there is no heading #there"),
        ("headings are spelled small", "[a](gates.md#The-answer)", "1 there is no heading #The-answer"),
        ("a heading in a fence is none", "```sh\n# here\n```\n[a](#here)", "4 there is no heading #here"),
        ("a heading of code", "[a](../Cargo.toml#dependencies)", "1 only a page has headings"),
        ("out of the repository", "[a](../../elsewhere)", "1 it leads out of the repository"),
        ("an absolute one", "[a](/docs/gates.md)", "1 it leads out of the repository"),
        ("an image", "![a](nothing.svg \"a title\")", "1 there is no docs/nothing.svg"),
        ("defined apart", "[a][b]\n\n[b]: nowhere.md", "3 there is no docs/nowhere.md"),
        ("after code", "`a` [`b`](nowhere.md) `c`", "1 there is no docs/nowhere.md"),
        ("after a lone backtick", "a ` b\n\n[c](nowhere.md) `d`", "3 there is no docs/nowhere.md"),
        ("after a fence in a list", "- a\n  ```yaml\n  b: c\n  ```\n\n  [d](nowhere.md)", "6 there is no docs/nowhere.md"),
    ];
    for (name, text, want) in cases {
        let found = broken("docs/page.md", text);
        let (line, why) = want.split_once(' ').unwrap();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let begins = found[0].starts_with(&format!("docs/page.md:{line}: "));
        assert!(begins && found[0].ends_with(why), "{name}: {found:?}");
    }
}

#[test]
fn a_link_that_leads_somewhere_passes() {
    #[rustfmt::skip]
    let cases = [
        ("a page", "[a](gates.md)"),
        ("its heading", "[a](gates.md#the-answer)"),
        ("a heading with a sign", "[a](analysis.md#at-100-)"),
        ("out of docs", "[a](../README.md#the-truth-about-app-mesh) [b](../examples/blue-green)"),
        ("a heading of the page", "## What `is` *here*?\n\n[a](#what-is-here)"),
        ("the second of its name", "## Here\n## Here\n[a](#here) [b](#here-1)"),
        ("a heading that is a link", "## The [page](gates.md)\n[a](#the-page)"),
        ("elsewhere", "[a](https://example.com/nowhere.md#nothing)"),
        ("in a fence", "```md\n[a](nowhere.md)\n```"),
        ("in a fence within a fence", "````md\n```\n[a](nowhere.md)\n```\n[b](nowhere.md)\n````"),
        ("in code", "`[a](nowhere.md)` and ``[b](`nowhere`.md)``"),
        ("in code of two lines", "`a\n[b](nowhere.md)` c"),
    ];
    for (name, text) in cases {
        assert_eq!(broken("docs/page.md", text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_summary_that_is_not_whole_is_found() {
    let pages = ["a.md", "b.md"];
    let whole = "# Summary\n\n# Part\n\n- [A](a.md)\n  - [B](b.md)\n";
    assert_eq!(misses(whole, &pages), Vec::<String>::new());
    let cases = [
        ("- [A](a.md)", "b.md is listed 0 times"),
        ("- [A](a.md)\n- [B](b.md)\n- [C](a.md)", "a.md is listed 2 times"),
        ("- [A](a.md)\n- [B](b.md)\n- [C](c.md)", "there is no c.md"),
    ];
    for (summary, want) in cases {
        assert_eq!(misses(summary, &pages), [want], "{summary}");
    }
}

#[test]
fn a_manifest_that_is_none_is_found() {
    let schemas = schemas();
    let good = "apiVersion: tidegate.dev/v1alpha1\nkind: Rollout\nmetadata: {name: a}\nspec:\n  routes: \
                [{group: appmesh.k8s.aws, kind: GatewayRoute, name: a}]\n  target: {name: b}\n  strategy: {canary: \
                {steps: [{weight: 5}]}}\n";
    let page = |manifest: &str| format!("# Page\n\n```yaml name\n{manifest}```\n");
    assert_eq!(unfit(&schemas, "page.md", &page(good)), Vec::<String>::new());
    assert_eq!(manifests(&page(good)).len(), 1);
    let cases = [
        ("kind: Rollout", "kind: Rollouts", "there is no kind Rollouts"),
        ("v1alpha1", "v1", "there is no version \"tidegate.dev/v1\""),
        ("target: {name: b}", "target: {name: b, color: red}", "spec.target.color is unknown"),
        ("weight: 5", "weight: 500", "spec.strategy.canary.steps[0].weight"),
        ("target: {name: b}", "target: {name: b", ""),
    ];
    for (what, instead, want) in cases {
        let text = page(&good.replace(what, instead));
        let found = unfit(&schemas, "page.md", &text);
        let told = found.iter().any(|found| found.starts_with("page.md:3: ") && found.contains(want));
        assert!(told, "{instead}: {found:?}");
    }
    // What is not ours is not held against our schemas, nor is what is no manifest.
    let others = [page("apiVersion: v1\nkind: Rollouts\n"), page("spec: {color: red}\n"), good.to_owned()];
    for other in others {
        assert_eq!(unfit(&schemas, "page.md", &other), Vec::<String>::new(), "{other}");
    }
}
