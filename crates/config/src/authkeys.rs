//! authkeys: which key signs, and all keys.

use crate::lex::{lines, place, words};
use crate::report::{Report, error, warning};
use crate::{Key, KeyMethod, Keys, Sources};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

/// Reads the file; the value counts only where nothing was refused.
pub(crate) fn parse(sources: &Sources, report: &mut Report) -> Keys {
    let mut keys = Keys { signing: 0, keys: BTreeMap::new() };
    let path =
        if sources.directory.is_empty() { String::from("authkeys") } else { format!("{}/authkeys", sources.directory) };
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
    let mut signing = None;
    for (start, line) in lines(text) {
        let words = words(line, start, false);
        let Some(first) = words.first() else { continue };
        if first.text.starts_with('#') {
            continue;
        }
        if first.text == "auth" {
            match words.get(1).map(|word| (word, word.text.parse::<u8>())) {
                Some((word, Ok(number))) if number <= 15 => signing = Some((number, word.span.clone())),
                Some((word, _)) => {
                    report.push(error("bad-key-number", word.span.clone(), "the number of a key is 0 to 15"))
                }
                None => report.push(
                    error("empty-value", first.span.clone(), "`auth` names no key")
                        .help("write the number of a key: auth 1"),
                ),
            }
        } else {
            entry(text, &words, &mut keys, report);
        }
    }
    match signing {
        None => {
            report.push(error("auth-missing", None, format!("{path} has no `auth` line")).help("write first: auth 1"))
        }
        Some((number, span)) => {
            if !keys.keys.contains_key(&number) && report.complaints.iter().all(|c| c.code != "glued-key") {
                report.push(
                    error("key-missing", span, format!("there is no key {number}"))
                        .help(format!("add a line: {number} sha256 KEY")),
                );
            }
            keys.signing = number;
        }
    }
    keys
}

fn entry(text: &str, words: &[crate::lex::Word<'_>], keys: &mut Keys, report: &mut Report) {
    let first = &words[0];
    let Some(number) = first.text.parse::<u8>().ok().filter(|number| *number <= 15) else {
        let wrong =
            error("bad-key-number", first.span.clone(), "a line begins with `auth` or with a number from 0 to 15");
        report.push(wrong.help("write: 1 sha256 KEY"));
        return;
    };
    let Some(method) = words.get(1) else {
        report.push(
            error("empty-value", first.span.clone(), format!("key {number} has no method")).help("write: 1 sha256 KEY"),
        );
        return;
    };
    let kind = match method.text {
        "crc" => KeyMethod::Crc,
        "md5" => KeyMethod::Md5,
        "sha1" => KeyMethod::Sha1,
        "sha256" => KeyMethod::Sha256,
        other => {
            let glued = ["sha256", "sha1", "md5"].into_iter().find(|name| other.starts_with(name));
            report.push(match glued {
                Some(name) if words.len() == 2 => {
                    error("glued-key", method.span.clone(), "method and key are one word")
                        .label("a blank is missing")
                        .help(format!("write a blank after `{name}`"))
                        .fix(format!("{name} {}", &other[name.len()..]))
                }
                _ => error("unknown-method", method.span.clone(), format!("there is no method `{other}`"))
                    .help("methods are sha256, sha1, md5, crc")
                    .nearest(other, ["sha256", "sha1", "md5", "crc"].into_iter()),
            });
            return;
        }
    };
    let key = words.get(2).map_or("", |word| word.text);
    match (kind, key.is_empty()) {
        (KeyMethod::Crc, false) => {
            report.push(error("crc-with-key", method.span.clone(), "crc takes no key").help("write: 1 sha256 KEY"))
        }
        (KeyMethod::Crc, true) => report.push(
            warning(
                "crc",
                method.span.clone(),
                "crc AUTHENTICATES NOTHING: whoever reaches the port can command this cluster",
            )
            .help("use sha256 with a secret key"),
        ),
        (_, true) => {
            report.push(error("empty-value", method.span.clone(), format!("`{}` needs a key behind it", method.text)));
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
    if keys.keys.insert(number, Key { method: kind, text: key.into() }).is_some() {
        let (line, _) = place(text, first.span.start);
        report.push(error(
            "duplicate-key",
            first.span.clone(),
            format!("key {number} stands twice, again in line {line}"),
        ));
    }
}
