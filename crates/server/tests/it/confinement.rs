//! What others on the host, and whoever reads what the product writes, learn of its secrets: nothing.

mod canaries;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::process::Server;

fn proc(server: &Server, file: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/{file}", server.pid())).unwrap()
}

#[test]
fn secrets_given_by_environment_leave_it_and_still_count() {
    let mut server = Server::new(&[("SECRET_KEY", "env:OUR_KEY"), ("OUR_KEY", crate::process::SECRET)]);
    server.start();
    let environ = String::from_utf8(proc(&server, "environ")).unwrap();
    assert!(environ.contains("APP_PORT=") && !environ.contains(crate::process::SECRET), "{environ}");
    assert!(!environ.contains("OUR_KEY="), "{environ}");
    // Nothing is left of the way they came: the standard input leads nowhere.
    let input = std::fs::read_link(format!("/proc/{}/fd/0", server.pid())).unwrap();
    assert_eq!(input, Path::new("/dev/null"));
    // A second process with the key says that it is the same: what the first has signed is good there.
    let token = server.set_up();
    server.terminate();
    server.set(&[("SECRET_KEY", crate::process::SECRET), ("OUR_KEY", "")]);
    server.start();
    assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&token), None).status, 200);
}

#[test]
fn in_production_nobody_looks_into_the_process_and_no_core_is_dumped() {
    let mut server = Server::production(&[]);
    server.without_rights().start();
    let limits = String::from_utf8(proc(&server, "limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
    let status = String::from_utf8(proc(&server, "status")).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    // What is not dumpable belongs to root in `/proc`, whoever runs it: others of the same user neither open nor attach to it.
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap().split('\t').next().unwrap();
    assert_ne!(user, "0", "the server runs as root, of whom nothing can be kept");
    for file in ["mem", "environ", "maps"] {
        assert_eq!(std::fs::metadata(format!("/proc/{}/{file}", server.pid())).unwrap().uid(), 0, "{file}");
    }
}
