//! What everyone is told of a run: its index row, and how it ended.
//!
//! **Invariant:** a row says what the turn that writes it leaves behind, so that lists and results agree with the state.

use super::{Event, Run, begin, evaluator, plan, scope};
use crate::{
    durable::{Failure, Rejection, Turn},
    phase,
    plan::Checked,
    run::{Outcome, Row, index_key, measures::RUN_ENDED},
};

pub(super) fn end(turn: &mut Turn<'_, Run>, plan: &Checked) -> Result<(), Rejection> {
    let outcome = outcome(turn, plan)?;
    end_as(turn, outcome)
}

pub(super) fn end_as(turn: &mut Turn<'_, Run>, outcome: Outcome) -> Result<(), Rejection> {
    let row = row(turn, &*plan(turn)?)?;
    let row = Row { ended_at: Some(turn.now_ms()), outcome: Some(outcome.clone()), held: None, ..row };
    turn.put(index_key(row.run), row.encode());
    let how = match outcome {
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { .. } => "cancelled",
    };
    turn.count_lasted(&RUN_ENDED, how, turn.now_ms().saturating_sub(turn.state().submitted_at));
    turn.emit(&Event::Ended(outcome));
    turn.stop();
    Ok(())
}

/// What waits for a lost message waits for ever: say so where everyone can see it.
pub(super) fn hold(turn: &mut Turn<'_, Run>, reason: String) -> Result<(), Rejection> {
    turn.emit(&Event::Held { reason });
    put_row(turn)
}

pub(super) fn put_row(turn: &mut Turn<'_, Run>) -> Result<(), Rejection> {
    let row = row(turn, &*plan(turn)?)?;
    turn.put(index_key(row.run), row.encode());
    Ok(())
}

fn row(turn: &Turn<'_, Run>, plan: &Checked) -> Result<Row, Rejection> {
    let begin = begin(turn)?.clone();
    Ok(Row {
        run: begin.run,
        actor: turn.me(),
        namespace: "default".to_owned(),
        workflow: plan.name.clone(),
        plan: begin.plan,
        labels: begin.labels,
        submitted_at: turn.state().submitted_at,
        ended_at: None,
        outcome: None,
        held: turn.state().held.clone(),
        cancelled: turn.state().cancelled.clone(),
    })
}

fn outcome(turn: &Turn<'_, Run>, plan: &Checked) -> Result<Outcome, Rejection> {
    let state = turn.state();
    if let Some((task, failure)) = state.failure.clone() {
        return Ok(Outcome::Failed { task, failure });
    }
    if let Some(reason) = state.cancelled.clone() {
        return Ok(Outcome::Cancelled { reason });
    }
    if !plan.output.dynamic {
        return Ok(Outcome::Succeeded(plan.output.tree.clone()));
    }
    let scope = scope(turn, plan, plan.output_reads())?;
    Ok(match evaluator(turn)?.0.render(&plan.output, scope.value()) {
        Ok(output) if output.len() > phase::OUTPUTS_MAX => {
            let message = format!("it is {} bytes, and {} are allowed: put it aside", output.len(), phase::OUTPUTS_MAX);
            Outcome::Failed { task: "output".to_owned(), failure: Failure::new("output", message) }
        }
        Ok(output) => Outcome::Succeeded(output),
        Err(error) => Outcome::Failed { task: "output".to_owned(), failure: Failure::new("template", error.message) },
    })
}
