//! The `tallymark` program; everything is in the library.

fn main() -> std::process::ExitCode {
    tallymark::cli::main()
}
