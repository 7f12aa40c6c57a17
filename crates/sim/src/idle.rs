//! Acts that change nothing at the moment at which they come: a kill of a daemon that does not run, a cut of what is cut.

use crate::act::Act;
use crate::world::World;
use hearth_types::ResourceId;

impl World {
    /// Whether an act would change nothing now: not a machine, a link, a disk, what a daemon is told, or what chance draws
    /// next. Says so only of acts of which that is plain; of an order to a daemon that does not run only its number is
    /// used up. Checkers see it all the same, and permit no less for it: without it they are as strict or stricter.
    pub fn ignores(&self, act: &Act) -> bool {
        let machine = |node: &usize| &self.site.machines[*node];
        let cut = |from: usize, to: usize, link: usize| self.site.network.cut.contains(&(from, to, link));
        if self.site.mutant.is_some() {
            return false;
        }
        match act {
            Act::Start(node) => machine(node).controller.is_some() || machine(node).paused.is_some(),
            Act::Kill(node) | Act::Stop(node) => machine(node).controller.is_none(),
            Act::Freeze(node) => machine(node).controller.is_none() || machine(node).frozen,
            Act::Thaw(node) => !machine(node).frozen,
            // What a machine has without power is what its loss has left.
            Act::PowerOff(node) => !machine(node).powered,
            Act::LoseState(node) => {
                let disk = &machine(node).disk;
                let is_empty = disk.state.is_none() && disk.log.is_empty();
                machine(node).controller.is_none() && is_empty && self.site.excuse.forgot
            }
            Act::Dies { node, resource } => !machine(node).kernel.runs(&ResourceId::from(resource.as_str())),
            Act::Pull { node, link } => !machine(node).carrier[*link],
            Act::Cut { from, to, link } => cut(*from, *to, *link),
            Act::Split(side) => {
                let links = 0..self.site.layout.links.len();
                let others = self.site.nodes().filter(|other| !side.contains(other));
                let mut ways = others.flat_map(|other| side.iter().map(move |one| (*one, other)));
                ways.all(|(one, other)| links.clone().all(|link| cut(one, other, link) && cut(other, one, link)))
            }
            _ => false,
        }
    }
}
