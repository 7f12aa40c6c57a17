//! `alert PATH [RECIPIENT...]`: who is told of what a person should know.

use super::Reader;
use crate::AlertScript;
use crate::lex::Word;
use crate::report::{error, warning};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

/// The one script that is known by its name: the agent of `haresources`, which mails an alert as well.
const MAIL_TO: &str = "MailTo";
/// Scripts times recipients: each has a queue of its own.
const RECEIVERS_MAX: usize = 32;

impl Reader<'_> {
    pub(super) fn alert(&mut self, name: &Word<'_>, words: &[Word<'_>]) {
        let [script, recipients @ ..] = words else { return };
        let Some(program) = self.alert_program(script) else { return };
        if script.text == MAIL_TO {
            if recipients.is_empty() {
                let wrong = error("bad-alert", script.span.clone(), "whom `MailTo` is to mail is not said");
                return self.report.push(wrong.help("write: alert MailTo ADDRESS"));
            }
            if let Some(wrong) = recipients.iter().find(|word| word.text.starts_with('-')) {
                return self.bad(wrong, "write a mail address");
            }
        }
        if self.file.cluster.alerts.scripts.iter().any(|known| known.program == program) {
            let told =
                warning("alert-twice", script.span.clone(), format!("`{}` stands in two `alert` lines", script.text));
            self.report.push(told.label("again").help("it is run for each line: write all recipients into one"));
        }
        let recipients = recipients.iter().map(|word| word.text.to_owned()).collect();
        self.file.cluster.alerts.scripts.push(AlertScript { program, recipients });
        if self.file.cluster.alerts.receivers().count() > RECEIVERS_MAX {
            let title = format!("more than {RECEIVERS_MAX} recipients of alerts");
            let wrong = error("too-many-recipients", name.span.clone(), title);
            self.report
                .push(wrong.help("write one address that stands for many: a mailing list, a script of your own"));
        }
    }

    fn alert_program(&mut self, script: &Word<'_>) -> Option<String> {
        if script.text == MAIL_TO {
            let found = self.environment.script(MAIL_TO);
            if found.is_none() {
                let wrong = error("no-alert-script", script.span.clone(), "the script `MailTo` is nowhere");
                self.report
                    .push(wrong.help("install the agents of hearth (resource.d), or write the path of a script"));
            }
            return found.map(|(_, path)| path);
        }
        if !script.text.starts_with('/') {
            let wrong = error("bad-alert", script.span.clone(), format!("`{}` is no full path", script.text));
            self.report.push(wrong.help("write: alert /PATH/OF/A/SCRIPT [RECIPIENT...], or: alert MailTo ADDRESS"));
            return None;
        }
        match self.environment.not_a_program(script.text) {
            None => Some(script.text.to_owned()),
            Some(why) => {
                let wrong = error("no-alert-script", script.span.clone(), format!("`{}` {why}", script.text));
                self.report.push(
                    wrong.help("write the path of a script that lies on this machine and may be executed (chmod 755)"),
                );
                None
            }
        }
    }
}
