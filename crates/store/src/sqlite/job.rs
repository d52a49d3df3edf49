//! Jobs on their way to a thread, with their types forgotten, and back with their answer.

use super::counts::Counts;
use super::session::Session;
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::transaction::{Effects, Tx};
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A write that waits for its turn.
pub(super) trait WriteJob: Send {
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool;
    /// How long it may run.
    fn budget(&self) -> Duration;
    /// Runs it, inside a transaction and until `deadline`; `None`: what it did is to be undone.
    fn run(&mut self, conn: &mut Connection, deadline: Instant) -> Option<Effects>;
    /// Replaces its answer: what it did is lost.
    fn fail(&mut self, error: Error);
    /// Gives the answer.
    fn answer(self: Box<Self>);
}

/// A read that waits for its turn.
pub(super) trait ReadJob: Send {
    /// When it is to be done, waiting included.
    fn deadline(&self) -> Instant;
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool;
    /// Runs it and gives the answer.
    fn run(self: Box<Self>, conn: &mut Connection, counts: &mut Counts);
    /// Answers with an error instead.
    fn fail(self: Box<Self>, error: Error);
}

/// Polls a future that has nothing to wait for. A panic in it becomes an error.
pub(super) fn complete<T, E: From<Error>>(run: impl FnOnce() -> Poll<Result<T, E>>) -> Result<T, E> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Poll::Ready(done)) => done,
        Ok(Poll::Pending) => Err(Error::internal("a job awaited something else than its database").into()),
        Err(_) => {
            tracing::error!("a database job panicked and was rolled back");
            Err(Error::internal("a job panicked").into())
        }
    }
}

/// One poll: on this engine a job's future never waits.
pub(super) fn poll_once<T>(mut future: BoxFuture<'_, T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

struct Write<T, E, F> {
    job: Option<F>,
    budget: Duration,
    done: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

/// Packs a write, and answers where its answer will come.
pub(super) fn write<T, E, F>(job: F, budget: Duration) -> (Box<dyn WriteJob>, oneshot::Receiver<Result<T, E>>)
where
    F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (answer, receiver) = oneshot::channel();
    (Box::new(Write { job: Some(job), budget, done: None, answer }), receiver)
}

impl<T, E, F> WriteJob for Write<T, E, F>
where
    F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn budget(&self) -> Duration {
        self.budget
    }

    fn run(&mut self, conn: &mut Connection, deadline: Instant) -> Option<Effects> {
        let job = self.job.take()?;
        let mut tx = Tx::sqlite(Session::until(conn, deadline));
        let done = complete(|| poll_once(job(&mut tx)));
        let (done, effects) = match (done, tx.finish()) {
            (Ok(done), Ok(effects)) => (Ok(done), Some(effects)),
            (Ok(_), Err(error)) => (Err(error.into()), None),
            (Err(error), _) => (Err(error), None),
        };
        self.done = Some(done);
        effects
    }

    fn fail(&mut self, error: Error) {
        self.done = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        let done = self.done.unwrap_or_else(|| Err(Error::closed().into()));
        // Nobody waits any more: the write stands all the same.
        let _ = self.answer.send(done);
    }
}

struct Read<T, E, F> {
    job: F,
    deadline: Instant,
    answer: oneshot::Sender<Result<T, E>>,
}

/// Packs a read, and answers where its answer will come.
pub(super) fn read<T, E, F>(job: F, deadline: Instant) -> (Box<dyn ReadJob>, oneshot::Receiver<Result<T, E>>)
where
    F: for<'a> FnOnce(&'a mut Reader<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (answer, receiver) = oneshot::channel();
    (Box::new(Read { job, deadline, answer }), receiver)
}

impl<T, E, F> ReadJob for Read<T, E, F>
where
    F: for<'a> FnOnce(&'a mut Reader<'_>) -> BoxFuture<'a, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(self: Box<Self>, conn: &mut Connection, counts: &mut Counts) {
        let Self { job, answer, .. } = *self;
        let done = complete(|| poll_once(job(&mut Reader::sqlite(Session::reading(conn, counts)))));
        let _ = answer.send(done);
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error.into()));
    }
}
