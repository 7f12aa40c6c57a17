//! The parts of protocol section 3 that are marked (M): what the search leaves out, one at a time, to see what goes wrong.

use crate::steps::Rules;

/// A part of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// R-LEASE-3
    AtOnce,
    /// R-LEASE-3
    ForEver,
    /// R-LEASE-3
    DurableFirst,
    /// R-LEASE-3
    AnyAdmission,
    /// R-LEASE-3
    OwnStart,
    /// R-LEASE-3
    LogFirst,
    /// R-LEASE-1, R-LEASE-3
    OwnVote,
    /// R-LEASE-4
    Majority,
    /// R-LEASE-4
    Youngest,
    /// R-LEASE-4
    Twentieth,
    /// R-LEASE-12
    SaysNext,
    /// R-LEASE-12
    OwnEnd,
    /// R-LEASE-12
    EpochAge,
    /// R-LEASE-12
    ProofFirst,
    /// R-LEASE-5
    LeaseAgain,
    /// R-LEASE-5
    AssignmentAgain,
}

impl Part {
    /// Every part without which there are two owners.
    pub const NEEDED: [Part; 15] = [
        Part::AtOnce,
        Part::ForEver,
        Part::DurableFirst,
        Part::AnyAdmission,
        Part::OwnStart,
        Part::LogFirst,
        Part::OwnVote,
        Part::Majority,
        Part::Youngest,
        Part::Twentieth,
        Part::SaysNext,
        Part::OwnEnd,
        Part::EpochAge,
        Part::LeaseAgain,
        Part::AssignmentAgain,
    ];

    /// All rules but this one, in the smallest world that shows what it is for.
    pub fn left_out(self) -> Rules {
        let clause = self.text().0;
        let world = match clause {
            "R-LEASE-12" => Rules::whole().without_crash(),
            _ => Rules::whole().in_one_epoch(),
        };
        world.with_lease(2).without(self)
    }

    /// Where it stands, and what it says.
    pub fn text(self) -> (&'static str, &'static str) {
        match self {
            Part::AtOnce => ("R-LEASE-3", "a voter that has accepted a loss vouches no more at once, decided or not"),
            Part::ForEver => ("R-LEASE-3", "and for ever, also after its entry is overwritten"),
            Part::DurableFirst => ("R-LEASE-3", "it states that only once it is durable"),
            Part::AnyAdmission => ("R-LEASE-3", "with the age of its last vouch under whatever admission"),
            Part::OwnStart => ("R-LEASE-3", "a restarted voter counts that age from its own start at the earliest"),
            Part::LogFirst => ("R-LEASE-3", "a restarted voter vouches for nobody before its log is read"),
            Part::OwnVote => ("R-LEASE-3", "of itself a node states when it accepted its own loss"),
            Part::Majority => ("R-LEASE-4", "a majority of voters have stated the revocation"),
            Part::Youngest => ("R-LEASE-4", "and the youngest of their ages counts"),
            Part::Twentieth => ("R-LEASE-4", "1.05 L has passed, so that clocks that drift do no harm"),
            Part::SaysNext => ("R-LEASE-12", "a voter that has accepted a stop-sign says so in its vouch"),
            Part::OwnEnd => ("R-LEASE-12", "a stop-sign that the owner accepted itself binds it"),
            Part::EpochAge => ("R-LEASE-12", "in a new epoch the proof needs also that the epoch is older than 1.05 L"),
            Part::ProofFirst => ("R-LEASE-12", "a proof under way is finished before a reconfiguration"),
            Part::LeaseAgain => ("R-LEASE-5", "immediately before it acts the owner re-checks its lease"),
            Part::AssignmentAgain => ("R-LEASE-5", "and that no later entry takes its assignment away"),
        }
    }
}
