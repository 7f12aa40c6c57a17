//! Nodes and worlds that break a promise on purpose: a checker that does not see them would see nothing.

/// What is broken. Only tests make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Gates stay open and lifetimes never end: a node that forgets its lease.
    GateFailsOpen,
    /// Stops of scripts say that they are done and do nothing.
    StopLies,
    /// A node that skips its probes: they say that nothing runs.
    ProbeDenies,
    /// A node that adopts blindly: probes say that everything runs.
    ProbeAffirms,
    /// Time stands still for a daemon while it is frozen.
    ClockStops,
    /// Clocks drift by six times the margin.
    ClockDrifts,
    /// Nothing waits for the disk.
    VisibleBeforeDurable,
    /// The lease of the daemon before never ends.
    StaleLease,
    /// Node a takes over without waiting: its deadtime is an eighth of the others'.
    Impatient,
    /// Node a believes replayed packets: they are renumbered so that no window refuses them.
    AcceptsReplays,
    /// Node a applies the last entry of its log twice when it restarts.
    AppliesTwice,
    /// Members of a group start all at once, whatever their order.
    StartsOutOfOrder,
    /// Every start is ordered twice.
    StartsTwice,
    /// Events lose their cause.
    ForgetsCauses,
    /// What a heal reports is a tenth of the truth.
    ReportsLittle,
    /// Requests are never answered.
    NeverAnswers,
    /// Status is the one of a second ago, for ever.
    StatusStandsStill,
    /// A daemon asks for the same deadline again and again.
    DeadlineSpins,
    /// Every order is given again and again, on one machine after the other.
    MovesForever,
    /// An owner without carrier keeps what it has.
    IgnoresIsolation,
    /// The watchdog is petted as long as the daemon runs, whatever it has no right to any more.
    PetsWhileUnclean,
    /// The watchdog is petted only where something runs.
    PetsOnlyOwners,
    /// Watchdogs reset five times as late as their drivers say.
    WatchdogIsLate,
    /// Nobody is told how far a disk has come: one that was put back votes with what is left.
    IgnoresMarks,
    /// Nodes state of their disk what is not durable yet.
    MarksTooEarly,
    /// Nobody is told whom a voter that accepted the end of its epoch has named to vote next.
    ForgetsNextVoters,
    /// Every epoch is said to be old: a proof by time waits for nobody whom the voters before carried.
    EpochsAreOld,
    /// What a fence device is told to do counts as done before it answers.
    FencesUnconfirmed,
    /// A node of a pair may fence as soon as it has booted: its token is that of the boot before.
    FencesWithoutToken,
    /// A machine is taken out of the list while it serves: nobody is asked.
    TakesOutUnasked,
    /// Node a counts majorities by the list of before when it restarts: without the machine that was added.
    CountsByOldList,
    /// A node that does not heed the pill in its slot.
    IgnoresPill,
    /// A pill counts as soon as it is written.
    PillProvesAtOnce,
    /// A node that cannot look at its slot goes on as if it had.
    LooksAtNothing,
    /// A node that reads that nobody has claimed, and then claims.
    ClaimsByOneRead,
    /// What did not stop blocks, whatever could end it: nobody is turned off who still talks.
    BlocksUnstopped,
    /// What flaps is let in again each time as if it had never failed: somebody releases it at once.
    TrustsEachTime,
    /// A failure counts until somebody clears it, whatever `failure_timeout` says.
    NeverForgets,
    /// Files are read as if a witness were a node like others.
    WitnessRuns,
}
