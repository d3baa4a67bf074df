//! How tasks are taken out of service before they are killed: which method, with which parameters
//! (marathon-sync.md §13).
//!
//! What `hacheck` asks and how its answers are read is [`hacheck::client`].

pub mod drainer;
pub mod http;

use hacheck::client::Parameters;
use soa_configs::{
    json,
    yaml::{Map, Node},
};

/// A drain method and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Tasks are killed without further ado.
    Noop,
    /// Tasks are marked down in hacheck, and killed when they have been down long enough.
    Hacheck(Parameters),
    /// Somebody else is asked.
    Http(Box<http::Calls>),
    /// Remembers within one process what it drained. For PaaSTA's own tests.
    Test,
    /// Fails to drain. For PaaSTA's own tests.
    CrashyDrain,
    /// Cannot say what is safe. For PaaSTA's own tests.
    CrashyIsSafeToKill,
}

/// Why tasks cannot be drained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("drain_method not recognized: {0}. Must be one of ({list})", list = NAMES.join(", "))]
    Method(String),
    /// Of a method that there is.
    #[error("drain_method_params: {0}")]
    Parameters(String),
}

/// In PaaSTA's order.
const NAMES: [&str; 6] =
    ["crashy_drain", "crashy_is_safe_to_kill", "hacheck", "http", "noop", "test"];

impl Method {
    /// Reads `drain_method` and `drain_method_params`.
    ///
    /// # Errors
    /// When there is no such method, or nothing can be done with its parameters. Parameters that are
    /// not known are an error for `http` only.
    pub fn parse(name: &str, params: &Map) -> Result<Self, Invalid> {
        match name {
            "noop" => Ok(Self::Noop),
            "hacheck" => hacheck_parameters(params).map(Self::Hacheck),
            "http" => {
                let calls = http::Calls::read(params);
                calls.map(|calls| Self::Http(Box::new(calls))).map_err(Invalid::Parameters)
            }
            "test" => Ok(Self::Test),
            "crashy_drain" => Ok(Self::CrashyDrain),
            "crashy_is_safe_to_kill" => Ok(Self::CrashyIsSafeToKill),
            other => Err(Invalid::Method(other.to_owned())),
        }
    }
}

fn hacheck_parameters(params: &Map) -> Result<Parameters, Invalid> {
    let of = |error: &dyn std::error::Error| Invalid::Parameters(error.to_string());
    let known = ["delay", "hacheck_port", "expiration"];
    let params: Map =
        known.into_iter().filter_map(|key| Some((key, params.get(key)?.clone()))).collect();
    let text = json::canonical(&Node::made(params)).map_err(|error| of(&error))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| of(&error))?;
    serde_json::from_value(value).map_err(|error| of(&error))
}

#[cfg(test)]
mod tests {
    use soa_configs::yaml;

    use super::*;

    fn parse(name: &str, params: &str) -> Result<Method, String> {
        let params = yaml::parse(params).unwrap();
        Method::parse(name, params.as_map().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_of_hacheck_have_its_defaults_and_others_do_not_matter() {
        let parameters = Parameters { delay: 30.0, hacheck_port: 6667, expiration: 900.0 };
        let written = "{delay: 30, hacheck_port: 6667, expiration: 900, unheard_of: 2018-01-01}";
        assert_eq!(parse("hacheck", written), Ok(Method::Hacheck(parameters)));
        let default = Parameters { expiration: 0.0, ..Parameters::with_delay(240.0) };
        assert_eq!(parse("hacheck", "{}"), Ok(Method::Hacheck(default)));
        assert_eq!(parse("noop", "{delay: soon}"), Ok(Method::Noop));
    }

    #[test]
    fn times_without_sense_name_the_key_of_the_instance() {
        for params in ["{delay: soon}", "{delay: -1}", "{delay: .nan}", "{hacheck_port: 66666}"] {
            let error = parse("hacheck", params).unwrap_err();
            assert!(error.starts_with("drain_method_params: "), "{error}");
        }
    }
}
