//! From what a mail says to its subject, text and HTML.
//!
//! Templates are data: there are no includes, no macros, no functions, no filters, and a budget ends loops. The text is what is
//! written; the HTML is made from the rendered text by one layout that escapes everything, so that the two cannot differ and no value
//! can become markup. (CVE-2023-22621: templates of another product ran code.)

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use super::Kind;

/// Steps that rendering may take.
const FUEL: u64 = 20_000;
/// Longest subject, characters.
const MAX_SUBJECT: usize = 200;
/// Longest text, characters.
const MAX_TEXT: usize = 20_000;

const LAYOUT: &str = include_str!("layout.html");

/// What is to be rendered: a line for the subject, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub subject: String,
    pub text: String,
}

impl Template {
    /// The one that is delivered with the program.
    pub fn delivered(kind: Kind) -> Self {
        let (subject, text) = kind.text();
        Self { subject: subject.to_owned(), text: text.to_owned() }
    }
}

/// A mail as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Renders a template with these values.
///
/// # Errors
/// What is wrong with the template, for whoever wrote it.
pub fn render(template: &Template, values: &Map<String, Value>) -> Result<Rendered, String> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    let run = |name: &str, source: &str, values: &Map<String, Value>| {
        environment
            .render_named_str(name, source, minijinja::Value::from(Serde(values)))
            .map_err(|error| error.to_string())
    };
    let subject = one_line(&run("subject", &template.subject, values)?);
    if subject.is_empty() {
        return Err("the subject is empty".to_owned());
    }
    let text = paragraphs(&run("text", &template.text, values)?).join("\n\n");
    if text.chars().count() > MAX_TEXT {
        return Err(format!("the text has more than {MAX_TEXT} characters"));
    }
    let mut values = values.clone();
    values.insert("subject".to_owned(), Value::from(subject.as_str()));
    values.insert("paragraphs".to_owned(), text.split("\n\n").map(Value::from).collect());
    let html = run("html", LAYOUT, &values)?;
    Ok(Rendered { subject, text: text + "\n", html })
}

/// No header of a mail can be opened from inside another one: a line break, or any other control character, is a space.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

/// What stands between empty lines, without control characters.
fn paragraphs(text: &str) -> Vec<String> {
    let clean: String =
        text.replace("\r\n", "\n").chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let mut found = vec![String::new()];
    for line in clean.lines().map(str::trim_end) {
        match (line.is_empty(), found.last_mut()) {
            (true, Some(last)) if !last.is_empty() => found.push(String::new()),
            (false, Some(last)) => {
                if !last.is_empty() {
                    last.push('\n');
                }
                last.push_str(line);
            }
            _ => {}
        }
    }
    found.retain(|paragraph| !paragraph.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(more: &Value) -> Map<String, Value> {
        let mut all =
            json!({"app_name": "Test", "base_url": "https://cms.example.com", "email": "a@example.com", "link": null});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all.as_object().unwrap().clone()
    }

    #[test]
    fn every_delivered_template_renders_with_its_link() {
        for kind in Kind::ALL {
            let link = "https://cms.example.com/admin/x#token_-0";
            let mut said = values(&json!({"headline": "Something happened"}));
            if kind.purpose().is_some() {
                said.insert("link".to_owned(), Value::from(link));
            }
            let mail = render(&Template::delivered(*kind), &said).unwrap();
            assert!(!mail.subject.is_empty() && mail.html.contains("<!doctype html>"), "{kind:?}");
            assert_eq!(mail.text.contains(link), kind.purpose().is_some(), "{kind:?}");
            assert_eq!(mail.html.contains("<a href="), kind.purpose().is_some(), "{kind:?}");
            assert!(!mail.text.contains("\n\n\n") && !mail.text.contains("{{"), "{kind:?}");
        }
    }

    #[test]
    fn a_value_never_becomes_markup_or_a_header() {
        let template = Template { subject: "Hello {{ name }}".to_owned(), text: "Dear {{ name }}".to_owned() };
        let name = "<img src=x onerror=alert(1)>\r\nBcc: all@example.com\u{0}{{ app_name }}";
        let mail = render(&template, &values(&json!({"name": name}))).unwrap();
        assert_eq!(mail.subject, "Hello <img src=x onerror=alert(1)> Bcc: all@example.com {{ app_name }}");
        assert!(!mail.html.contains("<img") && mail.html.contains("&lt;img"), "{}", mail.html);
        assert!(!mail.text.contains(['\r', '\0']));
    }

    #[test]
    fn a_template_is_data_and_runs_no_code() {
        for text in [
            "{% for a in [1,2,3,4,5,6,7,8,9,0] %}{% for b in [1,2,3,4,5,6,7,8,9,0] %}{% for c in [1,2,3,4,5,6,7,8,9,0] %}{% for d in [1,2,3,4,5,6,7,8,9,0] %}{% for e in [1,2,3,4,5,6,7,8,9,0] %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
            "{% include 'text' %}",
            "{% extends 'html' %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ range(1000000000) }}",
            "{{ debug() }}",
            "{{ email|safe }}",
            "{{ email.__class__.mro() }}",
            "{{ 'a' * 1000000000 }}",
            "{{ unclosed",
        ] {
            let template = Template { subject: "s".to_owned(), text: text.to_owned() };
            assert!(render(&template, &values(&json!({}))).is_err(), "{text}");
        }
    }
}
