//! The status page: one file without dependencies, filled from `/status.json` every second.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, header};

const PAGE: &str = include_str!("page.html");

/// The page. Nothing of the data is in it: the browser puts all text in as text.
pub(super) fn page() -> Response<Full<Bytes>> {
    let mut reply = super::typed(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let policy = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'";
    reply
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    reply
}
