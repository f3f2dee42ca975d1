//! What a rebuild came to, for people and for programs.

use repro_core::{build::RunId, digest::Digest};
use repro_verifier::{
    predicate::reproducibility::{RebuildOutcome, Verdict},
    rebuild::{Likeness, Order, Part, PartKind},
    render,
};
use serde::Serialize;

use super::{Finished, Signature, gather::Origin};
use crate::{
    error::CommandError,
    output::{Meaning, Output},
    reports::Subject,
    text,
};

/// The JSON form, field `rebuild` of `cli/verify/v1`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands::verify) struct Document<'a> {
    outcome: RebuildOutcome,
    /// What was to come out, and by whose word.
    judged: Judged<'a>,
    /// The image that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Digest>,
    /// What the runs of the rebuild say of each other.
    verdict: Verdict,
    parts: &'a [Part],
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<&'a repro_verifier::report::PairReport>,
    inputs: &'a [Origin],
    evidence: String,
    index: Digest,
    key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged<'a> {
    provenance: Digest,
    image: Digest,
    builder: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

/// Says what is about to be built where that needs a word.
pub(super) fn before(output: &Output, order: &Order) {
    let own = env!("CARGO_PKG_VERSION");
    match &order.version {
        Some(version) if version != own => output.status(&format!(
            "repro {version} built it, and this is {own}: both have ruleset {}, which decides the bytes",
            u32::from(order.ruleset)
        )),
        _ => {}
    }
    output.status(&format!("building {} again", order.image));
}

impl Finished {
    fn image(&self) -> Option<Digest> {
        let a = self.record.runs.iter().find(|run| run.id == RunId::A)?;
        a.image.as_ref().map(|image| image.manifest)
    }

    /// For programs.
    pub(in crate::commands::verify) fn document(&self) -> Document<'_> {
        Document {
            outcome: self.agreement.outcome,
            judged: Judged {
                provenance: self.order.provenance,
                image: self.order.image,
                builder: &self.order.builder,
                version: self.order.version.as_deref(),
            },
            image: self.image(),
            verdict: self.report.verdict,
            parts: &self.agreement.parts,
            difference: self.agreement.difference.as_ref(),
            inputs: &self.origins,
            evidence: self.evidence.display().to_string(),
            index: self.written.index,
            key: self.written.key.to_string(),
        }
    }

    /// For people: part by part, then why, then what it comes to.
    pub(in crate::commands::verify) fn say(&self, output: &Output) -> Result<(), CommandError> {
        let mut lines = vec!["rebuild".to_owned()];
        lines.extend(self.rows());
        output.text(&lines.join("\n"))?;
        if let Some(difference) = &self.agreement.difference {
            let options = output.text_options(false, 0);
            output.report(&Subject::Pair(difference).text(&options))?;
        }
        if self.agreement.outcome != RebuildOutcome::Agrees
            || self.report.verdict == Verdict::NotReproducible
        {
            let options = output.text_options(false, 0);
            if self.report.verdict != Verdict::Reproducible {
                output.report(&render::text(&self.report, &options))?;
            }
        }
        output.text(&self.conclusion())?;
        output.status(&format!(
            "evidence of the rebuild: {}",
            self.evidence.display()
        ));
        if self.signed == Signature::Ephemeral {
            output.hint(
                "signed with a key made for this rebuild alone: others can count it only by a key that \
                 they know. `repro keygen`, then --builder-key, gives it a name",
            );
        }
        Ok(())
    }

    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        let parts = &self.agreement.parts;
        let documents = parts.iter().filter(|part| part.layer.is_none());
        for part in documents {
            let name = match part.part {
                PartKind::Manifest => "manifest",
                PartKind::Config | PartKind::Layer | PartKind::Blob => "configuration",
            };
            rows.push(row(part.likeness, name, &digests(part)));
        }
        let layers = parts.iter().filter(|part| part.part == PartKind::Layer);
        for layer in layers {
            let blob = parts
                .iter()
                .find(|part| part.part == PartKind::Blob && part.layer == layer.layer);
            let stored = blob.map_or(Likeness::Same, |blob| blob.likeness);
            let name = format!("layer {}", layer.layer.unwrap_or_default());
            let made = match (&layer.instruction, layer.line) {
                (Some(instruction), Some(line)) => {
                    format!(
                        "line {line}: {}",
                        repro_core::build::as_written(instruction)
                    )
                }
                _ => "of the base".to_owned(),
            };
            let likeness = match stored {
                Likeness::Different => Likeness::Different,
                Likeness::Same => layer.likeness,
            };
            let detail = match (layer.likeness, stored) {
                (Likeness::Same, Likeness::Different) => {
                    format!("{made} (the files are the same, compressed otherwise)")
                }
                _ => made,
            };
            rows.push(row(likeness, &name, &detail));
        }
        rows
    }

    fn conclusion(&self) -> String {
        match (self.agreement.outcome, self.report.verdict) {
            (RebuildOutcome::Agrees, Verdict::NotReproducible) => Meaning::Bad
                .paint("rebuilt: the same image once, and another one in the varied run")
                .to_string(),
            (RebuildOutcome::Agrees, _) => Meaning::Good
                .paint("rebuilt: the same image, to the last bit")
                .to_string(),
            (RebuildOutcome::Differs, _) => {
                let text = match self.attested_verdict {
                    Verdict::NotReproducible => {
                        "rebuilt: another image than the one that was attested, as its builder says \
                         that the build is not reproducible"
                    }
                    _ => "rebuilt: another image than the one that was attested",
                };
                Meaning::Bad.paint(text).to_string()
            }
            (RebuildOutcome::NotBuilt, _) => Meaning::Bad
                .paint("not rebuilt: the build made no image here")
                .to_string(),
        }
    }
}

fn digests(part: &Part) -> String {
    let shown = |digest: Option<Digest>| digest.map_or("none".to_owned(), |d| d.to_string());
    match part.likeness {
        Likeness::Same => shown(part.attested),
        Likeness::Different => format!(
            "attested {}, rebuilt {}",
            shown(part.attested),
            shown(part.rebuilt)
        ),
    }
}

fn row(likeness: Likeness, name: &str, detail: &str) -> String {
    let (mark, meaning) = match likeness {
        Likeness::Same => ("same", Meaning::Good),
        Likeness::Different => ("DIFFERS", Meaning::Bad),
    };
    let mark = meaning.paint(format!("{mark:<7}"));
    format!("{mark}  {name:<13}  {}", text::one_line(detail))
}
