//! Complaints as text: place, line, caret, way out.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use hearth_config::{Complaint, FileKind, Level as How, Sources};

/// All complaints for a person, in their order, and a line that sums them up; empty without complaints. Colours are
/// ANSI sequences where `colour`. Keys and passwords are masked: this text goes to terminals and logs.
pub fn render(sources: &Sources, complaints: &[Complaint], colour: bool) -> String {
    if complaints.is_empty() {
        return String::new();
    }
    let sources = &Sources {
        ha_cf: sources.ha_cf.as_deref().map(without_passwords),
        crm: sources.crm.as_deref().map(without_passwords),
        authkeys: sources.authkeys.as_deref().map(masked),
        ..sources.clone()
    };
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for complaint in complaints {
        text.push_str(&renderer.render(&groups(sources, complaint)));
        text.push_str("\n\n");
    }
    text + &summary(complaints) + "\n"
}

fn groups<'a>(sources: &'a Sources, complaint: &'a Complaint) -> Vec<Group<'a>> {
    let (name, content) = match complaint.file {
        FileKind::HaCf => ("ha.cf", &sources.ha_cf),
        FileKind::Haresources => ("haresources", &sources.haresources),
        FileKind::Crm => ("resources.crm", &sources.crm),
        FileKind::Authkeys => ("authkeys", &sources.authkeys),
    };
    let path = sources.path(name);
    let level = match complaint.level {
        How::Error => Level::ERROR,
        How::Warning => Level::WARNING,
        How::Note => Level::NOTE,
    };
    let title = level.primary_title(complaint.title.as_str()).id(complaint.code);
    let help = complaint.help.as_deref();
    let Some((span, source)) = complaint.span.clone().zip(content.as_deref()) else {
        let group = Group::with_title(title);
        // A file that is not there is named by its complaint.
        let group = if content.is_some() { group.element(Origin::path(path)) } else { group };
        return vec![match help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }];
    };
    let mut mark = AnnotationKind::Primary.span(span.clone());
    if !complaint.label.is_empty() {
        mark = mark.label(complaint.label.as_str());
    }
    let group = title.element(Snippet::source(source).path(path.clone()).annotation(mark));
    match (&complaint.fix, help) {
        (Some(fix), help) => {
            let patch = Snippet::source(source).path(path).patch(Patch::new(span, fix.as_str()));
            vec![group, Level::HELP.secondary_title(help.unwrap_or("write")).element(patch)]
        }
        (None, Some(help)) => vec![group.element(Level::HELP.message(help))],
        (None, None) => vec![group],
    }
}

/// The same lengths, with every word hidden that is, or may be meant as, a key.
fn masked(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| if line.trim_start().starts_with('#') { line.to_owned() } else { mask(line) })
        .collect()
}

fn mask(line: &str) -> String {
    let mut words = line.split_whitespace();
    let numbered = words.next().is_some_and(|word| word == "auth" || word.parse::<u8>().is_ok());
    let has_key = words.nth(1).is_some();
    let mut number = 0;
    let pieces = line.split_inclusive(char::is_whitespace).map(|piece| {
        let word = piece.trim_end();
        let open = match number {
            0 if numbered => word.len(),
            1 if numbered && has_key => word.len(),
            1 if numbered => method(word),
            _ => 0,
        };
        number += usize::from(!word.is_empty());
        format!("{}{}{}", &word[..open], "*".repeat(word.len() - open), &piece[word.len()..])
    });
    pieces.collect()
}

/// How much of the second of two words is a method, or the number behind `auth`; what is glued to it may be a key.
fn method(word: &str) -> usize {
    if word.parse::<u8>().is_ok() {
        return word.len();
    }
    ["sha256", "sha1", "md5", "crc"].into_iter().find(|name| word.starts_with(name)).map_or(0, str::len)
}

/// The same lengths, with the value of every parameter hidden whose name speaks of a password (`passwd=...`).
fn without_passwords(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let (before, value) = (&rest[..=at], &rest[at + 1..]);
        masked.push_str(before);
        let name = before.rsplit(|letter: char| letter.is_whitespace() || letter == '"').next().unwrap_or("");
        let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''));
        let end = match quote {
            Some(quote) => value[1..].find([quote, '\n']).map(|end| end + 1),
            None => value.find(char::is_whitespace),
        };
        let end = end.unwrap_or(value.len());
        if name.to_lowercase().contains("pass") {
            masked.push_str(&"*".repeat(end));
        } else {
            masked.push_str(&value[..end]);
        }
        rest = &value[end..];
    }
    masked + rest
}

/// What the last line says where there is an error.
pub(crate) const NOT_STARTED: &str = ": not started";

fn summary(complaints: &[Complaint]) -> String {
    let count = |how: How, word: &str| {
        let number = complaints.iter().filter(|complaint| complaint.level == how).count();
        (number > 0).then(|| format!("{number} {word}{}", if number == 1 { "" } else { "s" }))
    };
    let parts = [count(How::Error, "error"), count(How::Warning, "warning"), count(How::Note, "note")];
    let end = if parts[0].is_some() { NOT_STARTED } else { "" };
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ") + end
}

#[cfg(test)]
mod tests {
    use super::{masked, without_passwords};

    #[test]
    fn a_password_of_a_fence_device_in_the_log() {
        let text = "stonith_host * fence_x ip=1.2.3.4 passwd=gehéim login=ADMIN\nprimitive f stonith:x params password=\"a b\" x=1\n\
                    a= passwd_x=\"open\nend=1";
        let want = "stonith_host * fence_x ip=1.2.3.4 passwd=******* login=ADMIN\nprimitive f stonith:x params password=****\" x=1\n\
                    a= passwd_x=*****\nend=1";
        assert_eq!(without_passwords(text), want);
        assert_eq!(without_passwords(text).len(), text.len());
    }

    #[test]
    fn keys_are_masked_and_lengths_kept() {
        let text = "# c\nauth 1\n1 sha1 gehéim x\r\n2 sha1geheim\n 3  geheim\ngeheim\n4 crc";
        let want = "# c\nauth 1\n1 sha1 ******* *\r\n2 sha1******\n 3  ******\n******\n4 crc";
        assert_eq!(masked(text), want);
        assert_eq!(masked(text).len(), text.len());
    }
}
