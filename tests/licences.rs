//! Licences and origins of everything that is built in: the same rules as deny.toml, for machines without cargo-deny.
//!
//! Reads what cargo itself resolves from the committed Cargo.lock; nothing is fetched that the build did not fetch.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Licences that what we ship may carry.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, not even through others, each with its reason.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "no C library beyond libc"),
    ("aws-lc-sys", "no C library beyond libc"),
    ("libdbus-sys", "no C library beyond libc"),
    ("libudev-sys", "no C library beyond libc"),
    ("postcard", "breaks when a field is added (docs/decisions/0007-three-encodings.md)"),
    ("bincode", "breaks when a field is added (docs/decisions/0007-three-encodings.md)"),
];

/// What is built for the product, and for the model in docs/model, which is a workspace of its own.
const MANIFESTS: &[(&str, usize)] = &[("Cargo.toml", 20), ("docs/model/Cargo.toml", 10)];

fn metadata(manifest: &str) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .args(["--manifest-path", manifest])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON from cargo metadata")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Packages that something of ours uses on this platform.
fn packages(metadata: &Value) -> Vec<&Value> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a resolved graph");
    let used: BTreeSet<&str> = nodes.iter().map(|node| text(node, "id")).collect();
    let all = metadata["packages"].as_array().expect("packages");
    all.iter().filter(|package| used.contains(text(package, "id"))).collect()
}

/// Whether a licence expression leaves a choice that is allowed: `OR` needs one side, `AND` both; `/` is the old `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let allowed = any_of(&words, &mut at);
    allowed && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all_of(words, at);
    }
    allowed
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let allowed = any_of(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return allowed && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only gives more rights.
        *at += 2;
    }
    ALLOWED.contains(word)
}

#[test]
fn everything_built_in_has_a_licence_that_we_may_use() {
    let graphs: Vec<Value> = MANIFESTS.iter().map(|(manifest, _)| metadata(manifest)).collect();
    let mut complaints = Vec::new();
    let mut all = Vec::new();
    for (graph, (manifest, least)) in graphs.iter().zip(MANIFESTS) {
        let packages = packages(graph);
        assert!(packages.len() > *least, "{manifest}: cargo metadata names only {} packages", packages.len());
        all.extend(packages);
    }
    for package in all {
        let (name, version, licence) = (text(package, "name"), text(package, "version"), text(package, "license"));
        if !is_allowed(licence) {
            complaints.push(format!("{name} {version}: licence `{licence}`"));
        }
        if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            complaints.push(format!("{name} {version} is banned: {reason}"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
            complaints.push(format!("{name} {version} does not come from crates.io: {}", text(package, "source")));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 OR GPL-3.0",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-2.0", "(MIT OR ISC", "MIT ISC", "LGPL-2.1 WITH exception"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}
