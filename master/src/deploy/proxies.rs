//! What the HAProxy of each host says, asked once for all instances that ask at about the same time.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use hyper::Method;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    bounce::proxies::Registered,
    http::{self, Question},
    url_format::{InvalidFormat, UrlFormat, Values},
};

/// As PaaSTA waits for HAProxy's statistics.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 64 << 20;
/// An answer is good for so long.
const FRESH: Duration = Duration::from_secs(2);
/// Beyond so many hosts, answers that are no longer good are forgotten.
const HOSTS: usize = 256;

/// What one HAProxy says, by namespace, and the addresses of its host.
#[derive(Debug)]
pub struct Statistics {
    pub addresses: Vec<IpAddr>,
    pub namespaces: BTreeMap<String, Registered>,
}

type Answer = Result<Arc<Statistics>, Arc<str>>;
type Asked = Shared<BoxFuture<'static, Answer>>;

/// All HAProxies that were asked.
#[derive(Debug)]
pub struct Proxies {
    format: UrlFormat,
    port: u16,
    asked: Mutex<BTreeMap<String, (Instant, Asked)>>,
}

impl Proxies {
    /// `format` is `synapse_haproxy_url_format`, `port` is `synapse_port`.
    ///
    /// # Errors
    /// When the format is none.
    pub fn new(format: &str, port: u16) -> Result<Self, InvalidFormat> {
        use crate::url_format::Field;
        let format = UrlFormat::parse(format, &[Field::Host, Field::Port])?;
        Ok(Self { format, port, asked: Mutex::default() })
    }

    /// What the HAProxy of a host says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub async fn of(&self, host: &str) -> Answer {
        self.asking(host).await
    }

    fn asking(&self, host: &str) -> Asked {
        let now = Instant::now();
        let is_fresh = |begun: &Instant| now.duration_since(*begun) < FRESH;
        let mut asked = self.asked.lock();
        if let Some((begun, answer)) = asked.get(host)
            && is_fresh(begun)
        {
            return answer.clone();
        }
        if asked.len() >= HOSTS {
            asked.retain(|_, (begun, _)| is_fresh(begun));
        }
        let (service, instance, namespace) = ("", "", "");
        let values = Values { host, port: Some(self.port), service, instance, namespace };
        let url = self.format.fill(&values).map_err(|error| error.to_string().into());
        let answer = ask(url, host.to_owned()).boxed().shared();
        asked.insert(host.to_owned(), (now, answer.clone()));
        answer
    }
}

async fn ask(url: Result<String, Arc<str>>, host: String) -> Answer {
    let url = url?;
    let (method, login, body) = (Method::GET, None, "");
    let (patience, most) = (PATIENCE, MOST_BYTES);
    let asked = http::ask(Question { method, url: &url, login, body, patience, most });
    let told = |error: anyhow::Error| Arc::from(format!("{error:#}"));
    let (_, text) = asked.await.map_err(|error| told(error.into()))?;
    let namespaces = Registered::all(&String::from_utf8_lossy(&text))
        .map_err(|error| told(anyhow::Error::from(error).context(url)))?;
    let found = tokio::net::lookup_host((host.as_str(), 0)).await.into_iter().flatten();
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(Arc::from(format!("{host} has no address")));
    }
    Ok(Arc::new(Statistics { addresses, namespaces }))
}
