//! `cl_status`: Heartbeat's status command.

use super::belief::{Named, holding};
use crate::page::clean;
use crate::status::fetch;
use crate::trouble::{Exit, Trouble};
use hearth_control::Status;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Success, and what was asked is so.
const OK: u8 = 0;
/// What was asked is not so, or there is no daemon.
const NOT_SO: u8 = 1;
/// Wrong sub-command, argument or node.
const PARAMETER: u8 = 11;
/// Heartbeat's limit for all of it.
const TIMED_OUT: u8 = 12;
/// Unknown link.
const UNKNOWN: u8 = 13;
/// After that long Heartbeat's own command gave up.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) const HELP: &str = "\
usage: cl_status SUB-COMMAND [OPTIONS] [ARGUMENTS]

  hbstatus [-v]                 is the cluster running on this machine?
  listnodes [-p|-n] [-v]        names of all nodes; -p ping nodes only, -n others only
  nodestatus NODE               init, up, active, dead, ping
  nodetype NODE                 normal or ping
  nodeweight NODE               always 100
  nodesite NODE                 always empty
  listhblinks NODE [-v]         heartbeat links of a node
  hblinkstatus NODE LINK        up or dead
  clientstatus NODE CLIENT      always offline: Hearth has no clients of this kind
  rscstatus                     none, local, foreign, all, transition
  hbparameter -p NAME           what ha.cf says of NAME

  -m  print sentences for people
This is Hearth answering by the old name; see also: hearth status
";

/// Options of all sub-commands, as getopt(3) would take them anywhere on the line.
#[derive(Debug, Default)]
struct Options {
    sentences: bool,
    verbose: bool,
    ping: bool,
    normal: bool,
    parameter: Option<String>,
    words: Vec<String>,
}

/// What is printed, and the exit code.
type Answer = Result<(String, u8), (String, u8)>;

/// Runs it; returns the exit code.
pub(crate) fn run(socket: &Path, arguments: &[String]) -> u8 {
    let (out, err, code) = match answer(socket, arguments) {
        Ok((out, code)) => (out, String::new(), code),
        Err((err, code)) => (String::new(), err, code),
    };
    if !err.is_empty() {
        eprint!("{err}");
    }
    match crate::page::write_out(&out) {
        Ok(_) => code,
        Err(trouble) => {
            trouble.print("cl_status");
            NOT_SO
        }
    }
}

fn answer(socket: &Path, arguments: &[String]) -> Answer {
    let Some((command, rest)) = arguments.split_first() else { return Ok((HELP.to_owned(), OK)) };
    if matches!(command.as_str(), "-h" | "--help") {
        return Ok((HELP.to_owned(), OK));
    }
    let known = ["hbstatus", "listnodes", "nodestatus", "nodetype", "nodeweight", "nodesite", "listhblinks"];
    let known_too = ["hblinkstatus", "clientstatus", "rscstatus", "hbparameter"];
    if !known.contains(&command.as_str()) && !known_too.contains(&command.as_str()) {
        return Err((
            format!("{} is not a valid cl_status sub-command; `cl_status -h` lists them\n", clean(command)),
            PARAMETER,
        ));
    }
    let options = options(rest)?;
    let status = fetch(socket, LIMIT);
    if command == "hbstatus" {
        return hbstatus(&options, status);
    }
    let status = status.map_err(|trouble| cannot_sign_on(&trouble))?;
    match command.as_str() {
        "listnodes" => Ok((list_nodes(&options, &status), OK)),
        "rscstatus" => {
            let held = holding(&status);
            Ok((say(&options, held, || format!("This node is holding {held} resources.")), OK))
        }
        "hbparameter" => parameter(&options, &status),
        command => of_node(command, &options, &status),
    }
}

fn options(arguments: &[String]) -> Result<Options, (String, u8)> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            options.words.push(argument.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'm' => options.sentences = true,
                'v' => options.verbose = true,
                'n' => options.normal = true,
                'p' if letters[at + 1..].is_empty() => {
                    // listnodes has -p alone, hbparameter has -p NAME: the caller takes what it knows.
                    options.ping = true;
                    options.parameter = rest.clone().next().cloned();
                }
                'p' => {
                    options.parameter = Some(letters[at + 1..].to_owned());
                    break;
                }
                other => {
                    return Err((format!("cl_status: unknown option -{}\n", clean(&other.to_string())), PARAMETER));
                }
            }
        }
    }
    Ok(options)
}

fn say(options: &Options, bare: &str, sentence: impl FnOnce() -> String) -> String {
    if options.sentences { format!("{}\n", clean(&sentence())) } else { format!("{}\n", clean(bare)) }
}

fn hbstatus(options: &Options, status: Result<Status, Trouble>) -> Answer {
    let status = match status {
        Ok(status) => status,
        Err(trouble) => {
            let because = if options.verbose { format!("({})\n", clean(&trouble.text)) } else { String::new() };
            // It is there and does not want to talk to this user, or does not answer in time: it is not stopped.
            let (said, code) = match trouble.exit {
                _ if trouble.silent => return Err((format!("cl_status: {}\n", clean(&trouble.text)), TIMED_OUT)),
                Exit::NoDaemon => ("Heartbeat is stopped on this machine.", NOT_SO),
                _ => ("Heartbeat is apparently running on this machine, but refuses my connection", OK),
            };
            return Ok((format!("{said}\n{because}"), code));
        }
    };
    if !options.verbose {
        return Ok(("Heartbeat is running on this machine.\n".to_owned(), OK));
    }
    let mut text = if options.sentences {
        format!("Heartbeat version {} (Hearth)\nResources controlled by \"haresources\"\n", clean(&status.version))
    } else {
        format!("version:\t{} (Hearth)\nmanaged by:\t\"haresources\"\n", clean(&status.version))
    };
    text.push_str(&list_nodes(&Options { verbose: true, sentences: options.sentences, ..Options::default() }, &status));
    Ok((text, OK))
}

fn list_nodes(options: &Options, status: &Status) -> String {
    let mut text = String::new();
    if options.sentences {
        text.push_str("The nodes are as follow:\n");
    }
    let (ping, normal) = if options.ping && options.normal { (false, false) } else { (options.ping, options.normal) };
    for node in Named::all(status) {
        let is_ping = node.node_type() == "ping";
        if (ping && !is_ping) || (normal && is_ping) {
            continue;
        }
        if options.verbose {
            let _ = writeln!(text, "\n{}\t{}\t(nodetype: {})", clean(node.name()), node.state(), node.node_type());
            text.push_str(&list_links(
                node,
                &Options { verbose: true, sentences: options.sentences, ..Options::default() },
            ));
        } else {
            let _ = writeln!(text, "{}", clean(node.name()));
        }
    }
    text
}

fn list_links(node: Named<'_>, options: &Options) -> String {
    let mut text = String::new();
    if options.sentences {
        text.push_str("\tthis node has the following heartbeat links:\n");
    }
    for (name, state) in node.links() {
        let _ = if options.verbose {
            writeln!(text, "\t{}\t{state}", clean(name))
        } else {
            writeln!(text, "\t{}", clean(name))
        };
    }
    text
}

/// Sub-commands that are about one node.
fn of_node(command: &str, options: &Options, status: &Status) -> Answer {
    let needed = if matches!(command, "hblinkstatus" | "clientstatus") { 2 } else { 1 };
    if options.words.len() < needed {
        return Err((format!("Not enough parameters: `cl_status -h` shows what {command} takes\n"), PARAMETER));
    }
    let name = options.words[0].as_str();
    let Some(node) = Named::find(status, name) else {
        let code = if matches!(command, "listhblinks" | "hblinkstatus") { UNKNOWN } else { PARAMETER };
        return Err((format!("Error. May be due to incorrect node name: there is no node {}\n", clean(name)), code));
    };
    Ok(match command {
        "nodestatus" => {
            let state = node.state();
            let code = if matches!(state, "active" | "up" | "ping") { OK } else { NOT_SO };
            (say(options, state, || format!("The cluster node {name} is {state}")), code)
        }
        "nodetype" => (say(options, node.node_type(), || format!("The node {name}'s type: {}", node.node_type())), OK),
        "nodeweight" => (say(options, "100", || format!("The weight of the cluster node {name} is 100")), OK),
        "nodesite" => (say(options, "", || format!("The site of the cluster node {name} is ")), OK),
        "listhblinks" => (list_links(node, options), OK),
        "clientstatus" => ("offline\n".to_owned(), NOT_SO),
        _ => {
            let link = options.words[1].as_str();
            let Some((_, state)) = node.links().into_iter().find(|(known, _)| *known == link) else {
                return Err((
                    format!("Cannot get heartbeat link status: {} has no link {}\n", clean(name), clean(link)),
                    UNKNOWN,
                ));
            };
            let sentence = || format!("The node {name}'s heartbeat link {link} is {state}");
            (say(options, state, sentence), if state == "up" { OK } else { NOT_SO })
        }
    })
}

/// What ha.cf says of a name: the last line counts, as in Heartbeat.
fn parameter(options: &Options, status: &Status) -> Answer {
    let Some(name) = options.parameter.as_deref().or(options.words.first().map(String::as_str)) else {
        return Err(("parameter name required\n".to_owned(), PARAMETER));
    };
    let directory = std::env::var("HA_DIR").unwrap_or_else(|_| "/etc/ha.d".to_owned());
    let value = match name {
        "hbversion" => Some(status.version.clone()),
        _ => {
            let file = Path::new(&directory).join("ha.cf");
            let text = std::fs::read(&file).map_err(|error| {
                (format!("Cannot get parameter {}'s value: {}: {error}\n", clean(name), file.display()), NOT_SO)
            })?;
            directive(&String::from_utf8_lossy(&text), name)
        }
    };
    let Some(value) = value else {
        return Err((
            format!("Cannot get parameter {}'s value: {directory}/ha.cf does not set it\n", clean(name)),
            NOT_SO,
        ));
    };
    Ok((say(options, &value, || format!("Heartbeat parameter {name}'s value: {value}")), OK))
}

fn directive(text: &str, name: &str) -> Option<String> {
    let mut found = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some((word, value)) = line.split_once(char::is_whitespace)
            && word == name
        {
            found = Some(value.trim().to_owned());
        }
    }
    found
}

fn cannot_sign_on(trouble: &Trouble) -> (String, u8) {
    let code = if trouble.silent { TIMED_OUT } else { NOT_SO };
    let reason = clean(&trouble.text);
    (format!("cl_status: ERROR: Cannot signon with heartbeat\ncl_status: ERROR: REASON: {reason}\n"), code)
}

#[cfg(test)]
mod tests {
    use super::directive;

    #[test]
    fn the_last_line_of_ha_cf_counts_and_comments_do_not() {
        let text = "keepalive 2 # seconds\r\n#keepalive 9\n\tkeepalive\t500ms\nkeepalives 3\n";
        assert_eq!(directive(text, "keepalive").as_deref(), Some("500ms"));
        assert_eq!(directive(text, "deadtime"), None);
    }
}
