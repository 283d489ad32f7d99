//! `tallymark config`.

use std::process::ExitCode;

use serde_json::{Map, json};

use crate::config::Loaded;

/// Print each setting, its value and where it came from.
pub fn print(loaded: &Loaded, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let mut all = Map::new();
        for (setting, origin) in &loaded.origins {
            let value = loaded.config.show(setting.key);
            all.insert(
                setting.key.to_owned(),
                json!({ "value": value, "origin": origin.to_string(), "env": setting.env_name() }),
            );
        }
        println!("{}", serde_json::Value::Object(all));
        return Ok(ExitCode::SUCCESS);
    }
    println!("# In a settings file, these lines say the same.");
    for (setting, origin) in &loaded.origins {
        let value = loaded.config.show(setting.key).unwrap_or_default();
        let value = if value.parse::<u64>().is_ok() { value } else { format!("{value:?}") };
        let bounds = setting.bounds.map(|(low, high)| format!(" ({low} to {high})"));
        println!("\n# {}{}", setting.doc.trim(), bounds.unwrap_or_default());
        println!("{} = {value}  # {origin}", setting.key);
    }
    Ok(ExitCode::SUCCESS)
}
