//! What a tool gives, and the texts that redis-mcp-server would show for it: Python's spelling.

use serde_json::Value;

/// A value whose members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// Text as it is.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
    /// Nothing.
    Null,
    /// Values in order.
    List(Vec<Given>),
    /// Members in order.
    Dict(Vec<(String, Given)>),
}

impl Given {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Given {
        Given::Text(text.into())
    }

    /// Members by name.
    pub(super) fn dict<const N: usize>(members: [(&str, Given); N]) -> Given {
        Given::Dict(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// A list of texts.
    pub(super) fn texts(texts: Vec<String>) -> Given {
        Given::List(texts.into_iter().map(Given::Text).collect())
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        match self {
            Given::Text(text) => Value::from(text.as_str()),
            Given::Number(number) => Value::from(*number),
            Given::Truth(truth) => Value::from(*truth),
            Given::Null => Value::Null,
            Given::List(values) => values.iter().map(Given::json).collect(),
            Given::Dict(members) => members.iter().map(|(n, v)| (n.clone(), v.json())).collect(),
        }
    }

    /// The blocks of text that show it: a list has one for each of its values.
    pub(super) fn blocks(&self) -> Vec<String> {
        match self {
            Given::Text(text) => vec![text.clone()],
            Given::List(values) => values.iter().flat_map(Given::blocks).collect(),
            Given::Null => Vec::new(),
            value => {
                let mut text = String::new();
                value.pretty(0, &mut text);
                vec![text]
            }
        }
    }

    fn pretty(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match self {
            Given::Dict(members) if !members.is_empty() => {
                for (i, (name, value)) in members.iter().enumerate() {
                    out.push_str(if i == 0 { "{" } else { "," });
                    line(depth + 1, out);
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push_str(": ");
                    value.pretty(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
            Given::List(values) if !values.is_empty() => {
                for (i, value) in values.iter().enumerate() {
                    out.push_str(if i == 0 { "[" } else { "," });
                    line(depth + 1, out);
                    value.pretty(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            value => out.push_str(&value.json().to_string()),
        }
    }
}

/// `json.dumps` of a list of texts: beyond ASCII everything is escaped.
pub(super) fn json_dumps(texts: &[String]) -> String {
    let spelled = texts.iter().map(|text| {
        let mut out = String::new();
        for c in Value::from(text.as_str()).to_string().chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        out
    });
    format!("[{}]", spelled.collect::<Vec<_>>().join(", "))
}

/// `repr` of a float.
pub(super) fn float(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// `repr` of a text.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() && c < '\u{100}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_spells() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123456789.0, "123456789.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
        ] {
            assert_eq!(float(value), text);
        }
        for (text, shown) in
            [("a", "'a'"), ("it's", "\"it's\""), ("'\"\\\n\u{7f}ü", r#"'\'"\\\n\x7fü'"#)]
        {
            assert_eq!(repr(text), shown);
        }
        let texts = ["ü😀\n".to_owned(), "{\"a\":1}".to_owned()];
        assert_eq!(json_dumps(&texts), r#"["\u00fc\ud83d\ude00\n", "{\"a\":1}"]"#);
    }

    #[test]
    fn values_show_themselves() {
        let dict = Given::dict([
            ("type", Given::text("ü")),
            ("ttl", Given::Number(-1)),
            ("none", Given::List(Vec::new())),
            ("in", Given::List(vec![Given::dict([("a", Given::Null)]), Given::Truth(true)])),
        ]);
        let pretty = "{\n  \"type\": \"ü\",\n  \"ttl\": -1,\n  \"none\": [],\n  \"in\": [\n    {\n      \
                      \"a\": null\n    },\n    true\n  ]\n}";
        assert_eq!(dict.blocks(), [pretty]);
        assert_eq!(Given::texts(vec!["a".into(), "b".into()]).blocks(), ["a", "b"]);
        assert_eq!(Given::Number(5).blocks(), ["5"]);
    }
}
