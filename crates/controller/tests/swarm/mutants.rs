//! Worlds that break a promise: the judges must see it, or they would see nothing.

/// What is broken. None of it exists outside of these tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Gates stay open and lifetimes never end.
    GateFailsOpen,
    /// Stops of scripts say that they are done and do nothing.
    StopLies,
    /// Probes say that nothing runs.
    ProbeDenies,
    /// Probes say that everything runs.
    ProbeAffirms,
    /// Time stands still for a daemon while it is frozen.
    ClockStops,
    /// Clocks drift by six times the margin.
    ClockDrifts,
    /// Nothing waits for the disk.
    VisibleBeforeDurable,
    /// The lease of the daemon before never ends.
    StaleLease,
}

pub const ALL: [Mutant; 8] = [
    Mutant::GateFailsOpen,
    Mutant::StopLies,
    Mutant::ProbeDenies,
    Mutant::ProbeAffirms,
    Mutant::ClockStops,
    Mutant::ClockDrifts,
    Mutant::VisibleBeforeDurable,
    Mutant::StaleLease,
];
