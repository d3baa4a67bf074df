//! Apps that are made.

use paasta_master::app::{App, Given};
use serde_json::Value;
use soa_configs::{
    documents::Documents,
    json,
    load::{self, Deployment, Kind},
    paasta::{self, Settings},
    yaml::Node,
};

use crate::cases;

fn plain(node: &Node) -> Value {
    serde_json::from_str(&json::canonical(node).unwrap()).unwrap()
}

#[test]
fn golden_apps_are_the_same_in_every_field_and_so_are_their_requests() {
    let root = cases::kind("marathon");
    let mut documents = Documents::new(root.join("soa-configs"));
    documents.refresh().unwrap();
    let list = cases::json(&root.join("cases.json"));
    let mut wrong = Vec::new();
    for case in cases::list(&list) {
        let text = |key: &str| case[key].as_str().unwrap();
        let expected = cases::json(&root.join(format!("expected/{}.json", text("name"))));
        let app = made(&documents, case);
        let ours = [
            ("id", Value::from(app.id.as_str())),
            ("config_hash_input", Value::from(app.hash_input.as_str())),
            ("app_dict", plain(&Node::made(app.definition.clone()))),
            ("wire", plain(&app.request().unwrap())),
        ];
        for (key, ours) in ours {
            if ours != expected[key] {
                wrong.push(format!(
                    "{}: {key} is {ours}\nexpected {}",
                    text("name"),
                    expected[key]
                ));
            }
        }
    }
    cases::assert_none(&wrong);
}

fn made(documents: &Documents, case: &Value) -> App {
    let text = |key: &str| case[key].as_str().unwrap();
    let (service, instance) = (text("service"), text("instance"));
    let dir = cases::kind("marathon").join("etc-paasta").join(text("etc"));
    let settings = Settings::read(&paasta::load(&dir).unwrap().unwrap(), &dir).unwrap();
    let files = documents.service(service).unwrap();
    let cluster = settings.cluster().unwrap();
    let loaded = load::instance(files, Kind::Marathon, service, instance, cluster).unwrap();
    let deployment = Deployment::v1(files, &loaded).unwrap();
    let node = &case["zookeeper"][format!("/autoscaling/{service}/{instance}/instances")];
    let scaled = node.as_str().map(|count| count.parse().unwrap());
    let given =
        Given { files, instance: &loaded, deployment: &deployment, settings: &settings, scaled };
    App::make(given).unwrap()
}
