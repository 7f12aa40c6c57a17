//! Complaints as text: place, line, caret, way out.

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use hearth_config::{Complaint, FileKind, Level as How, Sources};

/// All complaints for a person, in their order, and a line that sums them up; empty without complaints. Colours are
/// ANSI sequences where `colour`.
pub fn render(sources: &Sources, complaints: &[Complaint], colour: bool) -> String {
    if complaints.is_empty() {
        return String::new();
    }
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
        FileKind::Authkeys => ("authkeys", &sources.authkeys),
    };
    let path = format!("{}/{name}", sources.directory);
    let level = match complaint.level {
        How::Error => Level::ERROR,
        How::Warning => Level::WARNING,
        How::Note => Level::NOTE,
    };
    let title = level.primary_title(complaint.title.as_str()).id(complaint.code);
    let help = complaint.help.as_deref();
    let Some((span, source)) = complaint.span.clone().zip(content.as_deref()) else {
        let group = Group::with_title(title);
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

fn summary(complaints: &[Complaint]) -> String {
    let count = |how: How, word: &str| {
        let number = complaints.iter().filter(|complaint| complaint.level == how).count();
        (number > 0).then(|| format!("{number} {word}{}", if number == 1 { "" } else { "s" }))
    };
    let parts = [count(How::Error, "error"), count(How::Warning, "warning"), count(How::Note, "note")];
    let end = if parts[0].is_some() { ": not started" } else { "" };
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ") + end
}
