//! JSON values as YAML 1.2: blocks for what has parts, JSON's own spelling for the rest, which YAML 1.2 takes as it is.

use std::fmt::Write;

use serde_json::Value;

/// The value as a YAML document.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                indent(depth, text);
                text.push_str(&scalar(&Value::from(key.as_str())));
                text.push(':');
                after(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, text);
                text.push('-');
                after(item, depth, text);
            }
        }
        _ => {
            indent(depth, text);
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

/// What follows `key:` or `-`: on the same line if it has no parts.
fn after(value: &Value, depth: usize, text: &mut String) {
    let has_parts = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if has_parts {
        text.push('\n');
        block(value, depth + 1, text);
    } else {
        text.push(' ');
        text.push_str(&scalar(value));
        text.push('\n');
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// JSON's spelling, with what YAML does not print (DEL and C1) escaped.
fn scalar(value: &Value) -> String {
    let json = value.to_string();
    if !json.contains(|c: char| ('\u{7f}'..='\u{9f}').contains(&c)) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if ('\u{7f}'..='\u{9f}').contains(&c) {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_yaml;

    #[test]
    fn parts_become_blocks_and_the_rest_stays_json() {
        let value = json!({"a": {"b": [1, {"c": null}], "d": []}, "e: #": "x\n\u{7f}\"", "f": {}});
        let expected = "\"a\":\n  \"b\":\n    - 1\n    -\n      \"c\": null\n  \"d\": []\n\"e: #\": \"x\\n\\u007f\\\"\"\n\"f\": {}\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
