//! What the tags of a repository ask.

use std::{fs, io::Write, path::Path};

use paasta_master::deployments::{self, Ref, Sha};
use serde_json::Value;
use soa_configs::documents::Documents;

use crate::cases;

/// The document for the refs of a case, in the order of its file.
fn ours(soa: &Path, service: &str, refs: &Value) -> Value {
    let mut documents = Documents::new(soa);
    documents.refresh_service(service);
    let refs = refs.as_object().unwrap().iter().map(|(name, sha)| Ref {
        name: name.clone(),
        sha: Sha::new(sha.as_str().unwrap()).unwrap(),
    });
    let groups = deployments::groups(documents.service(service).unwrap(), service).unwrap();
    deployments::document(service, &groups, &refs.collect::<Vec<_>>())
}

#[test]
fn golden_documents_follow_from_the_same_tags() {
    let file = cases::kind("marathon").join("functions/generate_deployments.json");
    let mut wrong = Vec::new();
    for case in cases::list(&cases::json(&file)) {
        let dir = tempfile::tempdir().unwrap();
        let service = case["service"].as_str().unwrap();
        fs::create_dir(dir.path().join(service)).unwrap();
        for (name, text) in case["files"].as_object().unwrap() {
            let path = dir.path().join(service).join(name);
            let mut file = fs::File::create(path).unwrap();
            file.write_all(text.as_str().unwrap().as_bytes()).unwrap();
        }
        let ours = ours(dir.path(), service, &case["git_refs"]);
        if ours != case["expected_deployments_json"] {
            wrong.push(format!("{}: {ours}\nexpected {case}", case["name"]));
        }
    }
    cases::assert_none(&wrong);
}

#[test]
fn golden_documents_of_whole_trees_are_the_same() {
    let kind = cases::kind("deployments-json");
    let dirs = fs::read_dir(&kind).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<_> = dirs.filter(|path| path.is_dir()).collect();
    assert!(!dirs.is_empty(), "there are no cases");
    let mut wrong = Vec::new();
    for dir in dirs {
        let case = cases::json(&dir.join("case.json"));
        let service = case["service"].as_str().unwrap_or("svc");
        let ours = ours(&dir.join("soa"), service, &cases::json(&dir.join("refs.json")));
        let expected = cases::json(&dir.join("expected.json"));
        if ours != expected {
            wrong.push(format!("{}: {ours}\nexpected {expected}", dir.display()));
        }
    }
    cases::assert_none(&wrong);
}
