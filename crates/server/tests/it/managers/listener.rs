//! A small server of HTTP for doubles: each connection one question, answered by a function.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A question.
pub struct Request {
    pub method: String,
    pub path: String,
    /// By name in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// An answer: status, `WWW-Authenticate` where there is one, body.
pub type Said = (u16, Option<String>, String);

pub trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Serves in the clear on a free port; its threads end with the process.
pub fn plain(answer: impl Fn(&Request) -> Option<Said> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serve(listener, |stream| Box::new(stream), answer);
    port
}

/// Serves; no answer closes the connection.
pub fn serve(
    listener: TcpListener,
    wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
    answer: impl Fn(&Request) -> Option<Said> + Send + Sync + 'static,
) {
    let both = Arc::new((wrap, answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let both = Arc::clone(&both);
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut stream = BufReader::new((both.0)(stream));
                let Some((status, challenge, body)) = read(&mut stream).and_then(|request| (both.1)(&request)) else {
                    return;
                };
                let challenge =
                    challenge.map_or_else(String::new, |challenge| format!("WWW-Authenticate: {challenge}\r\n"));
                let _ = write!(
                    stream.get_mut(),
                    "HTTP/1.1 {status} x\r\n{challenge}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.get_mut().flush();
            });
        }
    });
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body: String::from_utf8(body).ok()? })
}
