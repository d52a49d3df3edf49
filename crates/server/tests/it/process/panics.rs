//! A panic of the real program. There is no request that provokes one, but the runtime panics over a setting of its own, and repeats it.

use serde_json::Value;

use super::Server;

const SETTING: &str = "TOKIO_WORKER_THREADS";
/// Says that it is a secret, and would end a line and colour the rest if it were printed as it is.
const SAID: &str = "canary-in-a-panic-canary\r\n\u{1b}[31m";

/// What the program wrote where it panicked: standard output, and standard error.
fn written(arguments: &[&str]) -> (String, String) {
    let output = Server::new(&[(SETTING, SAID)]).run(arguments, "");
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!format!("{out}{error}").contains("canary"), "{out}{error}");
    (out, error)
}

#[test]
fn what_a_server_panics_over_is_a_line_of_its_log_without_any_value() {
    let (out, error) = written(&["serve"]);
    assert_eq!(error, "", "standard error is for nobody");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let panics: Vec<&Value> = lines.iter().filter(|line| line["message"] == "panicked").collect();
    let [panic] = panics[..] else { panic!("{out}") };
    assert_eq!(panic["level"], "ERROR");
    assert!(panic["place"].as_str().unwrap().contains("tokio"), "{panic}");
}

#[test]
fn what_a_command_panics_over_is_one_line_on_standard_error_without_any_value() {
    let (out, error) = written(&["users", "list"]);
    assert_eq!((out.as_str(), error.lines().count()), ("", 1), "{error}");
    assert!(error.starts_with("error: a fault of the program at ") && !error.contains('\u{1b}'), "{error:?}");
}
