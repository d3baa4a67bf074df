//! `paasta-master generate-deployments`, and the two old commands of that purpose.

use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, Parser};
use futures_util::{StreamExt, stream};
use paasta_master::{deployments, git};
use serde::Serialize;
use serde_json::Value;
use soa_configs::{
    documents::{Documents, ServiceDocuments},
    tree,
    yaml::Node,
};
use tempfile::Builder;

use crate::{Outcome, complain};

/// Services at once, as `generate_all_deployments` has it.
const AT_ONCE: usize = 4;
/// As PaaSTA has it, unless `service.yaml` names another.
const REPOSITORIES: &str = "git@git.yelpcorp.com:services/";

/// Write deployments.json of services from the tags of their git repositories.
///
/// For each instance of marathon-, chronos- and adhoc-CLUSTER.yaml: the commit that was deployed last to
/// its deploy group, and whether it is to run. The file is replaced as a whole, and only if something is
/// new. When a file of a service cannot be read, or git does not answer, the service keeps its file.
#[derive(Args)]
#[command(after_help = "\
Exit status: 0 all is well, 1 services kept their file because something failed (each is told on standard
error, and all others are done), 2 the arguments are wrong.

Examples:
  paasta-master generate-deployments -s web
  paasta-master generate-deployments --all --dry-run
  paasta-master generate-deployments -s web -d ./yelpsoa-configs --json")]
pub(crate) struct Arguments {
    /// The service
    #[arg(short, long, required_unless_present = "all", conflicts_with = "all")]
    service: Option<String>,

    /// Every service in the directory, four at a time
    #[arg(long)]
    all: bool,

    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object: for each service whether it changed, the document or what failed
    #[arg(long)]
    json: bool,
}

/// Write deployments.json of one service from the tags of its git repository.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master generate-deployments.
#[derive(Parser)]
#[command(name = "generate_deployments_for_service", version)]
pub(crate) struct OfService {
    /// The service
    #[arg(short, long)]
    service: String,

    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,

    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
}

/// Write deployments.json of every service from the tags of its git repository, four at a time.
///
/// This is paasta-master under the name of PaaSTA's command; see paasta-master generate-deployments.
#[derive(Parser)]
#[command(name = "generate_all_deployments", version)]
pub(crate) struct OfAll {
    /// Directory of soa-configs, with one directory for each service
    #[arg(short = 'd', long, value_name = "DIR", default_value = tree::DEFAULT_DIR)]
    soa_dir: PathBuf,
}

impl From<OfService> for (Arguments, Telling) {
    fn from(OfService { service, soa_dir, verbose }: OfService) -> Self {
        let telling = if verbose { Telling::Text } else { Telling::Nothing };
        let service = Some(service);
        (Arguments { service, all: false, soa_dir, dry_run: false, json: false }, telling)
    }
}

impl From<OfAll> for (Arguments, Telling) {
    fn from(OfAll { soa_dir }: OfAll) -> Self {
        let arguments =
            Arguments { service: None, all: true, soa_dir, dry_run: false, json: false };
        (arguments, Telling::Nothing)
    }
}

/// What goes to standard output. The old commands say nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    Text,
    Json,
}

/// What became of a service.
#[derive(Serialize)]
struct Done {
    service: String,
    /// Its file says, or would say, something else now.
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployments: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.changed { "changed" } else { "unchanged" };
        let v1 = self.deployments.as_ref().and_then(|document| document["v1"].as_object());
        write!(f, "{}: {what}, {} instances", self.service, v1.map_or(0, serde_json::Map::len))
    }
}

/// # Errors
/// When the directory cannot be listed, or standard output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let telling = if arguments.json { Telling::Json } else { Telling::Text };
    tell(arguments, telling)
}

/// # Errors
/// See [`run`].
pub(crate) fn run_as_before(asked: impl Into<(Arguments, Telling)>) -> anyhow::Result<Outcome> {
    let (arguments, telling) = asked.into();
    tell(&arguments, telling)
}

fn tell(arguments: &Arguments, telling: Telling) -> anyhow::Result<Outcome> {
    let mut documents = Documents::new(&arguments.soa_dir);
    match &arguments.service {
        Some(service) => drop(documents.refresh_service(service)),
        None => drop(documents.refresh()?),
    }
    let named = arguments.service.iter().cloned();
    let all = documents.services().map(|(name, _)| name.to_owned()).filter(|_| arguments.all);
    let names: Vec<String> = named.chain(all).collect();
    let generated = generate(&documents, names, arguments.dry_run, telling);
    let done = crate::block_on(async { Ok(generated.await?) })?;
    if telling == Telling::Json {
        writeln!(io::stdout().lock(), "{:#}", serde_json::json!({"services": done}))?;
    }
    let failed = done.iter().any(|done| done.error.is_some());
    Ok(if failed { Outcome::Incomplete } else { Outcome::Complete })
}

async fn generate(
    documents: &Documents,
    names: Vec<String>,
    dry_run: bool,
    telling: Telling,
) -> io::Result<Vec<Done>> {
    let services = stream::iter(names).map(|name| one(documents, name, dry_run));
    let mut services = services.buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some(done) = services.next().await {
        if let Some(error) = &done.error {
            complain(&format!("{}: {error}", done.service));
        } else if telling == Telling::Text {
            writeln!(io::stdout().lock(), "{done}")?;
        }
        all.push(done);
    }
    Ok(all)
}

async fn one(documents: &Documents, service: String, dry_run: bool) -> Done {
    match attempt(documents, &service, dry_run).await {
        Ok((changed, document)) => {
            Done { service, changed, deployments: Some(document), error: None }
        }
        Err(error) => {
            Done { service, changed: false, deployments: None, error: Some(format!("{error:#}")) }
        }
    }
}

async fn attempt(
    documents: &Documents,
    service: &str,
    dry_run: bool,
) -> anyhow::Result<(bool, Value)> {
    anyhow::ensure!(is_name(service), "expected the name of a service: letters, digits, `_`, `-`");
    let files = documents.service(service).ok_or_else(|| {
        anyhow!("there is no service of this name in {}", documents.soa_dir().display())
    })?;
    let groups = deployments::groups(files, service)?;
    // Without instances there is nothing to ask for.
    let refs =
        if groups.is_empty() { Vec::new() } else { git::refs(&repository(files, service)).await? };
    let document = deployments::document(service, &groups, &refs);
    let file = documents.soa_dir().join(service).join("deployments.json");
    let changed = present(&file).as_ref() != Some(&document);
    if changed && !dry_run {
        write(&file, &document).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok((changed, document))
}

/// It becomes a part of a path and of a tag.
fn is_name(service: &str) -> bool {
    service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn repository(files: &ServiceDocuments, service: &str) -> String {
    let own = files.get("service.yaml").and_then(|document| document.node.as_map()?.get("git_url"));
    let own = own.and_then(Node::as_text);
    own.map_or_else(|| format!("{REPOSITORIES}{service}.git"), str::to_owned)
}

/// What the file says; `None` if that is nothing that can be read.
fn present(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Whoever reads sees the old file or the new one.
fn write(file: &Path, document: &Value) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut staged = Builder::new()
        .prefix(".deployments.json-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    staged.write_all(document.to_string().as_bytes())?;
    staged.as_file().sync_all()?;
    staged.persist(file)?;
    Ok(())
}
