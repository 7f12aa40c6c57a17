//! Operations: runs agents on the main thread's runtime and reports how they ended.

use crate::order::Post;
use hearth_agents::cancel::{Cancel, CancelHandle};
use hearth_agents::runner::Agents;
use hearth_controller::Input;
use hearth_types::{OpId, OpRequest};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What runs now.
pub(crate) struct Ops {
    agents: Arc<Agents>,
    post: Post,
    running: Arc<Mutex<BTreeMap<OpId, CancelHandle>>>,
}

impl Ops {
    pub(crate) fn new(agents: Agents, post: Post) -> Ops {
        Ops { agents: Arc::new(agents), post, running: Arc::default() }
    }

    /// What starts from now on uses these; what runs ends with those that it began with.
    pub(crate) fn use_agents(&mut self, agents: Agents) {
        self.agents = Arc::new(agents);
    }

    /// Starts one; its end is reported, whatever happens. Needs the tokio runtime.
    pub(crate) fn start(&self, request: OpRequest) {
        let (handle, cancel) = Cancel::pair();
        let id = request.id;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id, handle);
        let (agents, post, running) = (self.agents.clone(), self.post.clone(), self.running.clone());
        tokio::spawn(async move {
            let result = agents.run(request, cancel).await;
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            post.input(Input::OpFinished(result));
        });
    }

    /// Takes one back; unknown means that its end is on its way.
    pub(crate) fn cancel(&self, id: OpId) {
        if let Some(handle) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            handle.cancel();
        }
    }
}
