//! What the pages show as configuration is one.

use super::Config;

/// The YAML fences of a page under `docs/`.
fn fences(page: &str) -> Vec<String> {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A fence as a file; on the page of receivers most show one receiver alone.
fn file(page: &str, fence: &str) -> Option<String> {
    let begins = |keys: &[&str]| keys.iter().any(|key| fence.starts_with(key));
    if begins(&["providers:", "gates:", "notifications:", "namespaces:"]) {
        return Some(fence.to_owned());
    }
    if page != "notifications.md" || begins(&["metadata:"]) {
        return None;
    }
    let receiver: String = fence.lines().map(|line| format!("    {line}\n")).collect();
    Some(format!("notifications:\n  receivers:\n{receiver}"))
}

#[test]
fn every_configuration_of_a_page_resolves() {
    let pages = [("operations.md", 1), ("gates.md", 1), ("notifications.md", 7), ("getting-started.md", 1)];
    for (page, count) in pages {
        let files: Vec<String> = fences(page).iter().filter_map(|fence| file(page, fence)).collect();
        assert_eq!(files.len(), count, "{page}");
        for file in files {
            if let Err(error) = Config::parse(&file, page) {
                panic!("{error}\n{file}");
            }
        }
    }
}
