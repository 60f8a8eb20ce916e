//! The person who decides what is in doubt: they look into the outside world's books.

use std::path::Path;

use headframe::{
    Engine,
    durable::{Decision, Error},
    json::Json,
};

use crate::{random::Dice, recorder};

/// Decide every call in doubt.
///
/// What happened is told with its receipt. What did not happen is, as the seed draws, called again or counted as failed.
pub(crate) async fn decide_doubts(engine: &Engine, socket: &Path, random: &mut Dice) -> anyhow::Result<()> {
    for (call, row) in engine.doubts().await? {
        let decision = match recorder::ask(socket, &row.request.key.to_string()).await? {
            Some(receipt) => Decision::Happened(Json::of(&receipt)?),
            None if random.one_in(2) => Decision::Repeat,
            None => Decision::Failed("it is not in the books".to_owned()),
        };
        match engine.resolve(call, decision, "chaos").await {
            Ok(()) => {}
            // Nobody else decides, so a call that is not in doubt any more was settled by its own task.
            Err(headframe::Error::System(Error::Missing(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
