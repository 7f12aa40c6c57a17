//! Whether a figure keeps its bound.

/// What a measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bound was kept.
    Held,
    /// The bound was broken, and no stall of this machine explains it.
    Broken,
    /// The bound was broken by no more than this machine was stalled for, in nanoseconds: it says nothing.
    CannotJudge(u64),
}

/// Judges `measured` against `bound`, knowing for how long this machine stood still meanwhile (all nanoseconds). The
/// bound is never loosened: a stalled run is no success.
pub fn judge(measured: u64, bound: u64, stalled: u64) -> Verdict {
    if measured <= bound {
        Verdict::Held
    } else if measured.saturating_sub(stalled) <= bound {
        Verdict::CannotJudge(stalled)
    } else {
        Verdict::Broken
    }
}
