//! What must hold whatever fails, from what was seen: one mount at a time, and no acknowledged line is lost.

use super::event::{Event, NAMES, What, Who};
use anyhow::bail;
use std::time::{Duration, Instant};

/// A file system that is mounted somewhere.
#[derive(Clone, Debug)]
struct Mount {
    who: Who,
    run: u32,
    from: Instant,
    to: Option<Instant>,
}

/// A line that its writer said was synced.
#[derive(Clone, Copy, Debug)]
struct Line {
    number: u64,
    who: Who,
    at: Instant,
}

/// The whole of what was seen of the shared file system.
#[derive(Debug, Default)]
pub struct Judge {
    mounts: Vec<Mount>,
    lines: Vec<Line>,
    complaints: Vec<String>,
}

impl Judge {
    /// Takes in what was seen.
    pub fn take(&mut self, event: &Event) {
        match &event.what {
            What::Mounted => {
                self.mounts.push(Mount { who: event.who, run: event.run, from: event.at, to: None });
            }
            What::Unmounted | What::Reset | What::Gone => {
                let of = |mount: &&mut Mount| mount.who == event.who && mount.run <= event.run && mount.to.is_none();
                for mount in self.mounts.iter_mut().filter(of) {
                    mount.to = Some(event.at);
                }
            }
            What::Opened(number) => {
                let known = self.newest().map_or(0, |line| line.number);
                if *number < known {
                    let name = NAMES[event.who];
                    self.complaints.push(format!("{name} finds {number} lines, and {known} were acknowledged: lost"));
                }
            }
            What::Wrote(number) => {
                let known = self.newest().map_or(0, |line| line.number);
                if *number <= known {
                    let name = NAMES[event.who];
                    self.complaints.push(format!("{name} writes line {number} behind {known}: two write"));
                }
                self.lines.push(Line { number: *number, who: event.who, at: event.at });
            }
            What::Trouble(said) => self.complaints.push(format!("the writer of {} says {said}", NAMES[event.who])),
            What::Up | What::Watchdog | What::Asked(..) => {}
        }
    }

    /// Where it is mounted, if it is in one place.
    pub fn owner(&self) -> Option<Who> {
        let mut open = self.mounts.iter().filter(|mount| mount.to.is_none());
        open.next().filter(|_| open.next().is_none()).map(|mount| mount.who)
    }

    /// When a mount of that guest began behind `since`.
    pub fn mounted(&self, who: Option<Who>, since: Instant) -> Option<(Who, Instant)> {
        let mut found = self.mounts.iter().filter(|mount| mount.from > since && who.is_none_or(|who| mount.who == who));
        found.next().map(|mount| (mount.who, mount.from))
    }

    /// Whether that guest wrote a line behind `since`.
    pub fn has_written(&self, who: Who, since: Instant) -> bool {
        self.lines.iter().rev().take_while(|line| line.at > since).any(|line| line.who == who)
    }

    /// The longest time without an acknowledged line that touches what is behind `since`.
    pub fn gap(&self, since: Instant) -> Duration {
        let pairs = self.lines.windows(2).filter(|pair| pair[1].at > since);
        pairs.map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default()
    }

    /// For how long two had it mounted, behind `since`; what is still mounted counts until `now`.
    pub fn two_mounts(&self, since: Instant, now: Instant) -> Duration {
        let mut sum = Duration::ZERO;
        for (place, one) in self.mounts.iter().enumerate() {
            for other in self.mounts.iter().skip(place + 1).filter(|other| other.who != one.who) {
                let from = one.from.max(other.from).max(since);
                let to = one.to.unwrap_or(now).min(other.to.unwrap_or(now));
                sum += to.saturating_duration_since(from);
            }
        }
        sum
    }

    /// Lines acknowledged behind `since`.
    pub fn written(&self, since: Instant) -> usize {
        self.lines.iter().filter(|line| line.at > since).count()
    }

    /// What was wrong so far, two mounts among it.
    ///
    /// # Errors
    /// All of it.
    pub fn verdict(&self, since: Instant) -> anyhow::Result<()> {
        let mut complaints = self.complaints.clone();
        let two = self.two_mounts(since, Instant::now());
        if two > Duration::ZERO {
            complaints.push(format!("it was mounted on two machines for {two:?}"));
        }
        if !complaints.is_empty() {
            bail!("{}", complaints.join("; "));
        }
        Ok(())
    }

    /// Holds the file, as it lies on the disk in the end, against what was acknowledged.
    ///
    /// # Errors
    /// When a line is missing, is another one's, or stands twice.
    pub fn compare(&self, file: &str) -> anyhow::Result<usize> {
        let found: Vec<&str> = file.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        for (place, line) in found.iter().enumerate() {
            if line.split(' ').next().and_then(|number| number.parse().ok()) != Some(place + 1) {
                bail!("line {} of the file is {line:?}", place + 1);
            }
        }
        for Line { number, who, .. } in &self.lines {
            let line = usize::try_from(*number).ok().and_then(|number| found.get(number - 1));
            if line.is_none_or(|line| line.trim_end().split(' ').next_back() != Some(NAMES[*who])) {
                bail!("line {number} was acknowledged to {} and is {line:?}", NAMES[*who]);
            }
        }
        Ok(found.len())
    }

    fn newest(&self) -> Option<&Line> {
        self.lines.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(judge: &mut Judge, from: Instant, all: &[(u64, Who, What)]) {
        for (ms, who, what) in all {
            let at = from + Duration::from_millis(*ms);
            judge.take(&Event { at, who: *who, run: 0, what: what.clone() });
        }
    }

    #[test]
    fn a_second_mount_is_seen_and_measured() {
        let (mut judge, from) = (Judge::default(), Instant::now() - Duration::from_secs(2));
        seen(&mut judge, from, &[(10, 0, What::Mounted), (500, 1, What::Mounted), (700, 0, What::Reset)]);
        assert_eq!(judge.two_mounts(from, from + Duration::from_secs(1)), Duration::from_millis(200));
        assert!(judge.verdict(from).is_err());
        assert_eq!(judge.owner(), Some(1));
    }

    #[test]
    fn an_acknowledged_line_that_the_next_one_does_not_find_is_lost() {
        let (mut judge, from) = (Judge::default(), Instant::now());
        seen(&mut judge, from, &[(10, 0, What::Wrote(1)), (20, 0, What::Wrote(2)), (900, 1, What::Opened(1))]);
        assert!(judge.verdict(from).is_err());
    }

    #[test]
    fn the_file_is_held_against_what_was_acknowledged() {
        let (mut judge, from) = (Judge::default(), Instant::now());
        seen(&mut judge, from, &[(10, 0, What::Wrote(1)), (20, 1, What::Wrote(2))]);
        assert_eq!(judge.compare("1 a\n2 b\n3 b\n4").unwrap(), 3);
        assert!(judge.compare("1 a\n2 a\n").is_err(), "somebody else's");
        assert!(judge.compare("1 a\n").is_err(), "lost");
        assert!(judge.compare("1 a\n1 b\n2 b\n").is_err(), "twice");
        assert_eq!(judge.gap(from), Duration::from_millis(10));
    }
}
