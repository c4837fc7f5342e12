//! Pages under names of their own: a request for `status.example.com` is one for a page, and for nothing else of the site.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use dogwatch_store::rules::text::Slug;
use tower::ServiceExt;

/// Leads requests whose `Host` is in a map to the status page with that slug: `/` is the page, `/feed.atom` its feed, and so on. Under
/// such a name nothing else of the router is reached. Names are without a port, in lower case.
pub fn by_host(router: Router, hosts: BTreeMap<String, Slug>) -> Router {
    if hosts.is_empty() {
        return router;
    }
    let hosts = Arc::new(hosts);
    Router::new().fallback(move |mut request: Request| {
        let (router, hosts) = (router.clone(), Arc::clone(&hosts));
        async move {
            if let Some(slug) = host(request.headers(), request.uri()).and_then(|host| hosts.get(&host)) {
                // What cannot be led to the page is led nowhere.
                let Some(uri) = under(request.uri(), slug) else {
                    return Ok(StatusCode::URI_TOO_LONG.into_response());
                };
                *request.uri_mut() = uri;
            }
            router.oneshot(request).await
        }
    })
}

/// The name under which a request was sent, without its port.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let given = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok())?;
    let name = given.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(given, |(name, _)| name);
    Some(name.trim_end_matches('.').to_ascii_lowercase())
}

/// The address within the site of what has this address under the name of a page. Links on a page lead to `/status/…`, also there.
fn under(uri: &Uri, slug: &Slug) -> Option<Uri> {
    let own = format!("/status/{slug}");
    let (path, query) = (uri.path(), uri.query().map_or_else(String::new, |query| format!("?{query}")));
    let is_own = path.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']));
    let path = match path {
        _ if is_own => path.to_owned(),
        "/" => own,
        "/index.json" => format!("{own}.json"),
        path => format!("{own}{path}"),
    };
    let path = PathAndQuery::try_from(format!("{path}{query}")).ok()?;
    Some(Uri::from(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests panic when they fail")]
    use super::*;

    #[test]
    fn addresses_under_the_name_of_a_page() {
        let slug = Slug::new("acme").unwrap();
        for (asked, leads_to) in [
            ("/", "/status/acme"),
            ("/?a=b", "/status/acme?a=b"),
            ("/feed.atom", "/status/acme/feed.atom"),
            ("/index.json", "/status/acme.json"),
            ("/api/v2/summary.json", "/status/acme/api/v2/summary.json"),
            ("/status/acme", "/status/acme"),
            ("/status/acme.json", "/status/acme.json"),
            ("/status/acme/style.css?v=1", "/status/acme/style.css?v=1"),
            ("/status/other", "/status/acme/status/other"),
            ("/status/acme2", "/status/acme/status/acme2"),
            ("/v1/incidents", "/status/acme/v1/incidents"),
        ] {
            assert_eq!(under(&asked.parse().unwrap(), &slug).unwrap().to_string(), leads_to, "{asked}");
        }
    }

    /// An address that would become too long for one leads nowhere, and so not past the page.
    #[test]
    fn long_addresses() {
        let slug = Slug::new("a".repeat(63)).unwrap();
        let long: Uri = format!("/metrics?{}", "a".repeat(65_500)).parse().unwrap();
        assert_eq!(under(&long, &slug), None);
    }

    #[test]
    fn names() {
        for (given, name) in [
            ("status.example.com", "status.example.com"),
            ("Status.Example.COM:8443", "status.example.com"),
            ("status.example.com.", "status.example.com"),
            ("[::1]:80", "[::1]"),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, given.parse().unwrap())]);
            assert_eq!(host(&headers, &"/".parse().unwrap()).as_deref(), Some(name), "{given}");
        }
    }
}
