//! Whether a request says which host it is for, as HTTP asks of every client (RFC 9112 §3.2, RFC 9113 §8.3.1).

use warp::http::{
    HeaderValue, Request, Version,
    header::HOST,
    uri::{Authority, Scheme},
};

/// Whether the request names exactly one host. A proxy in front may read an ambiguous request differently, so a host
/// that is missing, malformed or named twice is refused; which host it is makes no difference here.
pub(super) fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut lines = request.headers().get_all(HOST).iter();
    let (line, another) = (lines.next(), lines.next());
    let target = request.uri().authority();
    let are_hosts = target.is_none_or(is_host) && line.is_none_or(|line| host(line).is_some());
    if another.is_some() || !are_hosts {
        return false;
    }
    match request.version() {
        Version::HTTP_09 | Version::HTTP_10 => true,
        // Beside a whole URL the line is ignored, but it has to be there.
        Version::HTTP_11 => line.is_some(),
        _ => match (target, line.and_then(host)) {
            (Some(target), Some(line)) => is_same(target, &line, request.uri().scheme()),
            (target, line) => target.is_some() || line.is_some(),
        },
    }
}

fn host(line: &HeaderValue) -> Option<Authority> {
    line.to_str().ok()?.parse().ok().filter(is_host)
}

/// Whether it is a host, perhaps with a port, and no user.
fn is_host(authority: &Authority) -> bool {
    let host = authority.host();
    match authority.as_str().strip_prefix(host) {
        Some("" | ":") => !host.is_empty(),
        Some(port) => !host.is_empty() && authority.port_u16().is_some() && !port.contains('+'),
        None => false,
    }
}

fn is_same(one: &Authority, other: &Authority, scheme: Option<&Scheme>) -> bool {
    let standard = if scheme == Some(&Scheme::HTTP) { 80 } else { 443 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(standard);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, target: &str, hosts: &[&str], expected: bool) {
        let request = Request::builder().version(version).uri(target);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        let names_one = names_one_host(&request.body(()).unwrap());
        assert_eq!(names_one, expected, "{version:?} {target} {hosts:?}");
    }

    #[test]
    fn a_request_of_http_1_1_has_one_line_with_a_host() {
        let check = |hosts: &[&str], expected| check(Version::HTTP_11, "/", hosts, expected);
        for host in ["a.example", "a.example:443", "a.example:", "192.0.2.1:80", "[2001:db8::1]:80"]
        {
            check(&[host], true);
        }
        check(&[], false);
        check(&["a.example", "a.example"], false);
        for host in
            ["", ":443", "a b", "a/b", "u@a.example", "a:b", "a:+1", "a:99999", "[::1", "a:1:2"]
        {
            check(&[host], false);
        }
    }

    #[test]
    fn a_whole_url_does_not_make_up_for_the_line() {
        check(Version::HTTP_11, "https://a.example/", &[], false);
        check(Version::HTTP_11, "https://a.example/", &["b.example"], true);
        check(Version::HTTP_11, "https://u@a.example/", &["a.example"], false);
    }

    #[test]
    fn a_request_of_http_1_0_needs_no_host() {
        check(Version::HTTP_10, "/", &[], true);
        check(Version::HTTP_10, "/", &["a.example"], true);
        check(Version::HTTP_10, "/", &["a.example", "b.example"], false);
    }

    #[test]
    fn a_request_of_http_2_names_the_same_host_wherever_it_names_one() {
        let check =
            |target, hosts: &[&str], expected| check(Version::HTTP_2, target, hosts, expected);
        check("https://a.example/", &[], true);
        check("/", &["a.example"], true);
        check("https://a.example/", &["A.Example:443"], true);
        check("http://a.example/", &["a.example:80"], true);
        check("/", &[], false);
        check("https://a.example/", &["b.example"], false);
        check("https://a.example/", &["a.example:8443"], false);
        check("https://a.example/", &["a.example", "a.example"], false);
        check("https://u@a.example/", &[], false);
    }
}
