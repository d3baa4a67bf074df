//! `deployments.json`: what the tags of a service's repository ask of its instances
//! (marathon-sync.md §20).
//!
//! Pure: refs and files in, the document out.

mod refs;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use soa_configs::{
    Cluster,
    documents::ServiceDocuments,
    load::{self, Instance, Kind, LoadError},
};

pub use refs::{Ref, Sha, Unreadable, parse};

/// Why nothing is said of a service: a file that cannot be read must not undeploy what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{service}.{instance} of {cluster}: {error}")]
    Instance { service: String, instance: String, cluster: String, error: LoadError },
    #[error("{0}")]
    File(String),
}

/// Which deploy group each instance belongs to, by `cluster.instance`, in the order in which PaaSTA comes
/// upon them. An instance with a key `branch` goes by that, as it does when it is looked up.
pub type Groups = Vec<(String, String)>;

/// Reads the instances of a service in all clusters. Of two kinds with the same name the later one counts.
///
/// # Errors
/// The first instance that cannot be loaded.
pub fn groups(files: &ServiceDocuments, service: &str) -> Result<Groups, Fault> {
    // A broken deployments.json is what is mended here.
    let is_read = |file: &std::path::Path| file.file_name() != Some("deployments.json".as_ref());
    if let Some(problem) = files.problems().find(|problem| is_read(&problem.file)) {
        return Err(Fault::File(problem.one_line.clone()));
    }
    let mut clusters = BTreeMap::<&str, Vec<(Kind, Vec<&str>)>>::new();
    for kind in Kind::ALL {
        for (cluster, document) in files.clusters(kind.as_str()) {
            let map = document.node.as_map();
            let names = map.into_iter().flat_map(|map| map.texts()).map(|(name, _)| name);
            let names = names.filter(|name| !name.starts_with('_')).collect();
            clusters.entry(cluster).or_default().push((kind, names));
        }
    }
    let mut groups = Groups::new();
    for (cluster, kinds) in clusters {
        let cluster: Cluster =
            cluster.parse().map_err(|error| Fault::File(format!("*-{cluster}.yaml: {error}")))?;
        for (kind, names) in kinds {
            for name in names {
                let loaded = load::instance(files, kind, service, name, &cluster);
                let instance = loaded.map_err(|error| Fault::Instance {
                    service: service.to_owned(),
                    instance: name.to_owned(),
                    cluster: cluster.to_string(),
                    error,
                })?;
                put(&mut groups, branch(&instance), instance.deploy_group);
            }
        }
    }
    Ok(groups)
}

fn branch(instance: &Instance) -> String {
    let own = instance.merged.get("branch").and_then(|node| node.as_text());
    own.map_or_else(|| format!("{}.{}", instance.cluster, instance.instance), str::to_owned)
}

/// The first place in the order, the last value.
fn put(groups: &mut Groups, branch: String, group: String) {
    match groups.iter_mut().find(|(known, _)| *known == branch) {
        Some((_, known)) => *known = group,
        None => groups.push((branch, group)),
    }
}

/// The document. Instances whose group was never deployed are left out.
#[must_use]
pub fn document(service: &str, groups: &Groups, refs: &[Ref]) -> Value {
    let (mut v1, mut deployments, mut controls) = (Map::new(), Map::new(), Map::new());
    for (branch, group) in groups {
        let Some(sha) = refs::deployed(refs, group) else { continue };
        let control = refs::control(refs, branch, sha);
        let image = format!("services-{service}:paasta-{sha}");
        let (state, token) = (control.state(), control.token());
        v1.insert(
            format!("{service}:paasta-{branch}"),
            json!({"docker_image": image, "desired_state": state, "force_bounce": token}),
        );
        deployments.insert(group.clone(), json!({"docker_image": image, "git_sha": sha.as_str()}));
        controls.insert(
            format!("{service}:{branch}"),
            json!({"desired_state": state, "force_bounce": token}),
        );
    }
    json!({"v1": v1, "v2": {"deployments": deployments, "controls": controls}})
}
