//! Counts the words of files: how often each comes, the most frequent first.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use regex::Regex;
use serde::Serialize;

/// Count the words of files, or of standard input
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Files to read
    files: Vec<PathBuf>,
    /// What a word is, as a regular expression
    #[arg(short, long, default_value = r"[\p{L}\p{N}']+")]
    word: Regex,
    /// Show the N most frequent words
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Tell upper from lower case
    #[arg(short, long)]
    case: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Serialize)]
struct Count<'a> {
    word: &'a str,
    count: usize,
}

fn read(files: &[PathBuf]) -> io::Result<String> {
    let mut text = String::new();
    if files.is_empty() {
        io::stdin().read_to_string(&mut text)?;
    }
    for file in files {
        text.push_str(&fs::read_to_string(file)?);
        text.push('\n');
    }
    Ok(text)
}

fn count<'t>(text: &'t str, word: &Regex, top: usize) -> Vec<Count<'t>> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for found in word.find_iter(text) {
        *counts.entry(found.as_str()).or_default() += 1;
    }
    let mut sorted: Vec<Count> = counts
        .into_iter()
        .map(|(word, count)| Count { word, count })
        .collect();
    // Words of one count stay in the order of the map.
    sorted.sort_by(|a, b| b.count.cmp(&a.count));
    sorted.truncate(top);
    sorted
}

fn main() -> ExitCode {
    let args = Args::parse();
    let text = match read(&args.files) {
        Ok(text) if args.case => text,
        Ok(text) => text.to_lowercase(),
        Err(error) => {
            eprintln!("wordcount: {error}");
            return ExitCode::FAILURE;
        }
    };
    let counts = count(&text, &args.word, args.top);
    match args.format {
        Format::Text => {
            for Count { word, count } in counts {
                println!("{count:7} {word}");
            }
        }
        Format::Json => match serde_json::to_string_pretty(&counts) {
            Ok(json) => println!("{json}"),
            Err(error) => {
                eprintln!("wordcount: {error}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_word_comes_first() {
        let word = Regex::new("[a-z]+").unwrap();
        let counts = count("b a b c a b", &word, 2);
        let found: Vec<_> = counts.iter().map(|one| (one.word, one.count)).collect();
        assert_eq!(found, [("b", 3), ("a", 2)]);
    }
}
