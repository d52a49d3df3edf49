//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

use super::{BOUNDS, Figures};

/// The figures as text.
pub(super) fn text(figures: &Figures) -> String {
    let mut page = Page::default();
    page.head("fastcms_http_requests_total", "counter", "Answered requests");
    for one in &figures.answers {
        let labels = format!("method=\"{}\",status=\"{}\"", one.method, one.status);
        page.row("fastcms_http_requests_total", &labels, one.count);
    }
    page.head("fastcms_http_errors_total", "counter", "Requests answered with a status of 400 or more");
    for one in figures.answers.iter().filter(|one| one.status >= 400) {
        let labels = format!("method=\"{}\",status=\"{}\"", one.method, one.status);
        page.row("fastcms_http_errors_total", &labels, one.count);
    }
    page.head("fastcms_http_request_duration_ms", "histogram", "Time from a request to its answer, ms");
    for one in &figures.durations {
        let method = one.method;
        for (bound, count) in BOUNDS.iter().zip(one.within) {
            page.row("fastcms_http_request_duration_ms_bucket", &format!("method=\"{method}\",le=\"{bound}\""), count);
        }
        page.row("fastcms_http_request_duration_ms_bucket", &format!("method=\"{method}\",le=\"+Inf\""), one.count);
        let sum = format!("{}.{:03}", one.micros / 1000, one.micros % 1000);
        page.row("fastcms_http_request_duration_ms_sum", &format!("method=\"{method}\""), sum);
        page.row("fastcms_http_request_duration_ms_count", &format!("method=\"{method}\""), one.count);
    }
    page.single("fastcms_uptime_seconds", "gauge", "Seconds since the start of this process", figures.uptime_seconds);
    page.single(
        "fastcms_request_log_lost_total",
        "counter",
        "Requests that the request log had no room for",
        figures.request_log_lost,
    );
    page.single(
        "fastcms_rate_limit_degraded",
        "gauge",
        "1 while the limits that nodes share are counted on this node alone",
        u8::from(figures.limits_degraded),
    );
    page.head("fastcms_secret_age_seconds", "gauge", "Age of the secrets whose source says when they were written");
    for secret in &figures.secrets {
        if let Some(age) = secret.age_seconds {
            page.row("fastcms_secret_age_seconds", &format!("name=\"{}\"", secret.name), age);
        }
    }
    page.head("fastcms_secret_stale", "gauge", "1 while the manager of a secret does not answer for it");
    for secret in &figures.secrets {
        page.row("fastcms_secret_stale", &format!("name=\"{}\"", secret.name), u8::from(secret.is_stale));
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answers, Durations, SecretAge};
    use super::*;

    #[test]
    fn every_series_stands_under_its_head_and_classes_add_up() {
        let mut within = [3; BOUNDS.len()];
        within[0] = 1;
        let answers = |status, count| Answers { method: "GET", status, count };
        let figures = Figures {
            uptime_seconds: 7,
            answers: vec![answers(200, 3), answers(404, 1)],
            durations: vec![Durations { method: "GET", count: 4, micros: 31_005, within }],
            request_log_lost: 2,
            limits_degraded: true,
            secrets: vec![
                SecretAge { name: "SECRET_KEY", age_seconds: Some(86_400), is_stale: true },
                SecretAge { name: "SMTP_PASSWORD", age_seconds: None, is_stale: false },
            ],
        };
        let text = text(&figures);
        for line in [
            "# TYPE fastcms_http_requests_total counter",
            "fastcms_http_requests_total{method=\"GET\",status=\"404\"} 1",
            "fastcms_http_errors_total{method=\"GET\",status=\"404\"} 1",
            "fastcms_http_request_duration_ms_bucket{method=\"GET\",le=\"1\"} 1",
            "fastcms_http_request_duration_ms_bucket{method=\"GET\",le=\"+Inf\"} 4",
            "fastcms_http_request_duration_ms_sum{method=\"GET\"} 31.005",
            "fastcms_http_request_duration_ms_count{method=\"GET\"} 4",
            "fastcms_uptime_seconds 7",
            "fastcms_request_log_lost_total 2",
            "fastcms_rate_limit_degraded 1",
            "fastcms_secret_age_seconds{name=\"SECRET_KEY\"} 86400",
            "fastcms_secret_stale{name=\"SECRET_KEY\"} 1",
            "fastcms_secret_stale{name=\"SMTP_PASSWORD\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("fastcms_http_errors_total{method=\"GET\",status=\"200\"}"));
    }
}
