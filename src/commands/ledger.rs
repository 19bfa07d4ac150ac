//! `sunset ledger`: verify, export, prove, checkpoint. All of them only read, and none creates a store.

use crate::{
    anchor::{Anchors, Kept},
    cli::{LedgerCommand, RowArgs},
    evidence::{checkpoint::VerificationKey, keys::Keys},
    file,
    ledger::{
        BatchResult, Entry, Event, SettledBy, ToldBy, derived,
        export::{Export, Header},
        prove::{Counted, Findings, Proof, ProvenEntry, prove},
        request_proof::{self, RequestProof, verify_request_proof},
        verify::{ExternalNote, Finding, Report, Verifier, verify_lines, verify_store},
    },
    outcome::{Outcome, Stop},
    output::Format,
    settings::{AnchorPlace, Settings},
    store::Store,
};
use anyhow::{Context, bail};
use std::{
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write},
    path::Path,
};

/// Runs `sunset ledger …`. Knows the formats text and JSON. `settings` may be absent for `verify --file` alone: an
/// auditor has the file and the public keys and nothing else.
///
/// # Errors
/// There is no store or no ledger yet, or a file cannot be read or written. What `verify` finds wrong is not an error:
/// it is printed, and the outcome is [`Outcome::Failed`].
pub async fn run(
    command: &LedgerCommand,
    settings: Option<&Settings>,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match (command, settings) {
        (LedgerCommand::Verify { proof: Some(path), keys, .. }, settings) => {
            verify_proof(path, keys, settings, format, out)
        }
        (LedgerCommand::Verify { file, keys, checkpoint, repair, proof: None }, settings) => {
            let sources = Sources { file: file.as_deref(), keys, checkpoint: checkpoint.as_deref(), settings };
            verify(&sources, *repair, format, out).await
        }
        (LedgerCommand::Export { out: file }, Some(settings)) => export(file.as_deref(), settings, out).await,
        (LedgerCommand::Prove(row), Some(settings)) => {
            let mut store = Store::open_existing(&settings.store).await?;
            let row = RowArgs { table: full_table(&mut store, &row.table).await?, key: row.key.clone() };
            let keys = Keys::parse(&settings.keys)?;
            let findings = prove(&mut store, &keys.tag, &row.table, &row.key).await?;
            findings.check(&keys.trusted(&settings.name))?;
            print_findings(&findings, &row, format, out)?;
            // whoever asks wants evidence that the row went, and there is none
            Ok(if findings.are_evidence() { Outcome::Done } else { Outcome::Failed })
        }
        (LedgerCommand::Checkpoint, Some(settings)) => {
            let mut store = Store::open_existing(&settings.store).await?;
            let last = store.last_checkpoint().await?;
            let last = last.context("the ledger has no checkpoint yet: `sunset run` ends with one")?;
            let mut note = last.note;
            for anchor in settings.anchors.iter().filter(|anchor| matches!(anchor.place, AnchorPlace::Witness { .. })) {
                let cosigned = store.anchored(&anchor.identity()).await?.filter(|taken| taken.size == last.size);
                note += cosigned.as_ref().and_then(|taken| taken.note.lines().last()).unwrap_or_default();
                if cosigned.is_some() {
                    note.push('\n');
                }
            }
            match format {
                Format::Json => writeln!(out, "{}", serde_json::json!({"size": last.size, "note": note}))?,
                _ => write!(out, "{note}")?,
            }
            Ok(Outcome::Done)
        }
        (_, None) => bail!("this needs the job's settings: name its directory with --jobs"),
    }
}

/// The table's whole name: the ledger has its schema, people leave it out where there is but one of that name.
async fn full_table(store: &mut Store, table: &str) -> anyhow::Result<String> {
    let known = store.tagged_tables().await?;
    let Some((database, name)) = table.split_once('.').filter(|_| !known.iter().any(|known| known == table)) else {
        return Ok(table.to_owned());
    };
    let fits = |full: &&String| {
        full.strip_prefix(database).is_some_and(|rest| rest.starts_with('.')) && full.ends_with(&format!(".{name}"))
    };
    match known.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [] => Ok(table.to_owned()),
        [only] => Ok((*only).clone()),
        several => bail!(
            "{table} may be {}: write one of them",
            several.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" or ")
        ),
    }
}

/// What is verified, and what with.
struct Sources<'a> {
    file: Option<&'a Path>,
    keys: &'a [String],
    checkpoint: Option<&'a Path>,
    settings: Option<&'a Settings>,
}

/// Checks a proof for a person. Without a key to trust, a proof says nothing.
fn verify_proof(
    path: &Path,
    keys: &[String],
    settings: Option<&Settings>,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let describe = || path.display().to_string();
    let text = file::read_text(path, file::LONGEST_DOCUMENT).with_context(describe)?;
    let proof: RequestProof = serde_json::from_str(&text).map_err(|_| {
        Stop::invalid(format!("{} is no proof that `sunset request proof` has written", path.display()))
    })?;
    let mut trusted = trusted_keys(keys)?;
    if let Some(settings) = settings.filter(|settings| settings.name == proof.origin) {
        trusted.extend(Keys::parse(&settings.keys)?.trusted(&settings.name));
    }
    if trusted.is_empty() {
        return Err(Stop::invalid("name a public key to trust with --key, as `sunset keys list` prints it"));
    }
    let (checkpoint, entries, uncovered) = match verify_request_proof(&proof, &trusted) {
        Ok(verified) => verified,
        Err(error) => {
            match format {
                Format::Json => writeln!(out, "{}", serde_json::json!({"holds": false, "problem": error.to_string()}))?,
                _ => writeln!(out, "the proof does not hold: {error}")?,
            }
            return Ok(Outcome::Failed);
        }
    };
    let lines: Vec<_> = entries.iter().filter_map(request_proof::words).collect();
    if format == Format::Json {
        let value = serde_json::json!({
            "holds": true, "origin": checkpoint.origin, "size": checkpoint.size, "entries": entries.len(),
            "not_signed": uncovered, "told": lines,
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(Outcome::Done);
    }
    let (origin, size) = (&checkpoint.origin, checkpoint.size);
    writeln!(
        out,
        "ledger of {origin}, signed up to entry {size}: {} entries about request {}",
        entries.len(),
        proof.request
    )?;
    for line in &lines {
        writeln!(out, "  {line}")?;
    }
    if uncovered > 0 {
        writeln!(out, "{uncovered} entries of the file are newer than the checkpoint and prove nothing")?;
    }
    writeln!(out, "the proof holds")?;
    Ok(Outcome::Done)
}

fn trusted_keys(keys: &[String]) -> anyhow::Result<Vec<VerificationKey>> {
    let parse = |(key, number): (&String, usize)| {
        // not quoted: somebody may have given a secret one
        key.parse().with_context(|| format!("--key, the one in place {number}"))
    };
    keys.iter().zip(1..).map(parse).collect()
}

async fn verify(sources: &Sources<'_>, repair: bool, format: Format, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let Sources { file, keys, checkpoint, settings } = *sources;
    let mut trusted = trusted_keys(keys)?;
    let mut notes = Vec::new();
    if let Some(path) = checkpoint {
        let note = file::read_text(path, file::LONGEST_SECRET).with_context(|| path.display().to_string())?;
        notes.push(ExternalNote { kept: "elsewhere".to_owned(), note });
    }
    let (mut repaired, mut stops) = (false, Vec::new());
    let mut report = match (file, settings) {
        (Some(path), _) => {
            // the keys of the job whose directory this is, if it is its ledger
            if let Some(settings) = settings.filter(|settings| origin_of(path).as_ref() == Some(&settings.name)) {
                trusted.extend(Keys::parse(&settings.keys)?.trusted(&settings.name));
            }
            let file = file::open(path).with_context(|| path.display().to_string())?;
            verify_lines(BufReader::new(file), Verifier::new(trusted, notes))?
        }
        (None, Some(settings)) => {
            let keys = Keys::parse(&settings.keys)?;
            trusted.extend(keys.trusted(&settings.name));
            let mut store = Store::open_existing(&settings.store).await?;
            let (kept, told) = Anchors::open(settings)?.kept(&mut store).await?;
            notes.extend(kept.into_iter().map(|Kept { anchor, note }| {
                let kept = format!("by anchor `{anchor}`");
                ExternalNote { kept, note }
            }));
            stops = told;
            let verifier = || Verifier::new(trusted.clone(), notes.clone());
            let mut report = verify_store(&mut store, verifier(), &keys.tag).await?;
            if repair && report.is_mendable() {
                derived::repair(&mut store).await?;
                report = verify_store(&mut store, verifier(), &keys.tag).await?;
                repaired = true;
            }
            report
        }
        (None, None) => bail!("name the job's directory with --jobs, or an exported ledger with --file"),
    };
    let (contradictions, silent): (Vec<_>, Vec<_>) =
        stops.into_iter().partition(|stop: &Stop| stop.outcome == Outcome::Refused);
    report.problems.extend(contradictions.into_iter().map(|stop| Finding {
        line: None,
        entry: None,
        message: stop.message,
    }));
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        _ => {
            if repaired {
                writeln!(out, "what the store derives from the entries was written anew")?;
            }
            print_report(&report, out)?;
        }
    }
    for stop in &silent {
        tracing::error!(reason = stop.message, "the ledger was not compared with what an anchor keeps");
    }
    let told = silent.iter().map(|stop| stop.outcome).max().unwrap_or_default();
    Ok(if report.is_sound() { told } else { Outcome::Failed })
}

/// The job whose ledger a file says it is.
fn origin_of(path: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(file::open(path).ok()?.take(LONGEST_HEADER)).read_line(&mut line).ok()?;
    serde_json::from_str::<Header>(&line).ok().map(|header| header.origin)
}

/// No header is longer, in bytes.
const LONGEST_HEADER: u64 = 1024 * 1024;

fn print_report(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let Report { origin, entries, checkpoints, batches, rows, .. } = report;
    writeln!(out, "ledger of {origin}: {entries} entries, {checkpoints} valid checkpoints")?;
    writeln!(out, "{batches} batches, {rows} rows in those that were committed")?;
    if report.counted_rows > 0 {
        let rows = report.counted_rows;
        writeln!(
            out,
            "{rows} of these rows are known by number alone (evidence: counts): none can be proven by itself"
        )?;
    }
    if report.unknown > 0 {
        let count = report.unknown;
        writeln!(out, "{count} batches are in doubt: nobody can tell any more whether they were committed")?;
    }
    if let Some(covered) = &report.covered {
        writeln!(out, "signed up to entry {} on {:.0}, root {}", covered.size, covered.at, covered.root)?;
    }
    match report.contained {
        0 => {}
        1 => writeln!(out, "it contains the checkpoint that is kept elsewhere")?,
        count => writeln!(out, "it contains the {count} checkpoints that are kept elsewhere")?,
    }
    match report.uncovered {
        0 => {}
        1 => writeln!(out, "1 entry is not yet covered by a checkpoint")?,
        count => writeln!(out, "{count} entries are not yet covered by a checkpoint")?,
    }
    if !report.open_intents.is_empty() {
        let count = report.open_intents.len();
        writeln!(out, "{count} batches have no outcome yet; the next run settles them")?;
    }
    for finding in &report.notes {
        print_finding("note", finding, out)?;
    }
    for finding in &report.problems {
        print_finding("problem", finding, out)?;
    }
    if report.is_mendable() {
        writeln!(out, "`sunset ledger verify --repair` writes anew what the store derives from the entries")?;
    }
    match report.problems.len() as u64 + report.unlisted {
        _ if report.is_sound() => writeln!(out, "sound"),
        0 => writeln!(out, "unsigned: no checkpoint vouches for any of it, so anybody could have written it"),
        1 => writeln!(out, "not sound: 1 problem"),
        count => writeln!(out, "not sound: {count} problems"),
    }
}

fn print_finding(kind: &str, finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let line = finding.line.map(|line| format!("line {line}, ")).unwrap_or_default();
    let entry = finding.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
    writeln!(out, "{kind}: {line}{entry}{}", finding.message)
}

async fn export(file: Option<&Path>, settings: &Settings, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut store = Store::open_existing(&settings.store).await?;
    let mut export = Export::new(&mut store).await?;
    match file {
        None => {
            while let Some(line) = export.next().await? {
                writeln!(out, "{line}")?;
            }
        }
        Some(path) => {
            let describe = || path.display().to_string();
            let mut writer = BufWriter::new(file::create(path).with_context(describe)?);
            while let Some(line) = export.next().await? {
                writeln!(writer, "{line}").with_context(describe)?;
            }
            writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all().with_context(describe)?;
            writeln!(out, "wrote {} entries to {}", export.last_entry(), path.display())?;
        }
    }
    Ok(Outcome::Done)
}

fn print_findings(findings: &Findings, row: &RowArgs, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, findings)?;
        writeln!(out)?;
        return Ok(());
    }
    let searched = findings.searched.join(", ");
    match (findings.proofs.len(), searched.is_empty()) {
        (0, true) => writeln!(out, "no key to search with")?,
        (0, false) => writeln!(
            out,
            "the ledger knows no batch with this row of {} (tag keys {searched}); keys must be written as the \
             database prints them",
            row.table
        )?,
        (1, _) => writeln!(out, "this row of {} was in 1 batch", row.table)?,
        (count, _) => writeln!(out, "this row of {} was in {count} batches", row.table)?,
    }
    for Counted { rule, table, batches, rows } in &findings.counted {
        writeln!(
            out,
            "rule {rule} keeps counts alone (evidence: counts): whether this row was among the {rows} rows of {table} in \
             {batches} batches, the ledger cannot tell"
        )?;
    }
    for id in &findings.destroyed {
        writeln!(out, "tag key {id} was destroyed: which rows it stood for cannot be known any more, by design")?;
    }
    for id in &findings.missing {
        writeln!(out, "tag key {id} is not in sunset.yaml: batches tagged with it were not searched")?;
    }
    for proof in &findings.proofs {
        print_proof(proof, out)?;
    }
    Ok(())
}

fn print_proof(proof: &Proof, out: &mut dyn Write) -> anyhow::Result<()> {
    let entry = Entry::parse(&proof.intent.line)?;
    let Event::Intent(intent) = &entry.event else { bail!("entry {} is not an intent", entry.seq) };
    writeln!(out, "\n{} of {} under rule {}", intent.disposition, intent.table, intent.rule)?;
    writeln!(out, "  announced  entry {}, {:.0}, run {}, batch {}", entry.seq, entry.at, entry.run, intent.batch)?;
    match &proof.outcome {
        None => writeln!(out, "  outcome    not known yet")?,
        Some(outcome) => {
            let entry = Entry::parse(&outcome.line)?;
            let Event::Outcome { result, settled_by, told_by, .. } = entry.event else {
                bail!("entry {} is not an outcome", entry.seq)
            };
            let result = match result {
                BatchResult::Committed => "committed",
                BatchResult::RolledBack => "rolled back: the row was not touched",
                BatchResult::Unknown => "nobody can tell any more whether it was committed",
            };
            let by = match (settled_by, told_by) {
                (SettledBy::Direct, _) => "",
                (SettledBy::Recovery, None) => ", found out by a later run",
                (SettledBy::Recovery, Some(ToldBy::Mark)) => ", which its mark in the database told a later run",
                (SettledBy::Recovery, Some(ToldBy::Transaction)) => ", which the server told a later run",
                (SettledBy::Recovery, Some(ToldBy::Rows)) => ", which the rows told a later run",
            };
            writeln!(out, "  outcome    {result}{by}, entry {}, {:.0}", entry.seq, entry.at)?;
        }
    }
    writeln!(
        out,
        "  tag        {} (key {}), {} of {} in the batch",
        proof.tag,
        proof.tag_key,
        proof.place + 1,
        proof.tags
    )?;
    let tags: Vec<_> = proof.leaf.as_bytes().chunks(32).map(String::from_utf8_lossy).collect();
    writeln!(out, "  its leaf   {} tags\n    {}", tags.len(), tags.join("\n    "))?;
    print_path("  in batch ", Some(&proof.leaf_proof), out)?;
    print_path("  in ledger", proof.intent.proof.as_ref(), out)?;
    if let Some(ProvenEntry { proof, .. }) = &proof.outcome {
        print_path("  outcome's", proof.as_ref(), out)?;
    }
    if let Some(note) = &proof.checkpoint {
        writeln!(out, "  checkpoint\n    {}", note.trim_end().replace('\n', "\n    "))?;
    }
    Ok(())
}

fn print_path(label: &str, path: Option<&Vec<String>>, out: &mut dyn Write) -> std::io::Result<()> {
    match path {
        None => writeln!(out, "{label}  not covered by a checkpoint yet"),
        Some(path) => writeln!(
            out,
            "{label}  proof of {} hashes{}",
            path.len(),
            path.iter().map(|hash| format!("\n    {hash}")).collect::<String>()
        ),
    }
}
