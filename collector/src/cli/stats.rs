//! `tallymark stats`: the statistics as a calculator, one JSON object per line in and out.

use std::io::{BufRead, BufWriter, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use tallymark_analysis::stats::calculate;

/// Answer every line of standard input. A line that cannot be answered gets its error; the rest
/// goes on.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        serde_json::to_writer(&mut out, &answer(&line))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn answer(line: &[u8]) -> Value {
    let failed = |id: &Value, code: &str, detail: String| json!({ "id": id, "error": { "code": code, "detail": detail } });
    let request: Value = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return failed(&Value::Null, "json_invalid", error.to_string()),
    };
    let id = request.get("id").unwrap_or(&Value::Null);
    let Some(function) = request.get("fn").and_then(Value::as_str) else {
        return failed(
            id,
            "bad_input",
            "a line is {\"id\", \"fn\", \"input\"}; fn is missing".into(),
        );
    };
    match calculate(function, request.get("input").unwrap_or(&Value::Null)) {
        Ok(got) => json!({ "id": id, "got": got }),
        Err(error) => failed(id, error.code, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_answered_under_its_id() {
        let got = answer(br#"{"id":"a","fn":"norm_sf","input":{"x":0.0}}"#);
        assert_eq!(got["id"], "a");
        assert!(got["got"].is_object(), "{got}");
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        for (line, code) in [
            (&b"{"[..], "json_invalid"),
            (b"{\"id\":1}", "bad_input"),
            (b"{\"id\":1,\"fn\":\"magic\",\"input\":{}}", "unknown_fn"),
            (b"{\"id\":1,\"fn\":\"norm_sf\",\"input\":{}}", "bad_input"),
        ] {
            assert_eq!(answer(line)["error"]["code"], code);
        }
    }
}
