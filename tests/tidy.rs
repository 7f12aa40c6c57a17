//! Style, boundaries and promises of the repository, checked by reading it: sizes, forbidden words, the direction of
//! dependencies, purity of the core, requirement ids, decisions.
//!
//! Uses the standard library alone and starts no process, so that it says the same wherever the sources lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 100;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Test files that may call `sleep`, with the reason: only between looks at something that sends no event, in a loop
/// with a deadline, or as the period of something that is itself the thing under test.
const SLEEPERS: &[(&str, &str)] = &[
    ("crates/agents/tests/reaper.rs", "looks at /proc until a deadline"),
    ("crates/agents/tests/scripts.rs", "looks at /proc until a deadline"),
    ("crates/agents/tests/support/mod.rs", "looks at a file of a script until a deadline"),
];

/// Which crates of ours a crate may use, in the order of docs/architecture.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &["types"]),
    ("config", &["types"]),
    ("control", &["types"]),
    ("cib", &["types"]),
    ("fencer", &["types"]),
    ("slots", &["types"]),
    ("membership", &["types", "wire"]),
    ("ledger", &["types", "wire", "cib"]),
    ("executor", &["types", "cib"]),
    ("scheduler", &["types", "cib"]),
    (
        "controller",
        &["types", "wire", "config", "control", "membership", "cib", "ledger", "scheduler", "fencer", "executor"],
    ),
    ("recording", &["types", "wire", "controller"]),
    ("sim", &["types", "wire", "config", "control", "slots", "controller", "recording"]),
    ("agents", &["types"]),
    ("lab", &["types", "control"]),
    ("runtime", &["types", "wire", "config", "control", "slots", "controller", "recording", "agents"]),
    ("hearth", &["types", "wire", "config", "control", "fencer", "controller", "recording", "runtime", "lab"]),
];

/// Crates without the standard library.
const CORE: &[&str] =
    &["types", "wire", "config", "control", "membership", "cib", "scheduler", "fencer", "slots", "executor"];

/// Crates that must be deterministic though they use the standard library.
const DETERMINISTIC: &[&str] = &["ledger", "controller", "recording", "sim"];

/// Clauses of docs/protocol.md that no test proves, each with its reason. Exactly those marked "(later" there.
const LATER: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository by its path from the root, what tools generate left out.
fn files() -> Vec<String> {
    fn walk(directory: &Path, base: &Path, found: &mut Vec<String>) {
        let mut entries: Vec<_> = fs::read_dir(directory).expect("a readable folder").flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().expect("a kind of file");
            // In a second work tree .git is a file.
            if name == ".git" {
                continue;
            }
            if kind.is_dir() {
                if name != "target" {
                    walk(&path, base, found);
                }
            } else if kind.is_file() {
                let path = path.strip_prefix(base).expect("below the root");
                found.push(path.to_str().expect("a path in UTF-8").to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), &mut found);
    found
}

fn read(path: &str) -> String {
    let bytes = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn rust_files() -> Vec<String> {
    files().into_iter().filter(|path| path.ends_with(".rs")).collect()
}

/// The source with comments and the insides of literals blanked; as long, line for line, as before.
fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `at` if none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let find = |needle: &[u8], from: usize| {
        rest[from..].windows(needle.len()).position(|window| window == needle).map_or(rest.len(), |it| from + it)
    };
    if rest.starts_with(b"//") {
        return at + find(b"\n", 0);
    }
    if rest.starts_with(b"/*") {
        return (at + find(b"*/", 2) + 2).min(bytes.len());
    }
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let raw_at = if rest.starts_with(b"br") || rest.starts_with(b"cr") { 2 } else { 1 };
    if !in_word && (rest.starts_with(b"r") || raw_at == 2) {
        let hashes = rest[raw_at.min(rest.len())..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(raw_at + hashes) == Some(&b'"') {
            let mut close = vec![b'"'];
            close.resize(hashes + 1, b'#');
            return (at + find(&close, raw_at + hashes + 1) + close.len()).min(bytes.len());
        }
    }
    match rest[0] {
        b'"' => at + quoted(rest, b'"'),
        // A lifetime has no closing quote behind its first character.
        b'\'' if rest.get(1) == Some(&b'\\') => at + quoted(rest, b'\''),
        b'\'' => {
            let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
                .map_or(1, |text| text.chars().next().map_or(1, char::len_utf8));
            if rest.get(1 + width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The block that begins at or behind `from`, or the empty range at the semicolon that comes first.
fn block(code: &str, from: usize) -> Range<usize> {
    let (mut depth, mut inner, mut start) = (0_i32, 0_i32, from);
    for (offset, byte) in code[from..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => inner += 1,
            b')' | b']' => inner -= 1,
            b';' if depth == 0 && inner == 0 => return from + offset..from + offset,
            b'{' => {
                if depth == 0 {
                    start = from + offset;
                }
                depth += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return start..from + offset + 1;
                }
            }
            _ => {}
        }
    }
    start..code.len()
}

/// Parts of a source that are compiled for tests only.
fn test_parts(path: &str, code: &str) -> Vec<Range<usize>> {
    if path.starts_with("tests/") || path.contains("/tests/") {
        return std::iter::once(0..code.len()).collect();
    }
    let marks = code.match_indices("#[cfg(test)]");
    marks.map(|(at, mark)| at..block(code, at + mark.len()).end).collect()
}

fn is_word_at(text: &str, at: usize, length: usize) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    !word(before) && !word(bytes.get(at + length))
}

fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| is_word_at(text, *at, word.len()))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    let mut complaints = Vec::new();
    for path in rust_files() {
        let source = read(&path);
        let lines = source.lines().count();
        if lines > FILE_LINES && !LONG_FILES.iter().any(|(known, _)| *known == path) {
            complaints
                .push(format!("{path} has {lines} lines, more than {FILE_LINES}: what in it is a thing of its own?"));
        }
        let code = code(&source);
        for at in words(&code, "fn") {
            let name: String =
                code[at + 2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() {
                continue;
            }
            let lines = line_of(&code, block(&code, at).end) - line_of(&code, at) + 1;
            let listed = LONG_FUNCTIONS.iter().any(|(file, known, _)| *file == path && *known == name);
            if lines > FUNCTION_LINES && !listed {
                let line = line_of(&code, at);
                complaints.push(format!("{path}:{line}: fn {name} has {lines} lines, more than {FUNCTION_LINES}"));
            }
        }
    }
    none(complaints);
}

#[test]
fn rust_files_say_what_they_hold() {
    let silent = rust_files().into_iter().filter(|path| !read(path).trim_start().starts_with("//!"));
    none(silent.map(|path| format!("{path} does not begin with a //! comment on what it holds")).collect());
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let banned = ["todo!", "unimplemented!", "#[ignore", "dbg!("];
    let mut complaints = Vec::new();
    for path in rust_files() {
        let code = code(&read(&path));
        for word in banned {
            for (at, _) in code.match_indices(word) {
                complaints.push(format!("{path}:{}: {word}", line_of(&code, at)));
            }
        }
    }
    none(complaints);
}

/// A manifest that switches a kind of test off saves compiling what has none, and must hide none.
#[test]
fn what_a_manifest_does_not_test_holds_no_tests() {
    let mut complaints = Vec::new();
    for path in files().into_iter().filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml")) {
        let manifest = read(&path);
        let library = manifest.split("\n[").find(|part| part.starts_with("lib]")).unwrap_or_default();
        let sources = path.replace("Cargo.toml", "src/");
        for source in rust_files().into_iter().filter(|source| source.starts_with(&sources)) {
            let text = read(&source);
            if library.contains("\ntest = false") && !test_parts(&source, &code(&text)).is_empty() {
                complaints.push(format!("{source} has tests, and {path} does not let them run"));
            }
            let fences =
                text.lines().map(str::trim).filter(|line| line.starts_with("/// ```") || line.starts_with("//! ```"));
            let mut openings = fences.step_by(2).map(|line| &line[7..]);
            if library.contains("\ndoctest = false") && openings.any(|language| language != "text") {
                complaints.push(format!("{source} has an example, and {path} does not let it run"));
            }
        }
    }
    none(complaints);
}

#[test]
fn tests_wait_for_events() {
    let mut complaints = Vec::new();
    for path in rust_files().into_iter().filter(|path| !SLEEPERS.iter().any(|(known, _)| known == path)) {
        let code = code(&read(&path));
        for part in test_parts(&path, &code) {
            for (at, _) in code[part.clone()].match_indices("sleep(") {
                let line = line_of(&code, part.start + at);
                complaints.push(format!("{path}:{line}: a test that sleeps hopes; wait for an event with a deadline"));
            }
        }
    }
    none(complaints);
}

/// Paths of somebody's machine, and names of papers that are not in this repository.
#[test]
fn nothing_points_outside_of_the_repository() {
    let banned = [
        ["/wo", "rk/"].concat(),
        ["shared/", "design"].concat(),
        ["shared/", "reference"].concat(),
        ["/tmp/", "brief"].concat(),
        ["/root/", ".cargo"].concat(),
        ["peers", ".md"].concat(),
    ];
    let mut complaints = Vec::new();
    for path in files() {
        let text = read(&path);
        for word in &banned {
            if let Some(at) = text.find(word.as_str()) {
                complaints.push(format!("{path}:{}: {word}", line_of(&text, at)));
            }
        }
        if path.ends_with("Cargo.lock") {
            let source = "source = \"";
            let known = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
            let others = text.lines().filter(|line| line.starts_with(source) && *line != known);
            complaints.extend(others.map(|line| format!("{path}: {line}")));
        }
    }
    none(complaints);
}

/// Names of a manifest's dependencies by section (`dependencies`, `dev-dependencies`, `workspace.dependencies` ...).
fn dependencies(manifest: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (mut section, mut found) = (String::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for line in manifest.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((name, _)) = line.split_once(['=', '.']).filter(|_| !line.starts_with('#'))
            && section.ends_with("dependencies")
        {
            found.entry(section.clone()).or_default().insert(name.trim().trim_matches('"').to_owned());
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let mut complaints = Vec::new();
    for (name, allowed) in ARROWS {
        let path = if *name == "hearth" { "Cargo.toml".to_owned() } else { format!("crates/{name}/Cargo.toml") };
        let sections = dependencies(&read(&path));
        let used = sections.get("dependencies").into_iter().flatten();
        for other in used.filter_map(|other| other.strip_prefix("hearth-")) {
            if !allowed.contains(&other) {
                complaints.push(format!("{path}: {name} uses {other}, which docs/architecture.md does not allow"));
            }
        }
    }
    let known: BTreeSet<String> = ARROWS.iter().map(|(name, _)| format!("crates/{name}/Cargo.toml")).collect();
    let manifests = files().into_iter().filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml"));
    complaints.extend(
        manifests
            .filter(|path| !known.contains(path))
            .map(|path| format!("{path}: a crate that neither docs/architecture.md nor this test knows")),
    );
    none(complaints);
}

#[test]
fn every_library_has_a_reason() {
    let text = read("docs/decisions/0011-dependencies.md");
    let reasons: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next())
        .flat_map(|cell| cell.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    let sections = dependencies(&read("Cargo.toml"));
    let used = sections["workspace.dependencies"].iter().filter(|name| !name.starts_with("hearth-"));
    let nameless = used.filter(|name| !reasons.contains(*name));
    none(
        nameless
            .map(|name| format!("Cargo.toml: {name} has no reason in docs/decisions/0011-dependencies.md"))
            .collect(),
    );
}

#[test]
fn every_library_is_used() {
    let (mut complaints, mut asked) = (Vec::new(), BTreeSet::new());
    let all = rust_files();
    for (name, _) in ARROWS {
        let (path, folders) = match *name {
            "hearth" => {
                ("Cargo.toml".to_owned(), vec!["crates/cli/".to_owned(), "crates/daemon/".into(), "tests/".into()])
            }
            name => (format!("crates/{name}/Cargo.toml"), vec![format!("crates/{name}/")]),
        };
        let sources = all.iter().filter(|path| folders.iter().any(|folder| path.starts_with(folder.as_str())));
        let sources: Vec<String> = sources.map(|path| code(&read(path))).collect();
        let sections = dependencies(&read(&path));
        for library in
            sections.iter().filter(|(section, _)| *section != "workspace.dependencies").flat_map(|(_, it)| it)
        {
            let word = match library.as_str() {
                "md-5" => "md5".to_owned(),
                other => other.replace('-', "_"),
            };
            if !sources.iter().any(|source| words(source, &word).next().is_some()) {
                complaints.push(format!("{path}: {library} is used nowhere"));
            }
        }
        asked.extend(
            sections.into_iter().filter(|(section, _)| section != "workspace.dependencies").flat_map(|(_, it)| it),
        );
    }
    let known = dependencies(&read("Cargo.toml")).remove("workspace.dependencies").unwrap_or_default();
    complaints.extend(known.difference(&asked).map(|library| format!("Cargo.toml: no crate asks for {library}")));
    none(complaints);
}

/// A crate with `no_std` and without `extern crate std` cannot name the standard library: the compiler sees to that.
#[test]
fn the_core_is_pure() {
    let mut complaints = Vec::new();
    for name in CORE {
        let path = format!("crates/{name}/src/lib.rs");
        let head = code(&read(&path));
        for mark in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            if !head.contains(mark) {
                complaints.push(format!("{path}: {mark} is missing"));
            }
        }
    }
    for path in rust_files() {
        let Some(name) = path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")).map(|(name, _)| name)
        else {
            continue;
        };
        let code = code(&read(&path));
        let tests = test_parts(&path, &code);
        let mut look = |word: &str, why: &str| {
            for at in words(&code, word).filter(|at| !tests.iter().any(|part| part.contains(at))) {
                complaints.push(format!("{path}:{}: {word}: {why}", line_of(&code, at)));
            }
        };
        if CORE.contains(&name) {
            look("std", "this crate does without the standard library");
        }
        if CORE.contains(&name) || DETERMINISTIC.contains(&name) {
            for word in [
                "HashMap",
                "HashSet",
                "SystemTime",
                "Instant",
                "RandomState",
                "std::env",
                "std::fs",
                "std::process",
                "std::thread",
            ] {
                look(word, "the same inputs must give the same outputs");
            }
        }
    }
    none(complaints);
}

#[test]
fn unsafe_code_is_in_one_module_of_a_crate() {
    let mut complaints = Vec::new();
    for path in rust_files().into_iter().filter(|path| !path.ends_with("/sys.rs") && !path.contains("/sys/")) {
        let code = code(&read(&path));
        let lines = words(&code, "unsafe").map(|at| line_of(&code, at));
        complaints.extend(lines.map(|line| format!("{path}:{line}: unsafe outside of sys.rs")));
    }
    none(complaints);
}

/// Requirement ids in a text, each with its place.
fn requirements(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (at, _) in text.match_indices("R-").filter(|(at, _)| is_word_at(text, *at, 1)) {
        let kind: String = text[at + 2..].chars().take_while(char::is_ascii_uppercase).collect();
        let behind = &text[at + 2 + kind.len()..];
        let number: String = behind.strip_prefix('-').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
        if !kind.is_empty() && !number.is_empty() {
            found.entry(format!("R-{kind}-{number}")).or_insert(line_of(text, at));
        }
    }
    found
}

/// Clauses of docs/protocol.md, and whether each is marked as not built.
fn clauses() -> BTreeMap<String, bool> {
    let text = read("docs/protocol.md");
    let heads = text.lines().filter_map(|line| line.strip_prefix("* R-"));
    heads
        .map(|line| {
            let (id, rest) = line.split_once(' ').expect("a clause has a text");
            (format!("R-{id}"), rest.starts_with("*(later"))
        })
        .collect()
}

#[test]
fn every_built_requirement_has_a_test() {
    let clauses = clauses();
    assert!(clauses.len() > 40, "docs/protocol.md lost its clauses");
    let (mut proven, mut complaints) = (BTreeSet::new(), Vec::new());
    for path in files().into_iter().filter(|path| path != "tests/tidy.rs") {
        let text = read(&path);
        if let Some(code) = path.ends_with(".rs").then(|| code(&text)) {
            let parts = test_parts(&path, &code);
            proven.extend(parts.into_iter().flat_map(|part| requirements(&text[part]).into_keys()));
        } else if path.starts_with("tests/") {
            proven.extend(requirements(&text).into_keys());
        }
        for (id, line) in requirements(&text) {
            if !clauses.contains_key(&id) {
                complaints.push(format!("{path}:{line}: {id} is no clause of docs/protocol.md"));
            }
        }
    }
    let own: BTreeSet<String> = LATER.iter().map(|(id, _)| (*id).to_owned()).collect();
    for (id, later) in &clauses {
        match (later, own.contains(id)) {
            (true, false) => complaints.push(format!("{id} is marked later in docs/protocol.md, but not in this test")),
            (false, true) => complaints.push(format!("{id} is built by docs/protocol.md, but later in this test")),
            (false, false) if !proven.contains(id) => complaints.push(format!("{id} is built, and no test cites it")),
            _ => {}
        }
    }
    none(complaints);
}

#[test]
fn decisions_are_listed_and_links_lead_somewhere() {
    let mut complaints = Vec::new();
    let list = read("docs/decisions/README.md");
    for path in files().into_iter().filter(|path| path.ends_with(".md")) {
        let name = path.rsplit('/').next().expect("a name");
        if path.starts_with("docs/decisions/") && name != "README.md" && !list.contains(&format!("({name})")) {
            complaints.push(format!("docs/decisions/README.md does not list {name}"));
        }
        let text = read(&path);
        let folder = root().join(&path).parent().expect("a folder").to_path_buf();
        for target in text.match_indices("](").map(|(at, _)| &text[at + 2..]).filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().expect("a first part");
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                complaints.push(format!("{path}: the link to {target} leads nowhere"));
            }
        }
    }
    none(complaints);
}

#[test]
fn lists_of_exceptions_are_current() {
    let mut complaints = Vec::new();
    let exists = |path: &str| root().join(path).exists();
    for (path, _) in LONG_FILES.iter().filter(|(path, _)| !exists(path) || read(path).lines().count() <= FILE_LINES) {
        complaints.push(format!("{path} is not long"));
    }
    for (path, _) in SLEEPERS.iter().filter(|(path, _)| !exists(path) || !code(&read(path)).contains("sleep(")) {
        complaints.push(format!("{path} does not sleep"));
    }
    for (path, name, _) in LONG_FUNCTIONS.iter().filter(|(path, ..)| !exists(path)) {
        complaints.push(format!("{path} with fn {name} does not exist"));
    }
    none(complaints);
}

#[test]
fn the_reader_of_sources_sees_code_only() {
    let source = "fn a<'x>() { let s = r#\"fn \" {\"#; let c = '{'; /* } */ let d = '\\''; } // {\nfn b();\n";
    let code = code(source);
    assert_eq!(code.len(), source.len());
    assert_eq!(words(&code, "fn").count(), 2);
    assert_eq!(code[block(&code, 0)].matches('{').count(), 1);
    assert!(block(&code, code.find("fn b").expect("the second one")).is_empty());
    assert_eq!(requirements("(R-MEM-1), R-X and XR-MEM-2").into_keys().collect::<Vec<_>>(), ["R-MEM-1"]);
}
