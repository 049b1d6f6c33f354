//! `voicewake.get` and `voicewake.set`: the words that wake a device, the same for all of them.

use actix::{
    ActorFutureExt as _, AtomicResponse, Context, Handler, ResponseActFuture, WrapFuture as _,
};
use openclaw_protocol::Scope;
use openclaw_protocol::events::VOICEWAKE_CHANGED;
use openclaw_protocol::methods::node_side::{Voicewake, VoicewakeGet, VoicewakeSet};

use crate::call::Call;
use crate::event::{Audience, Class, EventOut, Plain};
use crate::methods::store_error;
use crate::node::Nodes;
use crate::store::{Op, StoreError, Table, keys};

fn row() -> Vec<u8> {
    keys::text("voicewake")
}

impl Nodes {
    /// The words that were chosen, or those of a new gateway.
    pub(crate) fn voicewake(&self) -> Result<Voicewake, StoreError> {
        let reader = self.deps.store.reader();
        Ok(reader.get_json(Table::Nodes, &row())?.unwrap_or_default())
    }

    /// Tells everyone; nodes each for itself.
    fn tell_voicewake(&self, words: &Voicewake) {
        self.deps.gateway.emit(
            EventOut::new(
                VOICEWAKE_CHANGED,
                Audience::Operators(Scope::Read),
                Plain(words.clone()),
            )
            .class(Class::Droppable),
        );
        let nodes = self.deps.state.with(|nodes| nodes.clone());
        for (_, node) in nodes.iter() {
            node.caller.tell(VOICEWAKE_CHANGED, words);
        }
    }
}

impl Handler<Call<VoicewakeGet>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<VoicewakeGet>, _: &mut Context<Self>) {
        let words = self.voicewake().map_err(|error| store_error(&error));
        call.reply.settle(words);
    }
}

impl Handler<Call<VoicewakeSet>> for Nodes {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, call: Call<VoicewakeSet>, _: &mut Context<Self>) -> Self::Result {
        let words = Voicewake::of(&call.params.triggers);
        let op = Op::put_json(Table::Nodes, row(), &words);
        let (store, reply) = (self.deps.store.clone(), call.reply);
        let work = async move { store.commit(vec![op?]).await };
        let work: ResponseActFuture<Self, ()> =
            Box::pin(work.into_actor(self).map(move |kept, nodes, _| match kept {
                Ok(()) => {
                    nodes.tell_voicewake(&words);
                    reply.ok(&words);
                }
                Err(error) => reply.error(store_error(&error)),
            }));
        AtomicResponse::new(work)
    }
}
