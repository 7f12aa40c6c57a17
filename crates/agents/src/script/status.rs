//! What a status call says.

/// Judged by standard output, as Heartbeat did; the exit code does not count.
///
/// `not running`, each of N, O, T, R in either case, means no; else `running`, `Running` or `OK` anywhere means yes; else
/// no. So `stopped, not OK` means yes: scripts were written to this test, and a kinder one would break them.
pub(super) fn by_output(stdout: &str) -> bool {
    !says_not_running(stdout) && ["running", "Running", "OK"].iter().any(|word| stdout.contains(word))
}

/// The shell pattern `*[Nn][Oo][Tt]\ [Rr]unning*`.
fn says_not_running(stdout: &str) -> bool {
    stdout.as_bytes().windows(11).any(|window| {
        window[..3].eq_ignore_ascii_case(b"not")
            && window[3] == b' '
            && window[4].eq_ignore_ascii_case(&b'r')
            && &window[5..] == b"unning"
    })
}

/// Judged by exit code, as LSB says; none: the script itself does not know.
pub(super) fn by_exit_code(code: i32) -> Option<bool> {
    match code {
        0 => Some(true),
        // Dead with a pid file, dead with a lock file, not running.
        1..=3 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged_as_heartbeat_judged_them() {
        let yes = [
            "running",
            "httpd is Running",
            "OK",
            "stopped, not OK",
            "INFO:  Running OK",
            "not Ok, running",
            "BROKEN OK?",
        ];
        let no = [
            "",
            "stopped",
            "not running",
            "Not Running",
            "NOT running",
            "nOt Running (OK)",
            "RUNNING",
            "Ok",
            "ok",
            "is not running\nbut another is running",
            "INFO:  Resource is stopped",
        ];
        for text in yes {
            assert!(by_output(text), "{text:?}");
        }
        for text in no {
            assert!(!by_output(text), "{text:?}");
        }
        assert!(by_output("not  running"), "two blanks are not the pattern, `running` is");
        assert!(by_output("NOT RUNNING, I said running"), "a capital U is not the pattern");
    }

    #[test]
    fn exit_codes_are_judged_as_lsb_says() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 127, 150].map(by_exit_code),
            [Some(true), Some(false), Some(false), Some(false), None, None, None, None]
        );
    }
}
