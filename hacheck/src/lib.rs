//! Cached health checks, marks that hold an instance down, and their HTTP interface.
//!
//! Who asks whether an instance is healthy goes this way:
//!
//! - [`routes`] takes the request apart and finds out which host and port are meant ([`target`]);
//! - [`marks`] answers at once while someone holds the service or instance down;
//! - else [`checks`] asks the instance, through [`cache`], so that a hundred proxies cost the service
//!   one check per second.
//!
//! [`server`] carries the requests and knows nothing of checks. The agent calls
//! [`checks::Checker`] and [`marks::Marks`] in process and skips the HTTP part.
//!
//! [`client`] is the other end of it, for programs that drain tasks on many hosts; [`tools`] and
//! [`drain`] are the commands for people on the host itself, and [`program`] is the daemon that runs alone, without the
//! agent, by the old [`config`] file.

#![forbid(unsafe_code)]

pub mod cache;
pub mod checks;
pub mod client;
pub mod config;
pub mod drain;
mod etag;
pub mod marks;
pub mod names;
pub mod network;
pub mod program;
pub mod routes;
pub mod server;
pub mod settings;
pub mod target;
pub mod tools;

/// What `Server` and `User-Agent` headers call this program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Where the fuzz targets look for what they try first. They try it in silence, so a directory
    /// in the wrong place would never be missed.
    const CORPORA: [&str; 3] = [
        "marks/__fuzz__/marks__format__tests__spool_file",
        "routes/__fuzz__/routes__path__tests__request_path",
        "__fuzz__/target__tests__server_state",
    ];

    #[test]
    fn every_fuzz_target_has_its_corpus() {
        for corpus in CORPORA {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(corpus).join("corpus");
            let files = fs::read_dir(&path).map(Iterator::count).unwrap_or_default();
            assert!(files >= 10, "{}: {files}", path.display());
        }
    }
}
