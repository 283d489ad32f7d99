//! Lists the files that the SDK's build left in `sdk/`, so that they are inside the binary. Without
//! them the list is empty: the collector then serves no SDK, and says so.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=sdk");
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let folder = Path::new(&manifest).join("sdk");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("collector/sdk is part of the project")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && !name.ends_with(".br"))
        .collect();
    names.sort();
    let rows: String = names
        .iter()
        .map(|name| {
            let file = folder.join(name).display().to_string();
            let packed = folder.join(format!("{name}.br"));
            let packed = match packed.exists() {
                true => format!("Some(include_bytes!({:?}))", packed.display().to_string()),
                false => "None".to_owned(),
            };
            format!(
                "File {{ name: {name:?}, bytes: include_bytes!({file:?}), brotli: {packed} }},\n"
            )
        })
        .collect();
    fs::write(Path::new(&out).join("sdk_files.rs"), format!("&[\n{rows}]"))
        .expect("cargo's folder is writable");
}
