//! A request to a running server, put together piece by piece: whose address it comes from, and what it carries.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Server, read_answer};
use crate::every_answer::{self, Shown};

/// A request that is about to be sent.
pub struct Ask<'s> {
    server: &'s Server,
    method: &'s str,
    path: &'s str,
    from: &'s str,
    host: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Server {
    pub fn ask<'s>(&'s self, method: &'s str, path: &'s str) -> Ask<'s> {
        let host = format!("{}:{}", self.host, self.port);
        Ask { server: self, method, path, from: "127.0.0.1", host, headers: Vec::new(), body: String::new() }
    }

    /// A sign-in of the first admin.
    pub fn sign_in(&self, password: &str) -> Ask<'_> {
        self.ask("POST", "/api/v1/auth/login")
            .json(&serde_json::json!({"email": "root@example.com", "password": password}))
    }

    /// Looks at what every answer must show.
    pub fn check(&self, request: &[u8], answer: &Answer) {
        let line =
            String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // Whatever does not parse as HTTP gets a bare 400.
        if answer.status == 400 && answer.header("x-request-id").is_none() && answer.body.is_empty() {
            return;
        }
        let shown = [format!("{:?}", answer.headers).as_bytes(), &answer.body].concat();
        assert_eq!(crate::canary::found(&shown), None, "a secret is in the answer to {line}");
        every_answer::check(&Shown {
            method,
            path: target.split('?').next().unwrap_or_default(),
            status: answer.status,
            headers: answer.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect(),
            body: &answer.body,
            production: Some(self.environment.get("ENVIRONMENT").is_some_and(|value| value == "production")),
        });
    }
}

impl<'s> Ask<'s> {
    /// From this address of the loopback network.
    pub fn from(mut self, address: &'s str) -> Self {
        self.from = address;
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        let value = format!("Bearer {token}");
        self.with("Authorization", &value)
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self
    }

    /// A form whose parts are written out, between lines of this text.
    pub fn form(mut self, boundary: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.with("Content-Type", &format!("multipart/form-data; boundary={boundary}"))
    }

    pub fn try_send(self) -> std::io::Result<Answer> {
        let mut lines = vec![
            format!("{} {} HTTP/1.1", self.method, self.path),
            format!("Host: {}", self.host),
            "Connection: close".to_owned(),
        ];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !self.body.is_empty() {
            if !self.headers.iter().any(|(name, _)| name == "Content-Type") {
                lines.push("Content-Type: application/json".to_owned());
            }
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        let request = format!("{}\r\n\r\n{}", lines.join("\r\n"), self.body);
        let mut stream = connect(self.from, &self.server.host, self.server.port)?;
        stream.write_all(request.as_bytes())?;
        let answer = read_answer(&mut BufReader::new(stream))?;
        self.server.check(request.as_bytes(), &answer);
        Ok(answer)
    }

    pub fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    pub fn status(self) -> u16 {
        self.send().status
    }

    /// The answer, once its status is the one expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        let answer = self.send();
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        answer
    }

    /// The answer, once it is this refusal.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.send();
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!((answer.status, answer.json()["error"].as_str().unwrap_or_default()), (status, code), "{text}");
        answer
    }
}

/// A connection of one's own choice of sender. The standard library cannot choose.
fn connect(from: &str, host: &str, port: u16) -> std::io::Result<TcpStream> {
    if from == "127.0.0.1" {
        let stream = TcpStream::connect((host, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        return Ok(stream);
    }
    let address = |host: &str, port: u16| format!("{host}:{port}").parse().expect("an address of the loopback network");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(address(from, 0))?;
        socket.connect(address(host, port)).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}
