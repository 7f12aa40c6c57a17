//! authkeys: which key signs, and all keys.

use crate::lex::{Word, lines, place, words};
use crate::report::{Report, error, unreadable, warning};
use crate::{Complaint, Key, KeyMethod, Keys, Sources};
use alloc::collections::BTreeMap;
use alloc::format;
use core::ops::Range;

/// Reads the file; the value counts only where nothing was refused.
pub(crate) fn parse(sources: &Sources, report: &mut Report) -> Keys {
    let mut keys = Keys { signing: 0, keys: BTreeMap::new() };
    let path = sources.path("authkeys");
    let Some(text) = &sources.authkeys else {
        report.push(error("missing-file", None, format!("{path} does not exist")).help(format!(
            "make one: (umask 077; printf 'auth 1\\n1 sha256 %s\\n' \"$(head -c 32 /dev/urandom | sha256sum | cut -c1-64)\" > {path}), and copy it to the other node"
        )));
        return keys;
    };
    if let Some(mode) = sources.authkeys_mode
        && mode & 0o077 != 0
    {
        report.push(
            error("keys-readable", None, format!("{path} is open to others (mode {:04o})", mode & 0o7777))
                .help(format!("run: chmod 600 {path}")),
        );
    }
    let (mut signing, mut seen) = (None, BTreeMap::new());
    for (start, line) in lines(text) {
        let words = words(line, start, false);
        let Some(first) = words.first() else { continue };
        if first.text.starts_with('#') || unreadable(&words, report) {
            continue;
        }
        if first.text == "auth" {
            match words.get(1).map(|word| (word, word.text.parse::<u8>())) {
                Some((word, Ok(number))) if number <= 15 => signing = Some((number, word.span.clone())),
                Some((word, _)) => report.push(
                    error("bad-key-number", word.span.clone(), "the number of a key is 0 to 15").help("write: auth 1"),
                ),
                None => report.push(
                    error("no-key-number", first.span.clone(), "`auth` names no key")
                        .help("write the number of a key: auth 1"),
                ),
            }
        } else {
            entry(text, &words, &mut seen, &mut keys, report);
        }
    }
    sign(signing, &path, &mut keys, report);
    keys
}

/// Settles which key signs.
fn sign(signing: Option<(u8, Range<usize>)>, path: &str, keys: &mut Keys, report: &mut Report) {
    let Some((number, span)) = signing else {
        // A line that was refused is not missing.
        if report
            .complaints
            .iter()
            .all(|complaint| !matches!(complaint.code, "bad-key-number" | "no-key-number" | "not-utf8"))
        {
            let wrong = error("auth-missing", None, format!("{path} has no `auth` line"));
            report.push(wrong.help("write as the first line: auth 1"));
        }
        return;
    };
    let refused = ["glued-key", "unknown-method", "no-method", "crc-with-key", "empty-value", "not-utf8"];
    if !keys.keys.contains_key(&number) && report.complaints.iter().all(|one| !refused.contains(&one.code)) {
        let wrong = error("key-missing", span, format!("there is no key {number}"));
        report.push(wrong.label("signs with it").help(format!("add a line: {number} sha256 KEY")));
    }
    keys.signing = number;
}

fn entry(text: &str, words: &[Word<'_>], seen: &mut BTreeMap<u8, usize>, keys: &mut Keys, report: &mut Report) {
    let first = &words[0];
    let span = &first.span;
    let Some(number) = first.text.parse::<u8>().ok().filter(|number| *number <= 15) else {
        let wrong =
            error("bad-key-number", first.span.clone(), "a line begins with `auth` or with a number from 0 to 15");
        report.push(wrong.help("write: 1 sha256 KEY"));
        return;
    };
    let Some(method) = words.get(1) else {
        report.push(
            error("empty-value", first.span.clone(), format!("key {number} has no method"))
                .help(format!("write: {number} sha256 KEY")),
        );
        return;
    };
    let kind = match method.text {
        "crc" => KeyMethod::Crc,
        "md5" => KeyMethod::Md5,
        "sha1" => KeyMethod::Sha1,
        "sha256" => KeyMethod::Sha256,
        other => {
            report.push(not_a_method(method, other, words.len()));
            return;
        }
    };
    let key = words.get(2).map_or("", |word| word.text);
    match (kind, key.is_empty()) {
        (KeyMethod::Crc, false) => report.push(
            error("crc-with-key", method.span.clone(), "crc takes no key").help(format!("write: {number} sha256 KEY")),
        ),
        (KeyMethod::Crc, true) => report.push(
            warning(
                "crc",
                method.span.clone(),
                "crc AUTHENTICATES NOTHING: whoever reaches the port can command this cluster",
            )
            .help("use sha256 with a secret key"),
        ),
        (_, true) => {
            report.push(
                error("empty-value", method.span.clone(), format!("`{}` needs a key behind it", method.text))
                    .help(format!("write: {number} {} KEY", method.text)),
            );
            return;
        }
        (KeyMethod::Sha1 | KeyMethod::Md5, false) => report.push(
            warning("weak-method", method.span.clone(), format!("{} is old", method.text))
                .help("sha256 is better: add it as a new key on all nodes, then switch `auth`"),
        ),
        (KeyMethod::Sha256, false) => {}
    }
    if let Some(extra) = words.get(3) {
        report.push(
            warning("extra-word", extra.span.clone(), "only the first word behind the method is the key")
                .label("ignored, as Heartbeat did"),
        );
    }
    if let Some(first) = seen.insert(number, span.start) {
        let title = format!("key {number} stands twice");
        let wrong =
            error("duplicate-key", span.clone(), title).label(format!("the first is in line {}", place(text, first).0));
        report.push(wrong.help("give the new key another number"));
    }
    keys.keys.insert(number, Key { method: kind, text: key.into() });
}

/// No complaint quotes what may be a key.
fn not_a_method(method: &Word<'_>, other: &str, words: usize) -> Complaint {
    let glued = ["sha256", "sha1", "md5"].into_iter().find(|name| other.starts_with(name));
    match glued {
        Some(name) if words == 2 => {
            let begin = method.span.start + name.len();
            error("glued-key", begin..method.span.end, "method and key are one word")
                .label("the key begins here: a blank is missing before it")
                .help(format!("write a blank behind `{name}`"))
        }
        _ if words == 2 => error("no-method", method.span.clone(), "this word is not a method")
            .label("the method stands before the key")
            .help("write: 1 sha256 KEY; methods are sha256, sha1, md5, crc"),
        _ => error("unknown-method", method.span.clone(), format!("there is no method `{other}`"))
            .help("methods are sha256, sha1, md5, crc")
            .nearest(other, ["sha256", "sha1", "md5", "crc"].into_iter()),
    }
}
