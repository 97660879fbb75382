//! `[[upstreams]]`: the model servers behind.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use super::base_url::BaseUrl;
use super::bounds::{choice, count, is_name, seconds};
use super::environment::Environment;
use super::error::{Fault, Problem};
use super::file::{ModelsFile, UpstreamFile};
use super::kind::Kind;
use super::secret::Secret;

const DAY: i64 = 86_400;

/// A model server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What logs and metrics call it; no two upstreams share a name.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is; `None` for echo only.
    pub base_url: Option<BaseUrl>,
    /// The key that it wants, if any.
    pub api_key: Option<Secret>,
    /// The models it answers for.
    pub models: Models,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long it may be silent.
    pub timeout: Duration,
    /// Its share of the load, among those that list the same model.
    pub weight: NonZeroU32,
}

/// The models that an upstream answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Models {
    /// Those that it lists itself when asked.
    All,
    /// These: the id that clients name, and the upstream's own.
    Listed(BTreeMap<String, String>),
}

/// Returns the upstreams, each with its key read from where it is kept.
pub(super) fn check(files: Vec<UpstreamFile>, environment: &Environment) -> Result<Vec<Upstream>, Fault> {
    if files.is_empty() {
        return Err(Fault::new("upstreams", Problem::Empty));
    }
    let mut names = HashSet::new();
    let mut upstreams = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        let upstream = Draft { index, file, environment }.check()?;
        if !names.insert(upstream.name.clone()) {
            return Err(Fault::new(format!("upstreams[{index}].name"), Problem::NameTaken));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

/// An upstream as it was written.
struct Draft<'a> {
    index: usize,
    file: UpstreamFile,
    environment: &'a Environment,
}

impl Draft<'_> {
    fn check(self) -> Result<Upstream, Fault> {
        let (name, kind) = (self.name()?, self.kind()?);
        if kind == Kind::Echo {
            self.check_echo()?;
        }
        let file = &self.file;
        let connect_timeout = self.path("connect_timeout_seconds");
        Ok(Upstream {
            name,
            kind,
            base_url: self.base_url(kind)?,
            api_key: self.api_key()?,
            models: self.models(kind)?,
            connect_timeout: seconds(&connect_timeout, file.connect_timeout_seconds, 1..=600)?,
            timeout: seconds(&self.path("timeout_seconds"), file.timeout_seconds, 1..=DAY)?,
            weight: count(&self.path("weight"), file.weight, 1000)?,
        })
    }

    fn name(&self) -> Result<String, Fault> {
        let name = self.file.name.as_deref().ok_or_else(|| self.fault("name", Problem::Missing))?;
        if !is_name(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(self.fault("name", Problem::BadUpstreamName));
        }
        Ok(name.to_owned())
    }

    fn kind(&self) -> Result<Kind, Fault> {
        let word = self.file.kind.as_deref().ok_or_else(|| self.fault("kind", Problem::Missing))?;
        let kinds = [("openai", Kind::OpenAi), ("anthropic", Kind::Anthropic), ("echo", Kind::Echo)];
        choice(&self.path("kind"), word, &kinds)
    }

    fn check_echo(&self) -> Result<(), Fault> {
        let unused = [
            ("base_url", self.file.base_url.is_some()),
            ("api_key", self.file.api_key.is_some()),
            ("api_key_file", self.file.api_key_file.is_some()),
            ("api_key_env", self.file.api_key_env.is_some()),
            ("models", self.file.models.is_some()),
        ];
        match unused.iter().find(|(_, is_written)| *is_written) {
            Some((setting, _)) => Err(self.fault(setting, Problem::NotForEcho)),
            None => Ok(()),
        }
    }

    fn base_url(&self, kind: Kind) -> Result<Option<BaseUrl>, Fault> {
        match &self.file.base_url {
            None if kind == Kind::Echo => Ok(None),
            None => Err(self.fault("base_url", Problem::Missing)),
            Some(text) => {
                BaseUrl::parse(text, kind).map(Some).map_err(|problem| self.fault("base_url", problem))
            }
        }
    }

    fn api_key(&self) -> Result<Option<Secret>, Fault> {
        let file = &self.file;
        let (setting, key) = match (&file.api_key, &file.api_key_file, &file.api_key_env) {
            (None, None, None) => return Ok(None),
            (Some(key), None, None) => ("api_key", Secret::parse(key)),
            (None, Some(path), None) => ("api_key_file", Secret::from_file(path)),
            (None, None, Some(name)) => ("api_key_env", Secret::from_variable(name, self.environment)),
            (Some(_), _, _) => ("api_key", Err(Problem::SeveralKeys)),
            (None, Some(_), Some(_)) => ("api_key_file", Err(Problem::SeveralKeys)),
        };
        key.map(Some).map_err(|problem| self.fault(setting, problem))
    }

    fn models(&self, kind: Kind) -> Result<Models, Fault> {
        let models = match &self.file.models {
            None if kind == Kind::Echo => return Ok(Models::Listed([("echo".into(), "echo".into())].into())),
            None => return Ok(Models::All),
            Some(ModelsFile::Ids(ids)) if ids == &["*"] => return Ok(Models::All),
            Some(ModelsFile::Ids(ids)) => ids.iter().map(|id| (id.clone(), id.clone())).collect(),
            Some(ModelsFile::Table(models)) => models.clone(),
        };
        match models_problem(&models) {
            Some(problem) => Err(self.fault("models", problem)),
            None => Ok(Models::Listed(models)),
        }
    }

    fn fault(&self, setting: &str, problem: Problem) -> Fault {
        Fault::new(self.path(setting), problem)
    }

    fn path(&self, setting: &str) -> String {
        format!("upstreams[{}].{setting}", self.index)
    }
}

fn models_problem(models: &BTreeMap<String, String>) -> Option<Problem> {
    let mut ids = models.iter().flat_map(|(id, upstream_id)| [id, upstream_id]);
    if models.is_empty() || ids.clone().any(|id| id.trim().is_empty()) {
        return Some(Problem::Empty);
    }
    ids.any(|id| id == "*").then_some(Problem::StarAmongModels)
}
