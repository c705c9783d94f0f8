//! The search filters as options of commands.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::domain::search::UploadFilter;

/// The heading of the options that bound a number.
const RANGES: &str = "Ranges";

/// Each filter's name, its option, what the option takes, and its help.
const OPTIONS: [(&str, &str, &str, &str); 17] = [
    ("from", "from", "TIME", "Issued at or after this time, such as 2026-11-22 or 2026-11-22T18:00:00Z"),
    ("to", "to", "TIME", "Issued before this time"),
    ("type", "type", "TYPE", "thumb, origin or video"),
    ("ext", "ext", "EXT", "An extension, such as jpg"),
    ("state", "state", "STATE", "issued, uploaded, mismatched, expired or deleted"),
    ("key", "key", "TEXT", "A whole object key or a prefix"),
    ("subject", "subject", "SUBJECT", "The sub of the JWT that requested it"),
    ("api_key", "api-key", "ID", "The public id of the API key that requested it"),
    ("bucket", "bucket", "ALIAS", "The alias of its bucket"),
    ("min_width", "min-width", "PIXELS", ""),
    ("max_width", "max-width", "PIXELS", ""),
    ("min_height", "min-height", "PIXELS", ""),
    ("max_height", "max-height", "PIXELS", ""),
    ("min_duration", "min-duration", "SECONDS", ""),
    ("max_duration", "max-duration", "SECONDS", ""),
    ("min_size", "min-size", "BYTES", "Found in the bucket, or else declared"),
    ("max_size", "max-size", "BYTES", "Found in the bucket, or else declared"),
];

impl Args for UploadFilter {
    fn augment_args(command: Command) -> Command {
        command.args(OPTIONS.map(|(name, option, value, help)| {
            let is_range = name.starts_with("min_") || name.starts_with("max_");
            Arg::new(name).long(option).value_name(value).help(help).help_heading(is_range.then_some(RANGES))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for UploadFilter {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let text_of = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(String::as_str);
        Self::parse(text_of).map_err(|invalid| Error::raw(ErrorKind::ValueValidation, invalid))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
