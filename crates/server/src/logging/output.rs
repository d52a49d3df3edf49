//! Where the lines of the log go: standard output, each at once, but for those of the access log. One a request, they are gathered
//! and written by a thread of their own a few milliseconds later, so that no request pays for a call of the system. Any other line
//! takes them along, so the order stays.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a line of the access log waits for company at most.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of waiting lines that are written without waiting longer.
const FULL: usize = 64 * 1024;
/// Bytes that wait at most, while standard output does not take them: further lines of the access log are lost, and counted.
const MOST: usize = 4 * 1024 * 1024;

/// The way out of all lines.
pub(super) struct Output<W> {
    waiting: Mutex<Waiting>,
    rung: Condvar,
    /// Locked before `waiting` wherever both are.
    sink: Mutex<Sink<W>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
}

struct Sink<W> {
    writer: W,
    /// Changes places with what waits.
    lines: Vec<u8>,
}

impl<W: Write + Send + 'static> Output<W> {
    pub(super) fn new(writer: W) -> Self {
        let sink = Sink { writer, lines: Vec::new() };
        Self { waiting: Mutex::default(), rung: Condvar::new(), sink: Mutex::new(sink) }
    }

    /// Starts the thread that writes the lines of the access log. Where there can be none, they wait for the next other line.
    pub(super) fn gather(self: &Arc<Self>) -> io::Result<()> {
        let output = Arc::clone(self);
        thread::Builder::new()
            .name("log-write".to_owned())
            .spawn(move || {
                loop {
                    output.wait();
                    output.write();
                }
            })
            .map(drop)
    }

    /// Takes a line of the access log, to be written soon.
    pub(super) fn push_later(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.lines.len();
        if before + line.len() > MOST {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        // Ringing costs a call of the system, also where nobody listens.
        let rings = before == 0 || (before < FULL && waiting.lines.len() >= FULL);
        drop(waiting);
        if rings {
            self.rung.notify_one();
        }
    }

    /// Writes a line, and before it those that wait.
    pub(super) fn push(&self, line: &[u8]) {
        lock(&self.waiting).lines.extend_from_slice(line);
        self.write();
    }

    /// Waits until there is something to write, and a little longer for more.
    fn wait(&self) {
        let waiting = lock(&self.waiting);
        let waiting =
            self.rung.wait_while(waiting, |waiting| waiting.lines.is_empty()).unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(waiting, PAUSE, |waiting| waiting.lines.len() < FULL);
        drop(waited);
    }

    fn write(&self) {
        let mut sink = lock(&self.sink);
        let Sink { writer, lines } = &mut *sink;
        let lost = {
            let mut waiting = lock(&self.waiting);
            std::mem::swap(lines, &mut waiting.lines);
            std::mem::take(&mut waiting.lost)
        };
        // Where nobody reads the log, there is nobody to tell.
        let _ = writer.write_all(lines).and_then(|()| writer.flush());
        lines.clear();
        // An outburst is over: what it took goes back.
        lines.shrink_to(2 * FULL);
        drop(sink);
        if lost > 0 {
            tracing::warn!(count = lost, "lines of the access log are missing: standard output did not take them");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    /// Passes on what is written; asks for leave first.
    struct Slow {
        written: Sender<Vec<u8>>,
        leave: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.leave.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Arc<Output<Slow>>, Receiver<Vec<u8>>, Sender<()>) {
        let ((written, read), (give, leave)) = (channel(), channel());
        (Arc::new(Output::new(Slow { written, leave })), read, give)
    }

    #[test]
    fn lines_of_the_access_log_are_written_together_and_soon() {
        let (output, written, leave) = slow();
        output.gather().unwrap();
        let begun = Instant::now();
        for line in [b"a\n", b"b\n", b"c\n"] {
            output.push_later(line);
        }
        leave.send(()).unwrap();
        assert_eq!(written.recv_timeout(Duration::from_secs(10)).unwrap(), b"a\nb\nc\n");
        assert!(begun.elapsed() >= PAUSE / 2, "nobody waited for more");
    }

    #[test]
    fn any_other_line_is_written_at_once_and_takes_them_along() {
        let (output, written, leave) = slow();
        leave.send(()).unwrap();
        output.push_later(b"access\n");
        assert!(written.try_recv().is_err());
        output.push(b"warning\n");
        assert_eq!(written.try_recv().unwrap(), b"access\nwarning\n");
    }

    #[test]
    fn what_standard_output_does_not_take_is_bounded_and_counted() {
        let (output, _written, _leave) = slow();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..6 {
            output.push_later(&line);
        }
        let waiting = lock(&output.waiting);
        assert_eq!((waiting.lines.len(), waiting.lost), (MOST, 2));
    }
}
