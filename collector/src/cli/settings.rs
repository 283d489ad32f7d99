//! One flag per setting, from the table of settings.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::SETTINGS;

/// The settings given as flags.
#[derive(Debug, Default)]
pub struct SettingFlags(pub Vec<(&'static str, String)>);

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| {
            let doc = setting.doc.trim();
            let help = if setting.default.is_empty() {
                doc.to_owned()
            } else {
                format!("{doc} [default: {}]", setting.default)
            };
            // The environment and the file are read by `config::load`, which knows the origins.
            command.arg(
                Arg::new(setting.key)
                    .long(setting.flag_name())
                    .value_name("VALUE")
                    .help(help)
                    .help_heading("Settings")
                    .hide_short_help(setting.key != "listen")
                    .global(true),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            Some((setting.key, matches.get_one::<String>(setting.key)?.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
