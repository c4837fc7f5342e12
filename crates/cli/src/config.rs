//! The settings of `dogwatch serve` from a file: `--config FILE`, in TOML, with the names of the flags.
//!
//! What the command line says counts most, then the environment, then the file, then the default. The file is read into arguments, so a
//! setting means the same wherever it stands.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use toml::{Table, Value};

use crate::cli::{Cli, ServeArgs};

/// Reads the command line, and the file that it names.
pub(crate) fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    parse_from(&arguments).unwrap_or_else(|error| error.exit())
}

fn parse_from(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.clone().try_get_matches_from(arguments)?;
    let Some((name, serve)) = served(&matches) else { return Cli::from_arg_matches(&matches) };
    let Some(path) = serve.get_one::<PathBuf>("config") else { return Cli::from_arg_matches(&matches) };
    let refused = |command: &mut Command, why: String| command.error(clap::error::ErrorKind::InvalidValue, why);
    let more = from_file(path, name, serve).map_err(|why| refused(&mut command, why))?;
    let all = arguments.iter().cloned().chain(more.into_iter().map(OsString::from));
    let matches = command.clone().try_get_matches_from(all);
    // What does not fit now comes from the file.
    let matches = matches.map_err(|why| refused(&mut command, format!("{}: {}", path.display(), in_one_line(&why))))?;
    Cli::from_arg_matches(&matches)
}

/// What clap says, in one line and without the usage.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said =
        text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).filter(|line| !line.is_empty());
    said.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// The arguments of `serve`, or of `config check`, which takes the same.
fn served(matches: &ArgMatches) -> Option<(&str, &ArgMatches)> {
    match matches.subcommand()? {
        ("serve", serve) => Some(("serve", serve)),
        ("config", config) => config.subcommand(),
        _ => None,
    }
}

/// The settings in a file that nothing else sets, as arguments.
fn from_file(path: &Path, command: &str, given: &ArgMatches) -> Result<Vec<String>, String> {
    let failed = |why: String| format!("{}: {why}", path.display());
    let text = fs::read_to_string(path).map_err(|why| failed(why.to_string()))?;
    let table: Table = text.parse().map_err(|why: toml::de::Error| failed(why.to_string()))?;
    let known = ServeArgs::augment();
    let mut arguments = Vec::new();
    for (name, value) in &table {
        // A table is named as TOML does it.
        let name = &if value.is_table() { name.replace('_', "-") } else { name.clone() };
        let setting =
            known.get_arguments().find(|argument| argument.get_long() == Some(name)).filter(|_| name != "config");
        let Some(setting) = setting else {
            return Err(failed(format!("`{name}` is no setting of `dogwatch {command}`")));
        };
        let source = given.value_source(setting.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        match value {
            Value::Boolean(true) => arguments.push(format!("--{name}")),
            Value::Boolean(false) => {}
            Value::String(text) => arguments.push(format!("--{name}={text}")),
            Value::Integer(number) => arguments.push(format!("--{name}={number}")),
            // A setting whose values are pairs.
            Value::Table(pairs) if setting.get_value_delimiter().is_some() => {
                for (key, value) in pairs {
                    let text = value.as_str().ok_or_else(|| failed(format!("`{name}.{key}` must be a string")))?;
                    arguments.push(format!("--{name}={key}={text}"));
                }
            }
            _ => return Err(failed(format!("`{name}` must be a string, a number, `true` or `false`"))),
        }
    }
    Ok(arguments)
}
