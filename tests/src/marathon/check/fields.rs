//! The fields of an app (Marathon's published types, 1.4).

use super::shape::{
    Field,
    Shape::{
        Any, Constraint, Flag, List, Map, Number, Object, OneOf, SomeText, Text, Variable, Whole,
    },
    may, must,
};

const INT: i64 = i32::MAX as i64;
const PORT: super::shape::Shape = Whole(0, 65535);
const PROTOCOLS: &[&str] = &["tcp", "udp", "udp,tcp"];
const VERSION_INFO: &[Field] = &[may("lastScalingAt", Text), may("lastConfigChangeAt", Text)];

pub(super) const APP: &[Field] = &[
    may("id", Text),
    may("cmd", SomeText),
    may("args", List(&Text)),
    may("user", Text),
    may("env", Map(&Variable)),
    may("instances", Whole(0, INT)),
    may("cpus", Number(0.0)),
    may("mem", Number(0.0)),
    may("disk", Number(0.0)),
    may("gpus", Whole(0, INT)),
    may("executor", Text),
    may("constraints", List(&Constraint)),
    may("uris", List(&SomeText)),
    may("fetch", List(&Object(FETCH))),
    may("storeUrls", List(&SomeText)),
    may("ports", List(&PORT)),
    may("portDefinitions", List(&Object(PORT_DEFINITION))),
    may("requirePorts", Flag),
    may("backoffSeconds", Whole(0, INT)),
    may("backoffFactor", Number(1.0)),
    may("maxLaunchDelaySeconds", Whole(0, INT)),
    may("container", Object(CONTAINER)),
    may("healthChecks", List(&Object(HEALTH_CHECK))),
    may("readinessChecks", List(&Any)),
    may("dependencies", List(&Text)),
    may("upgradeStrategy", Object(UPGRADE)),
    may("labels", Map(&Text)),
    may("acceptedResourceRoles", List(&Text)),
    may("ipAddress", Any),
    may("residency", Any),
    may("secrets", Any),
    may("taskKillGracePeriodSeconds", Whole(0, INT)),
    may("version", Text),
    may("versionInfo", Object(VERSION_INFO)),
    may("killSelection", OneOf(&["YOUNGEST_FIRST", "OLDEST_FIRST"])),
    may("unreachableStrategy", Any),
];

const FETCH: &[Field] = &[
    must("uri", SomeText),
    may("executable", Flag),
    may("extract", Flag),
    may("cache", Flag),
    may("destPath", SomeText),
];

const PORT_DEFINITION: &[Field] = &[
    may("port", PORT),
    may("protocol", OneOf(PROTOCOLS)),
    may("name", Text),
    may("labels", Map(&Text)),
];

const CONTAINER: &[Field] = &[
    may("type", OneOf(&["DOCKER", "MESOS"])),
    may("docker", Object(DOCKER)),
    may("appc", Any),
    may("volumes", List(&Object(VOLUME))),
];

const DOCKER: &[Field] = &[
    must("image", SomeText),
    may("network", OneOf(&["BRIDGE", "HOST", "NONE", "USER"])),
    may("portMappings", List(&Object(PORT_MAPPING))),
    may("privileged", Flag),
    may("forcePullImage", Flag),
    may("parameters", List(&Object(PARAMETER))),
    may("credential", Any),
];

const PARAMETER: &[Field] = &[must("key", SomeText), must("value", Text)];

const PORT_MAPPING: &[Field] = &[
    may("containerPort", PORT),
    may("hostPort", PORT),
    may("servicePort", PORT),
    may("protocol", OneOf(PROTOCOLS)),
    may("name", Text),
    may("labels", Map(&Text)),
];

const VOLUME: &[Field] = &[
    must("containerPath", SomeText),
    may("hostPath", SomeText),
    must("mode", OneOf(&["RO", "RW"])),
    may("persistent", Any),
    may("external", Any),
];

const HEALTH_CHECK: &[Field] = &[
    may("protocol", OneOf(CHECK_PROTOCOLS)),
    may("path", Text),
    may("port", PORT),
    may("portIndex", Whole(0, INT)),
    may("command", Object(&[must("value", Text)])),
    may("gracePeriodSeconds", Whole(0, INT)),
    may("intervalSeconds", Whole(0, INT)),
    may("timeoutSeconds", Whole(0, INT)),
    may("delaySeconds", Whole(0, INT)),
    may("maxConsecutiveFailures", Whole(0, INT)),
    may("ignoreHttp1xx", Flag),
];

const CHECK_PROTOCOLS: &[&str] =
    &["HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_TCP", "MESOS_HTTP", "MESOS_HTTPS"];

const UPGRADE: &[Field] =
    &[may("minimumHealthCapacity", Number(0.0)), may("maximumOverCapacity", Number(0.0))];

/// Whether a change of this field makes tasks anew.
pub(in super::super) fn changes_tasks(name: &str) -> bool {
    !matches!(name, "id" | "instances" | "version" | "versionInfo")
}
