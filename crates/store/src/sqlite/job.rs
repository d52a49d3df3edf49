//! Jobs on their way to a thread, and back with their answer.

use super::counts::Counts;
use super::session::Session;
use crate::engine::job::{ReadJob, WriteJob, complete, poll_once};
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::transaction::{Effects, Tx};
use rusqlite::Connection;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A write that waits for its turn.
pub(super) struct Write {
    job: Box<dyn WriteJob>,
    budget: Duration,
    answer: oneshot::Sender<Box<dyn WriteJob>>,
}

impl Write {
    /// Packs a write, and answers where it will come back.
    pub(super) fn new(job: Box<dyn WriteJob>, budget: Duration) -> (Self, oneshot::Receiver<Box<dyn WriteJob>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { job, budget, answer }, receiver)
    }

    /// Whether somebody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    /// How long it may run.
    pub(super) fn budget(&self) -> Duration {
        self.budget
    }

    /// Runs it, inside a transaction and until `deadline`; `None`: what it did is to be undone.
    pub(super) fn run(&mut self, conn: &mut Connection, deadline: Instant) -> Option<Effects> {
        let mut tx = Tx::sqlite(Session::until(conn, deadline));
        let ended = complete(|| poll_once(&mut self.job.start(&mut tx)));
        match (ended, tx.finish()) {
            (Ok(true), Ok(effects)) => return Some(effects),
            (Ok(false), _) => {}
            (Ok(true), Err(error)) | (Err(error), _) => self.job.fail(error),
        }
        None
    }

    /// Replaces its answer: what it did is lost.
    pub(super) fn fail(&mut self, error: Error) {
        self.job.fail(error);
    }

    /// Gives the answer.
    pub(super) fn answer(self) {
        // Nobody waits any more: the write stands all the same.
        let _ = self.answer.send(self.job);
    }
}

/// A read that waits for its turn.
pub(super) struct Read {
    job: Box<dyn ReadJob>,
    deadline: Instant,
    answer: oneshot::Sender<Box<dyn ReadJob>>,
}

impl Read {
    /// Packs a read, and answers where it will come back.
    pub(super) fn new(job: Box<dyn ReadJob>, deadline: Instant) -> (Self, oneshot::Receiver<Box<dyn ReadJob>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { job, deadline, answer }, receiver)
    }

    /// When it is to be done, waiting included.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether somebody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Runs it and gives the answer.
    pub(super) fn run(mut self, conn: &mut Connection, counts: &mut Counts) {
        read(&mut *self.job, conn, counts);
        let _ = self.answer.send(self.job);
    }

    /// Answers with an error instead.
    pub(super) fn fail(mut self, error: Error) {
        self.job.fail(error);
        let _ = self.answer.send(self.job);
    }
}

/// Runs a read on this thread.
pub(super) fn read(job: &mut dyn ReadJob, conn: &mut Connection, counts: &mut Counts) {
    let ended: Result<()> = complete(|| job.run(&mut Reader::sqlite(Session::reading(conn, counts))));
    if let Err(error) = ended {
        job.fail(error);
    }
}
