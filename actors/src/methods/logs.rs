//! `logs.tail`: the end of the log file; owner: logs.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::logs::LogsTail;

use crate::call::Call;
use crate::logs::{Logs, tail};

impl Handler<Call<LogsTail>> for Logs {
    type Result = ();

    fn handle(&mut self, call: Call<LogsTail>, _: &mut Self::Context) {
        let Some(path) = self.views.settings.load().log_file.clone() else {
            return call
                .reply
                .error(ErrorShape::unavailable("this gateway writes no log file"));
        };
        let (params, reply) = (call.params, call.reply);
        actix_rt::spawn(async move {
            let shown = path.display().to_string();
            let read = tokio::task::spawn_blocking(move || tail::read(&path, &params)).await;
            let result = read.map_err(std::io::Error::other).and_then(|read| read);
            reply.settle(result.map_err(|error| {
                ErrorShape::unavailable(format!("cannot read the log file {shown}: {error}"))
            }));
        });
    }
}
