//! Jobs with their types forgotten. An engine moves, runs and refuses them without being compiled anew for each: of the code between a
//! caller and its statements only the few lines here are generic.

use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::transaction::Tx;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// A write that was handed in. It keeps its answer to itself until whoever handed it in takes it out.
pub(crate) trait WriteJob: Send {
    /// Starts it, once; its future says whether what it did is to be committed.
    fn start<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, bool>;
    /// Replaces its answer: what it did is lost, or it never ran.
    fn fail(&mut self, error: Error);
    /// Its `Option<Result<T, E>>`.
    fn answer(&mut self) -> &mut dyn Any;
}

/// A read that was handed in, likewise.
pub(crate) trait ReadJob: Send {
    /// Starts it, once.
    fn start<'a>(&'a mut self, reader: &'a mut Reader<'_>) -> BoxFuture<'a, bool>;
    /// Runs it, once, where nothing waits; a job that waits all the same is not ready.
    fn run(&mut self, reader: &mut Reader<'_>) -> Poll<()>;
    /// Replaces its answer.
    fn fail(&mut self, error: Error);
    /// Its `Option<Result<T, E>>`.
    fn answer(&mut self) -> &mut dyn Any;
}

/// What a caller hands in, and what comes of it.
pub(crate) struct Task<T, E, F> {
    job: Option<F>,
    done: Option<Result<T, E>>,
}

impl<T, E, F> Task<T, E, F> {
    pub(crate) fn new(job: F) -> Self {
        Self { job: Some(job), done: None }
    }

    /// What came of it. A job that nobody ran finds the store closed.
    pub(crate) fn done(self) -> Result<T, E>
    where
        E: From<Error>,
    {
        self.done.unwrap_or_else(|| Err(Error::closed().into()))
    }
}

impl<T, E, F> WriteJob for Task<T, E, F>
where
    F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn start<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, bool> {
        match self.job.take() {
            Some(job) => Box::pin(Landing { job: job(tx), done: &mut self.done }),
            None => Box::pin(std::future::ready(false)),
        }
    }

    fn fail(&mut self, error: Error) {
        self.done = Some(Err(error.into()));
    }

    fn answer(&mut self) -> &mut dyn Any {
        &mut self.done
    }
}

impl<T, E, F> ReadJob for Task<T, E, F>
where
    F: for<'a> FnOnce(&'a mut Reader<'_>) -> BoxFuture<'a, Result<T, E>> + Send,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn start<'a>(&'a mut self, reader: &'a mut Reader<'_>) -> BoxFuture<'a, bool> {
        match self.job.take() {
            Some(job) => Box::pin(Landing { job: job(reader), done: &mut self.done }),
            None => Box::pin(std::future::ready(false)),
        }
    }

    fn run(&mut self, reader: &mut Reader<'_>) -> Poll<()> {
        if let Some(job) = self.job.take() {
            self.done = Some(ready!(poll_once(&mut job(reader))));
        }
        Poll::Ready(())
    }

    fn fail(&mut self, error: Error) {
        self.done = Some(Err(error.into()));
    }

    fn answer(&mut self) -> &mut dyn Any {
        &mut self.done
    }
}

/// A job under way, whose answer is put down where its task finds it.
struct Landing<'a, T, E> {
    job: BoxFuture<'a, Result<T, E>>,
    done: &'a mut Option<Result<T, E>>,
}

impl<T, E> Future for Landing<'_, T, E> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let done = ready!(self.job.as_mut().poll(context));
        let is_good = done.is_ok();
        *self.done = Some(done);
        Poll::Ready(is_good)
    }
}

/// One poll, for an engine whose futures never wait.
pub(crate) fn poll_once<T>(future: &mut BoxFuture<'_, T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs what has nothing to wait for. A panic in it becomes an error.
pub(crate) fn complete<T>(run: impl FnOnce() -> Poll<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Poll::Ready(done)) => Ok(done),
        Ok(Poll::Pending) => Err(Error::internal("a job awaited something else than its database")),
        Err(_) => {
            tracing::error!("a database job panicked and was rolled back");
            Err(panicked())
        }
    }
}

/// The answer of a job that panicked.
pub(crate) fn panicked() -> Error {
    Error::internal("a job panicked")
}

/// A job on its way through an engine and back: the answer to [`super::Store::write`] and [`super::Store::read`].
#[must_use = "a job that nobody waits for may not run"]
pub(super) enum Answer<'s, J: ?Sized, T, E> {
    /// It has run already.
    Done(Option<Result<T, E>>),
    Running(BoxFuture<'s, Result<Box<J>>>, PhantomData<fn() -> (T, E)>),
}

/// A job that carries its answer.
pub(super) trait Answered {
    fn answer(&mut self) -> &mut dyn Any;
}

impl Answered for dyn WriteJob {
    fn answer(&mut self) -> &mut dyn Any {
        WriteJob::answer(self)
    }
}

impl Answered for dyn ReadJob {
    fn answer(&mut self) -> &mut dyn Any {
        ReadJob::answer(self)
    }
}

// Nothing in it is ever pinned in place.
impl<J: ?Sized, T, E> Unpin for Answer<'_, J, T, E> {}

impl<J, T, E> Future for Answer<'_, J, T, E>
where
    J: Answered + ?Sized,
    T: 'static,
    E: From<Error> + 'static,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        let done = match &mut *self {
            Self::Done(done) => done.take(),
            Self::Running(running, _) => match ready!(running.as_mut().poll(context)) {
                Ok(mut job) => job.answer().downcast_mut::<Option<Result<T, E>>>().and_then(Option::take),
                Err(error) => Some(Err(error.into())),
            },
        };
        Poll::Ready(done.unwrap_or_else(|| Err(Error::closed().into())))
    }
}
