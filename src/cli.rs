//! The command line: clap structs only.

use crate::{evidence::keys::KeyKind, language::format, output::Format, rules::RequestKind, store::RequestOutcome};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Erases and anonymizes expired personal data by rules in YAML, and proves it.
#[derive(Debug, Parser)]
#[command(name = "sunset", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Job directory: holds sunset.yaml and rules/
    #[arg(long, global = true, default_value = ".", env = "SUNSET_JOBS", value_name = "DIR")]
    pub jobs: PathBuf,
    /// Output format; each command says which it knows
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Refuse to work on other files than these: the SHA-256 of `sha256sum rules/*.yaml sunset.yaml` (in the job directory)
    #[arg(long, global = true, env = "SUNSET_RULES_DIGEST", value_name = "SHA256")]
    pub rules_digest: Option<String>,
    /// Take this for the present time, e.g. 2026-11-22 or 2026-11-22T02:30:00+09:00
    #[arg(long, global = true, value_name = "TIME")]
    pub now: Option<String>,
    /// Say less: errors and results only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub colour: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check settings and rules, and against the live schemas unless --offline
    Validate(ValidateArgs),
    /// Show what a run would do, and do nothing (a dry run)
    Plan(PlanArgs),
    /// Dispose of what is due
    Run(RunArgs),
    /// Run rules by their schedules, and show how the job stands over HTTP
    Serve(ServeArgs),
    /// Show the last runs, what is overdue, and the ledger's head
    Status,
    /// Tell which rules and holds govern one row, or all rows of a person, and until when they stay
    Why(WhyArgs),
    /// Let no run of the job begin a batch, on whatever machine, until it is resumed
    Pause(PauseArgs),
    /// End a pause
    Resume(ResumeArgs),
    /// Suspend the deletion of rows
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Answer what persons ask for: erasure, an end of use, disclosure, correction
    #[command(subcommand)]
    Request(RequestCommand),
    /// Record a recipient's written confirmation of a deletion notice, or list the notices
    Confirm(ConfirmArgs),
    /// Give up work that a recipient had accepted and then refused, so that it is asked anew
    AskAgain(AskAgainArgs),
    /// Record that an assertion holds which no program can check, until a day; or list what has been said
    Attest(AttestArgs),
    /// Let runs go on with a database that was restored from a backup, and tell which erased rows are there again
    Restored(RestoredArgs),
    /// List the vendors that are described in YAML, show one, or play the examples of those descriptions
    Recipes(RecipesArgs),
    /// Verify, export and prove from the ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Make, list and destroy the ledger's keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print the JSON Schema of rule files or settings, for editors
    Schema(SchemaArgs),
    /// List personal data and recipients that no rule governs, from the live schemas; exit code 1 if there are any
    Coverage,
    /// Draft rule files from a live database
    Init(InitArgs),
    /// Print the GRANT statements that a least-privilege database user needs
    Grants(GrantsArgs),
    /// Show everything on an invented company, in a new directory
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Serve stand-ins of the recipients' APIs on this machine, for rehearsals
    #[cfg(feature = "demo")]
    Sandbox(SandboxArgs),
    /// Print the dsrdelete.json to publish at the root of the company's domain (Data Deletion Request Framework)
    Dsrdelete,
    /// Print a shell completion script
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
#[command(after_help = "Rules are held against each other, too: no rule may destroy what another one still needs. \
                        `sunset plan --timeline` shows which rule acts on which table when.")]
pub struct ValidateArgs {
    /// Do not connect to the databases
    #[arg(long)]
    pub offline: bool,
    /// Also make sure that there is this rule
    #[arg(long = "rule", value_name = "ID")]
    pub rules: Vec<String>,
    /// Also make sure that some rule bears this tag
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Port on 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 8420)]
    pub port: u16,
    /// Leave the vendors' rate limits out
    #[arg(long)]
    pub no_limits: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Only these rules
    #[arg(long = "rule", value_name = "ID")]
    pub rules: Vec<String>,
    /// Only rules that bear this tag, and those that --rule names
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Show up to N masked examples per rule, before and after
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sample: u32,
    /// Write the plan as JSON, for review and for `run --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show the exact SQL
    #[arg(long)]
    pub sql: bool,
    /// Show the table of all rules and not each rule in words
    #[arg(long, conflicts_with_all = ["sql", "sample"])]
    pub brief: bool,
    /// Prove the credentials of every recipient that would be asked; nothing is deleted
    #[arg(long)]
    pub check_recipients: bool,
    /// Show what each rule does when with rows whose time begins on one day, category by category; no database is asked
    #[arg(long, conflicts_with_all = ["sql", "sample", "brief", "out", "check_recipients"])]
    pub timeline: bool,
    /// With --timeline: the day on which the rows' time begins; today by default
    #[arg(long, value_name = "DAY", requires = "timeline")]
    pub starting: Option<jiff::civil::Date>,
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Only these rules
    #[arg(long = "rule", value_name = "ID", conflicts_with = "plan")]
    pub rules: Vec<String>,
    /// Only rules that bear this tag, and those that --rule names
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "plan")]
    pub tags: Vec<String>,
    /// Execute exactly this reviewed plan
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Call this process one of a group that shares a night's work, on whatever machines: report and status sum them up
    #[arg(long, env = "SUNSET_GROUP", value_name = "NAME", value_parser = group)]
    pub group: Option<String>,
    /// Change nothing: work on copies (SQLite) or undo each batch (servers), ask no recipient, write no ledger; also for a
    /// --now in the future
    #[arg(long)]
    pub rehearsal: bool,
    /// Begin no batch when so long has passed, e.g. 2h or 90min; pace.run_time in sunset.yaml by default
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_time: Option<Duration>,
    /// How many workers a rule has in this process, instead of the settings' pace.workers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// Who is told at the end how the job stands; an OTLP endpoint too, where OTEL_EXPORTER_OTLP_ENDPOINT names one.
#[derive(Debug, Default, Args)]
pub struct MetricsArgs {
    /// Write metrics to this file at the end, for node_exporter's textfile collector (its name should end in .prom)
    #[arg(long, env = "SUNSET_METRICS_FILE", value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Put metrics to this Pushgateway at the end
    #[arg(long, env = "SUNSET_PUSHGATEWAY", hide_env_values = true, value_name = "URL")]
    pub pushgateway: Option<String>,
}

/// A name that is no sentence: logs, ledger and pages show it. An empty one is none: a variable that is made of a label
/// may be empty.
fn group(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match text.len() <= 128 && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("write up to 128 letters, digits and -_.:"),
    }
}

/// What people say, as it stands in the ledger and on letters: one line, in which nothing hides.
pub fn one_line(text: &str) -> Result<String, &'static str> {
    const LONGEST: usize = 1_000;
    // line and paragraph separators, and marks that turn the direction of what follows
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    match text.trim() {
        "" => Err("write a few words"),
        text if text.len() > LONGEST => Err("write up to 1,000 bytes"),
        text if text.contains(hides) => Err("write one line without control characters"),
        text => Ok(text.to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    format::duration(text).ok_or("write a whole number with s, min or h, such as 2h or 90min")
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where health, metrics and pages are; what other machines can reach needs --token-file
    #[arg(long, default_value = "127.0.0.1:9464", env = "SUNSET_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// A file with the token that readers of metrics and pages have to show
    #[arg(long, env = "SUNSET_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// When asked to stop, give runs so long to finish their open batches
    #[arg(long, default_value = "100s", value_parser = duration, value_name = "DURATION")]
    pub drain: Duration,
}

#[derive(Debug, Args)]
pub struct RowArgs {
    /// database.table or database.schema.table
    pub table: String,
    /// The row's primary key; one value per key column
    #[arg(required = true)]
    pub key: Vec<String>,
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// database.table or database.schema.table
    #[arg(required_unless_present = "subject", conflicts_with = "subject")]
    pub table: Option<String>,
    /// The row's primary key; one value per key column
    #[arg(value_name = "KEY", requires = "table", required_unless_present = "subject")]
    pub row: Vec<String>,
    #[command(flatten)]
    pub person: PersonArgs,
    /// The primary key of the person's home row; repeat it for each key column
    #[arg(long, requires = "subject")]
    pub key: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Why; stands in the log of the runs that wait, in the status and in the ledger
    #[arg(long, value_parser = one_line)]
    pub reason: Option<String>,
    /// End it by itself then: 06:00 (the next one), 2026-11-22T06:00:00, 2026-11-22T06:00:00+09:00
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Who answers for it; stands in the ledger
    #[arg(long, value_name = "WHO", env = "USER", value_parser = one_line)]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Who answers for it; stands in the ledger
    #[arg(long, value_name = "WHO", env = "USER", value_parser = one_line)]
    pub by: String,
}

#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Suspend the deletion of one row, or of all rows that meet a condition
    Add(HoldAddArgs),
    /// End a hold
    Release(HoldReleaseArgs),
    /// Bind a hold to the table that has its rows now; it gets a new number
    Move(HoldMoveArgs),
    /// List the holds in force
    List {
        /// Released ones too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub struct HoldAddArgs {
    /// database.table or database.schema.table
    #[arg(long, required_unless_present = "subject", conflicts_with = "subject")]
    pub table: Option<String>,
    #[command(flatten)]
    pub person: PersonArgs,
    /// The row's primary key, or that of the person's home row; repeat it for each key column
    #[arg(long, required_unless_present_any = ["where", "find", "find_file"])]
    pub key: Vec<String>,
    /// A boolean SQL expression over the table's columns
    #[arg(long, conflicts_with_all = ["key", "subject"])]
    pub r#where: Option<String>,
    /// The case, e.g. a file number
    #[arg(long, value_parser = one_line)]
    pub matter: String,
    #[arg(long, value_parser = one_line)]
    pub reason: String,
    /// Who answers for it
    #[arg(long, value_parser = one_line)]
    pub owner: String,
    /// The day on which somebody looks at it again
    #[arg(long, value_name = "DATE")]
    pub review: jiff::civil::Date,
    /// Hold these rows alone, not what belongs to them
    #[arg(long, conflicts_with = "subject")]
    pub only_row: bool,
}

#[derive(Debug, Args)]
pub struct HoldMoveArgs {
    /// The hold's number, from `hold list`
    pub id: u64,
    /// The table that has its rows now: database.table or database.schema.table
    #[arg(long, required_unless_present = "subject", conflicts_with = "subject")]
    pub table: Option<String>,
    #[command(flatten)]
    pub person: PersonArgs,
    /// The row's primary key there, where it is another one than before; repeat it for each key column
    #[arg(long)]
    pub key: Vec<String>,
    /// The condition, where it is another one than before
    #[arg(long, conflicts_with_all = ["key", "subject"])]
    pub r#where: Option<String>,
    /// Who answers for it
    #[arg(long, value_parser = one_line)]
    pub owner: String,
}

#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Record that somebody asks for something, with its deadline
    Open(RequestOpenArgs),
    /// List the open requests
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Show a request: what was asked, approved and done
    Show {
        /// The request's number, from `request list`
        id: u64,
    },
    /// Show what would go for a request now, and what stays, why and until when
    Plan {
        /// The request's number, from `request list`
        id: u64,
    },
    /// Let runs take a request along
    Approve(RequestApproveArgs),
    /// Do what an approved request asks for, and nothing else
    Run {
        /// The request's number, from `request list`
        id: u64,
    },
    /// Write the answer to the person: what went, who was asked, what stays, why and until when
    Letter(RequestLetterArgs),
    /// Certify what runs have done for a request, in Japanese and English, from the ledger
    Certificate(RequestCertificateArgs),
    /// Collect what the ledger has about a request into one file that anybody checks offline: `ledger verify --proof FILE`
    Proof(RequestProofArgs),
    /// Write all that is held about the person into a new directory: JSON, CSV and a page to read
    Disclose(RequestDiscloseArgs),
    /// End a request; the key of its person is forgotten
    Close(RequestCloseArgs),
}

#[derive(Debug, Args)]
pub struct RequestOpenArgs {
    /// What is asked for
    #[arg(long, required_unless_present = "file")]
    pub kind: Option<RequestKind>,
    #[command(flatten)]
    pub person: PersonArgs,
    /// The primary key of the person's home row; repeat it for each key column
    #[arg(long, requires = "subject")]
    pub key: Vec<String>,
    /// The day on which it arrived; the deadline counts from it
    #[arg(long, value_name = "DATE", required_unless_present = "file")]
    pub received: Option<jiff::civil::Date>,
    /// The company's number for it, without names: it goes into the ledger
    #[arg(long, required_unless_present = "file", value_parser = one_line)]
    pub reference: Option<String>,
    /// Who has seen to it that it is the person; stands in the ledger
    #[arg(long, value_name = "WHO", required_unless_present = "file", value_parser = one_line)]
    pub identified_by: Option<String>,
    /// How, without names: it goes into the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "file", value_parser = one_line)]
    pub identified_how: Option<String>,
    /// Many at once, all or none: a CSV file with the columns kind, subject, received, reference, identified_by and
    /// identified_how, and `key` or identifiers by their names
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "subject", "received", "reference", "identified_by", "identified_how"])]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RequestApproveArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// Who answers for it; stands in the ledger
    #[arg(long, value_name = "WHO", value_parser = one_line)]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct RequestDiscloseArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// A directory that is not there yet; only its owner can read it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// In which language titles and headings are
    #[arg(long, value_enum, default_value_t = LetterLanguage::Ja)]
    pub language: LetterLanguage,
}

#[derive(Debug, Args)]
pub struct RequestLetterArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// In which language
    #[arg(long, value_enum, default_value_t = LetterLanguage::Ja)]
    pub language: LetterLanguage,
    /// A directory for the letter as HTML and as text; it is printed as text without one
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RequestCertificateArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// A directory for the certificate as HTML and as text; it is printed as text without one
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RequestProofArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// The file; the proof is printed without one
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LetterLanguage {
    Ja,
    En,
}

#[derive(Debug, Args)]
pub struct RequestCloseArgs {
    /// The request's number, from `request list`
    pub id: u64,
    /// How it ended
    #[arg(long, value_enum)]
    pub outcome: RequestOutcome,
    /// Why, without names: it goes into the ledger
    #[arg(long, value_parser = one_line)]
    pub reason: String,
    /// Who answers for it; stands in the ledger
    #[arg(long, value_name = "WHO", value_parser = one_line)]
    pub by: String,
}

/// A person: together with `--key`, or by identifiers.
#[derive(Args)]
pub struct PersonArgs {
    /// A subject of sunset.yaml, whose person is meant in all databases
    #[arg(long)]
    pub subject: Option<String>,
    /// An identifier of the subject and its value, such as email=…; repeated, all have to be theirs. `-` reads them from
    /// standard input, one a line, which keeps them out of the list of processes
    #[arg(long, value_name = "IDENTIFIER=VALUE", requires = "subject", conflicts_with = "key")]
    pub find: Vec<String>,
    /// A file with identifiers, one a line
    #[arg(long, value_name = "FILE", requires = "subject", conflicts_with_all = ["key", "find"])]
    pub find_file: Option<PathBuf>,
}

/// Identifiers are personal.
impl std::fmt::Debug for PersonArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("PersonArgs").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[derive(Debug, Args)]
pub struct HoldReleaseArgs {
    /// The hold's number, from `hold list`
    pub id: u64,
    #[arg(long, value_parser = one_line)]
    pub reason: String,
    /// Who answers for it
    #[arg(long, value_parser = one_line)]
    pub owner: String,
}

#[derive(Debug, Args)]
pub struct ConfirmArgs {
    /// Its name in sunset.yaml
    #[arg(required_unless_present = "list")]
    pub recipient: Option<String>,
    /// The notice's number, as it stands in the letter
    #[arg(long, value_name = "ID", required_unless_present = "list")]
    pub notice: Option<String>,
    /// Only these persons: a file with a reference in each line, or the notice's own file with the other lines taken out
    #[arg(long, value_name = "FILE", required_unless_present_any = ["all", "list"])]
    pub references: Option<PathBuf>,
    /// All persons of the notice; with --list, confirmed notices too
    #[arg(long, conflicts_with = "references")]
    pub all: bool,
    /// Who records it
    #[arg(long, value_name = "WHO", required_unless_present = "list", value_parser = one_line)]
    pub by: Option<String>,
    /// What was received, without names of the persons: it goes into the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "list", value_parser = one_line)]
    pub evidence: Option<String>,
    /// The confirmation or certificate; its SHA-256 goes into the ledger, the file stays where it is
    #[arg(long, value_name = "FILE")]
    pub document: Option<PathBuf>,
    /// List the notices that nobody has confirmed, with their due dates
    #[arg(long, conflicts_with_all = ["notice", "references", "by", "evidence", "document"])]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct AskAgainArgs {
    /// Its name in sunset.yaml
    pub recipient: String,
    /// Who says so
    #[arg(long, value_name = "WHO", value_parser = one_line)]
    pub by: String,
    /// Why it will go better, without names of persons: it goes into the ledger
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    pub reason: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 4 with --check if erased rows are there. docs/restore.md tells what to look at before."
)]
pub struct RestoredArgs {
    /// Its name in sunset.yaml
    pub database: String,
    /// Who has looked at it
    #[arg(long, value_name = "WHO", value_parser = one_line)]
    pub by: String,
    /// What was restored and why, without names of persons: it goes into the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "check", value_parser = one_line)]
    pub reason: Option<String>,
    /// Let nothing go on: look again whether any erased row is there, and record that
    #[arg(long, conflicts_with = "reason")]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct AttestArgs {
    /// Its id in the rule file
    #[arg(required_unless_present = "list")]
    pub assertion: Option<String>,
    /// Who has looked and says so
    #[arg(long, value_name = "WHO", required_unless_present = "list", value_parser = one_line)]
    pub by: Option<String>,
    /// What was looked at: it goes into the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "list", value_parser = one_line)]
    pub evidence: Option<String>,
    /// The last day on which it counts; as long as the assertion's `attested_every` allows by default
    #[arg(long, value_name = "DATE")]
    pub until: Option<jiff::civil::Date>,
    /// A screenshot or certificate; its SHA-256 goes into the ledger, the file stays where it is
    #[arg(long, value_name = "FILE")]
    pub document: Option<PathBuf>,
    /// List the assertions that people attest, with their last days
    #[arg(long, conflicts_with_all = ["assertion", "by", "evidence", "until", "document"])]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct RecipesArgs {
    #[command(subcommand)]
    pub command: Option<RecipesCommand>,
}

#[derive(Debug, Subcommand)]
pub enum RecipesCommand {
    /// Print a recipe's file
    Show {
        /// Its name
        recipe: String,
    },
    /// Play the examples on this machine: the calls that have to be made, and what their replies mean
    #[cfg(feature = "demo")]
    Test {
        /// Their names; all by default
        recipes: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Recompute every hash, root and signature
    Verify {
        /// An exported file instead of the job's own ledger
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// A proof for a person, from `sunset request proof`, instead of a ledger
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "checkpoint", "repair"])]
        proof: Option<PathBuf>,
        /// Public keys to trust, as `sunset keys list` prints them
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
        /// A checkpoint kept elsewhere: the ledger must contain it
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Write anew what the store derives from the entries, where it does not follow from them
        #[arg(long, conflicts_with = "file")]
        repair: bool,
    },
    /// Write the ledger as JSON Lines that can be verified offline
    Export {
        /// Standard output by default
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Tell whether a row was disposed of, when and under which rule, with a proof
    Prove(RowArgs),
    /// Print the newest signed checkpoint, to be kept somewhere else
    Checkpoint,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make new keys and tell what to put into sunset.yaml
    New {
        /// Where to write the key files
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Which keys; all of them by default
        #[arg(long, value_enum)]
        kind: Vec<KeyKind>,
    },
    /// List the keys in use, secrets left out
    List,
    /// Destroy a tag key on purpose: row tags made with it can never be tied to a row again
    Destroy {
        /// The key's id
        id: String,
        #[arg(long)]
        reason: String,
        #[arg(long)]
        owner: String,
    },
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    #[arg(value_enum, default_value_t = SchemaKind::Rules)]
    pub kind: SchemaKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    Rules,
    Settings,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The database to read, e.g. postgres://…; SUNSET_INIT_URL keeps its password out of the process list
    #[arg(long, env = "SUNSET_INIT_URL", hide_env_values = true, value_name = "URL")]
    pub url: String,
    /// How rules call the database
    #[arg(long, default_value = "core")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct GrantsArgs {
    /// The database user (MySQL: 'user'@'host')
    #[arg(long)]
    pub user: String,
    /// Only for this database of the job
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// With the table in which each batch notes that it was committed, so that a crash leaves no doubt
    #[arg(long)]
    pub batches: bool,
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The directory to create; a new one under the system's temporary directory by default
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How many customers the invented company has
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub customers: u32,
}
